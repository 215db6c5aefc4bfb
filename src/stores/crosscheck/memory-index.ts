import { hash } from 'node:crypto';

const OCCUPIED = 0x80;
const SEEN = { vector: 0x01, node: 0x02 } as const;

export type Seen = keyof typeof SEEN;

/**
 * Which memories there are, and what was seen of each: 9 bytes a slot, at least two slots a memory, whatever the length of
 * their ids. It keeps 64 bits of a SHA-256 of each id: among a million memories two are taken for one with a chance of
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
    const [high, low] = keyOf(id);
    const slot = this.#slotOf(high, low);
    if (this.#states[slot] !== 0) return;
    if (this.#size >= this.capacity) throw new Error(`the index was made for ${this.capacity} memories`);
    this.#keys[slot * 2] = high;
    this.#keys[slot * 2 + 1] = low;
    this.#states[slot] = OCCUPIED;
    this.#size += 1;
  }

  /** Notes that a vector or node of a memory was seen: for the first time, again, or of a memory that is not there. */
  see(id: string, what: Seen): 'first' | 'again' | 'unknown' {
    const slot = this.#slotOf(...keyOf(id));
    const state = this.#states[slot]!;
    if (state === 0) return 'unknown';
    if (state & SEEN[what]) return 'again';
    this.#states[slot] = state | SEEN[what];
    return 'first';
  }

  /** Whether a vector or node of this memory was seen; undefined where the memory is not there. */
  wasSeen(id: string, what: Seen): boolean | undefined {
    const state = this.#states[this.#slotOf(...keyOf(id))]!;
    return state === 0 ? undefined : (state & SEEN[what]) !== 0;
  }

  /** Where this key is, or would be put. */
  #slotOf(high: number, low: number): number {
    const mask = this.#slots - 1;
    for (let slot = low & mask; ; slot = (slot + 1) & mask) {
      if (this.#states[slot] === 0) return slot;
      if (this.#keys[slot * 2] === high && this.#keys[slot * 2 + 1] === low) return slot;
    }
  }
}

/** 64 bits of an id's SHA-256. */
function keyOf(id: string): [high: number, low: number] {
  const bytes = hash('sha256', id, 'binary');
  return [wordAt(bytes, 0), wordAt(bytes, 4)];
}

function wordAt(bytes: string, at: number): number {
  return (
    (bytes.charCodeAt(at) |
      (bytes.charCodeAt(at + 1) << 8) |
      (bytes.charCodeAt(at + 2) << 16) |
      (bytes.charCodeAt(at + 3) << 24)) >>>
    0
  );
}
