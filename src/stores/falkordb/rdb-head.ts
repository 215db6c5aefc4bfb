import { localFiles } from '../../hosts/local-files.js';
import type { ReadableFiles } from '../storage/stored-files.js';

/** What an RDB file says of itself before its first key. https://rdb.fnordig.de/file_format.html */
export interface RdbHead {
  /** Format version: 11 for Redis 7.2 and Valkey 8. A server refuses one that is newer than its own. */
  version: number;
  /** `valkey 8.0.1`; empty when it does not say. */
  writer: string;
  /** Bytes of memory that the writing server used. */
  usedMemory?: number;
  /** `unknown`: something stands before the first key that this does not know. */
  keys: 'none' | 'some' | 'unknown';
}

const LOOKED_AT = 64 * 1024;
const MAGIC_LENGTH = 9;
const [AUXILIARY, RESIZE, SELECT, MODULE_AUXILIARY, END] = [0xfa, 0xfb, 0xfe, 0xf7, 0xff];

/** Reads the head of a file; undefined when it is no RDB. */
export async function rdbHead(file: string, files: ReadableFiles = localFiles): Promise<RdbHead | undefined> {
  return headIn(await files.read(file, { from: 0, length: LOOKED_AT }));
}

function headIn(bytes: Buffer): RdbHead | undefined {
  const magic = /^(?:REDIS|VALKEY)(\d{3,4})/.exec(bytes.toString('latin1', 0, MAGIC_LENGTH));
  if (!magic) return undefined;
  const head: RdbHead = { version: Number(magic[1]), writer: '', keys: 'unknown' };
  const reader = new Reader(bytes, MAGIC_LENGTH);
  try {
    for (;;) {
      const code = reader.byte();
      if (code === AUXILIARY) note(head, reader.text(), reader.text());
      else if (code === MODULE_AUXILIARY) reader.skipModule();
      else if (code === END) return { ...head, keys: 'none' };
      else if (code === SELECT || code === RESIZE) return { ...head, keys: 'some' };
      else return head;
    }
  } catch {
    // Longer than what is looked at, or cut off: what was read so far stands.
    return head;
  }
}

function note(head: RdbHead, name: string, value: string): void {
  if (name === 'redis-ver' || name === 'valkey-ver') head.writer = `${name.split('-')[0]} ${value}`;
  if (name === 'used-mem') head.usedMemory = Number(value);
}

class Reader {
  constructor(
    readonly bytes: Buffer,
    public at: number,
  ) {}

  byte(): number {
    this.at += 1;
    return this.bytes.readUInt8(this.at - 1);
  }

  /** A length; `integer` when the two highest bits say that a number of that many bytes follows instead of text. */
  #length(): { length: number; integer: boolean } {
    const first = this.byte();
    const kind = first >> 6;
    if (kind === 0) return { length: first & 0x3f, integer: false };
    if (kind === 1) return { length: ((first & 0x3f) << 8) | this.byte(), integer: false };
    if (kind === 3 && (first & 0x3f) <= 2) return { length: 2 ** (first & 0x3f), integer: true };
    if (first === 0x80) return { length: this.#take(4).readUInt32BE(), integer: false };
    if (first === 0x81) return { length: Number(this.#take(8).readBigUInt64BE()), integer: false };
    throw new Error('an encoding that is not known here');
  }

  #take(count: number): Buffer {
    if (this.at + count > this.bytes.length) throw new Error('beyond what was read');
    this.at += count;
    return this.bytes.subarray(this.at - count, this.at);
  }

  text(): string {
    const { length, integer } = this.#length();
    const bytes = this.#take(length);
    return integer ? String(bytes.readIntLE(0, length)) : bytes.toString('latin1');
  }

  /** What a module wrote beside its keys: its id, then values, each with its kind, up to a 0. */
  skipModule(): void {
    const [SIGNED, UNSIGNED, FLOAT, DOUBLE, TEXT] = [1, 2, 3, 4, 5];
    this.#length();
    for (let kind = this.byte(); kind !== 0; kind = this.byte()) {
      if (kind === SIGNED || kind === UNSIGNED) this.#length();
      else if (kind === FLOAT) this.#take(4);
      else if (kind === DOUBLE) this.#take(8);
      else if (kind === TEXT) this.text();
      else throw new Error('a module value that is not known here');
    }
  }
}
