import { randomBytes } from 'node:crypto';

const OCCUPIED = 0x80;
const SEEN = { vector: 0x01, node: 0x02 } as const;
const BOTH = SEEN.vector | SEEN.node;

export type Seen = keyof typeof SEEN;

const NONE: readonly Seen[] = [];
/** By what was seen. */
const UNSEEN: readonly (readonly Seen[])[] = [['vector', 'node'], ['node'], ['vector'], NONE];

/**
 * Which memories there are, and what was seen of each: 9 bytes a slot, at least two slots a memory, whatever the length of
 * their ids. It keeps 64 bits of a hash of each id: among a million memories two are taken for one with a chance of
 * about one in forty million.
 */
export class MemoryIndex {
  readonly #slots: number;
  readonly #keys: Uint32Array;
  readonly #states: Uint8Array;
  #size = 0;

  /** For at most `capacity` memories. */
  constructor(readonly capacity: number) {
    this.#slots = 2 ** Math.ceil(Math.log2(Math.max(16, capacity * 2)));
    this.#keys = new Uint32Array(this.#slots * 2);
    this.#states = new Uint8Array(this.#slots);
  }

  /** Memories in it. */
  get size(): number {
    return this.#size;
  }

  add(id: string): void {
    const slot = this.#slotOf(id);
    if (this.#states[slot] !== 0) return;
    if (this.#size >= this.capacity) throw new Error(`the index was made for ${this.capacity} memories`);
    this.#keys[slot * 2] = high;
    this.#keys[slot * 2 + 1] = low;
    this.#states[slot] = OCCUPIED;
    this.#size += 1;
  }

  /** Notes that a vector or node of a memory was seen: for the first time, again, or of a memory that is not there. */
  see(id: string, what: Seen): 'first' | 'again' | 'unknown' {
    const slot = this.#slotOf(id);
    const state = this.#states[slot]!;
    if (state === 0) return 'unknown';
    if (state & SEEN[what]) return 'again';
    this.#states[slot] = state | SEEN[what];
    return 'first';
  }

  /** Of which of them none was seen of this memory; of a memory that is not there nobody looked for any. */
  unseenOf(id: string): readonly Seen[] {
    const state = this.#states[this.#slotOf(id)]!;
    return state === 0 ? NONE : UNSEEN[state & BOTH]!;
  }

  /** Where the key of this id is, or would be put. */
  #slotOf(id: string): number {
    takeKey(id);
    const mask = this.#slots - 1;
    for (let slot = low & mask; ; slot = (slot + 1) & mask) {
      if (this.#states[slot] === 0) return slot;
      if (this.#keys[slot * 2] === high && this.#keys[slot * 2 + 1] === low) return slot;
    }
  }
}

/** Nobody can know beforehand which ids would be taken for one. */
const [SEED_HIGH, SEED_LOW] = [randomBytes(4).readInt32LE(), randomBytes(4).readInt32LE()];

/** The halves of the last key: a pair for each of some million ids would be garbage. */
let high = 0;
let low = 0;

/**
 * Puts 64 well-mixed bits of an id into `high` and `low`: two lanes of multiplications, each bit of one stirred into the other, two
 * characters at a time.
 */
function takeKey(id: string): void {
  let h = SEED_HIGH;
  let l = SEED_LOW;
  for (let at = 0; at < id.length; at += 2) {
    // Past the end of an odd one is NaN, which counts as 0.
    const code = id.charCodeAt(at) | (id.charCodeAt(at + 1) << 16);
    h = Math.imul(h ^ code, 0x9e3779b1);
    l = Math.imul(l ^ code, 0x5f356495);
    h ^= l >>> 15;
    l ^= h >>> 13;
  }
  high = mixed(h ^ Math.imul(l, 0x27d4eb2f));
  low = mixed(l ^ Math.imul(h, 0x165667b1));
}

/** MurmurHash3's final mix: every bit of the input decides over every bit of the outcome. */
function mixed(value: number): number {
  let bits = value ^ (value >>> 16);
  bits = Math.imul(bits, 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return (bits ^ (bits >>> 16)) >>> 0;
}
