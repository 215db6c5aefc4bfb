import { randomBytes } from 'node:crypto';

/** What can be noted of an id: that Postgres has it, that a vector or node of it was seen, and that one was told of. */
const NOTES = { memory: 0x01, vector: 0x02, node: 0x04, 'vector told': 0x08, 'node told': 0x10 } as const;

export type Note = keyof typeof NOTES;

const LEAST = 16;
/** Of a slot's second word: the notes. The rest of it is key. */
const NOTES_MASK = 0xff;

/**
 * What was noted of each id: 8 bytes a slot, at least two slots an id, whatever the length of ids. It keeps 56 bits of a hash of each:
 * among a million two are taken for one with a chance of about one in 140,000.
 */
export class MemoryIndex {
  /** Two words a slot, side by side for the processor's sake; the second is 0 where a slot is free. */
  #words: Int32Array;
  #mask: number;
  #size = 0;

  /** `expected`: how many ids there may be. It grows where there are more. */
  constructor(expected: number) {
    const slots = 2 ** Math.ceil(Math.log2(Math.max(LEAST, expected * 2)));
    this.#words = new Int32Array(slots * 2);
    this.#mask = slots - 1;
  }

  /** Ids of which anything was noted. */
  get size(): number {
    return this.#size;
  }

  /** Notes something of an id. Answers what had been noted of it before, for `holds`. */
  note(id: string, note: Note): number {
    takeKey(id);
    const at = this.#placeOf(low, high);
    const before = this.#words[at + 1]! & NOTES_MASK;
    this.#words[at] = low;
    this.#words[at + 1] = (high & ~NOTES_MASK) | before | NOTES[note];
    if (before === 0) {
      this.#size += 1;
      if (this.#size * 2 > this.#mask + 1) this.#grow();
    }
    return before;
  }

  /** Whether something was noted of an id. */
  has(id: string, note: Note): boolean {
    takeKey(id);
    return holds(this.#words[this.#placeOf(low, high) + 1]!, note);
  }

  /** Where in the words a key is, or would be put. */
  #placeOf(first: number, second: number): number {
    const words = this.#words;
    for (let slot = first & this.#mask; ; slot = (slot + 1) & this.#mask) {
      const word = words[slot * 2 + 1]!;
      if (word === 0 || (words[slot * 2] === first && ((word ^ second) & ~NOTES_MASK) === 0)) return slot * 2;
    }
  }

  #grow(): void {
    const old = this.#words;
    this.#words = new Int32Array(old.length * 2);
    this.#mask = this.#mask * 2 + 1;
    for (let at = 0; at < old.length; at += 2) {
      if (old[at + 1] === 0) continue;
      const to = this.#placeOf(old[at]!, old[at + 1]!);
      this.#words[to] = old[at]!;
      this.#words[to + 1] = old[at + 1]!;
    }
  }
}

/** Whether this was among what had been noted. */
export const holds = (state: number, note: Note): boolean => (state & NOTES[note]) !== 0;

/** Nobody can know beforehand which ids would be taken for one. */
const [SEED_HIGH, SEED_LOW] = [randomBytes(4).readInt32LE(), randomBytes(4).readInt32LE()];

/** The halves of the last key: a pair for each of some million ids would be garbage. */
let high = 0;
let low = 0;

/**
 * Puts 64 well-mixed bits of an id into `high` and `low`: two lanes of multiplications, each bit of one stirred into the other, four
 * characters at a time, two a lane.
 */
function takeKey(id: string): void {
  let h = SEED_HIGH;
  let l = SEED_LOW;
  const whole = id.length & ~3;
  for (let at = 0; at < whole; at += 4) {
    h = Math.imul(h ^ (id.charCodeAt(at) | (id.charCodeAt(at + 1) << 16)), 0x9e3779b1);
    l = Math.imul(l ^ (id.charCodeAt(at + 2) | (id.charCodeAt(at + 3) << 16)), 0x5f356495);
    h ^= l >>> 15;
    l ^= h >>> 13;
  }
  for (let at = whole; at < id.length; at += 1) {
    h = Math.imul(h ^ id.charCodeAt(at), 0x9e3779b1);
    l = Math.imul(l ^ h, 0x5f356495);
  }
  high = mixed(h ^ Math.imul(l, 0x27d4eb2f));
  low = mixed(l ^ Math.imul(h, 0x165667b1));
}

/** MurmurHash3's final mix: every bit of the input decides over every bit of the outcome. */
function mixed(value: number): number {
  let bits = value ^ (value >>> 16);
  bits = Math.imul(bits, 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return bits ^ (bits >>> 16);
}
