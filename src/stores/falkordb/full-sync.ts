import { mkdir, open, rm } from 'node:fs/promises';
import net from 'node:net';
import { dirname } from 'node:path';
import { pipeline } from 'node:stream/promises';
import tls from 'node:tls';
import { keepOnDisk } from '../../hosts/durable.js';

export interface FullSyncFrom {
  host: string;
  port: number;
  /** Absent: without TLS. */
  tls?: tls.ConnectionOptions;
  user?: string;
  password?: string;
}

const QUIET_PATIENCE = 120_000;
const END_LENGTH = 40;

const commandOf = (...words: string[]) =>
  `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`;

/**
 * Writes all that a server holds in memory into an RDB file, as a replica would be given it. The server neither reads nor
 * writes a file for that, so it also works when its own folder is gone. Answers the bytes. https://redis.io/docs/latest/operate/oss_and_stack/management/replication/
 */
export async function fullSync(
  from: FullSyncFrom,
  file: string,
  { signal, onBytes = () => {} }: { signal?: AbortSignal; onBytes?: (bytes: number) => void } = {},
): Promise<number> {
  const socket = from.tls
    ? tls.connect({ ...from.tls, host: from.host, port: from.port })
    : net.connect({ host: from.host, port: from.port });
  socket.setTimeout(QUIET_PATIENCE, () => socket.destroy(new Error('the server fell silent')));
  const stop = () => socket.destroy(new Error('aborted'));
  signal?.addEventListener('abort', stop, { once: true });
  try {
    const reader = new Reader(socket);
    if (from.password !== undefined)
      await ask(socket, reader, 'AUTH', ...(from.user ? [from.user] : []), from.password);
    // Told that the end may be marked, the server streams from memory; otherwise it would save over its own dump.rdb first.
    await ask(socket, reader, 'REPLCONF', 'capa', 'eof');
    await ask(socket, reader, 'REPLCONF', 'rdb-only', '1');
    socket.write(commandOf('SYNC'));
    const head = await reader.line();
    const end = /^\$EOF:([0-9a-f]{40})$/.exec(head)?.[1];
    const length = /^\$(\d+)$/.exec(head)?.[1];
    if (end === undefined && length === undefined) throw new Error(`the server answered SYNC with "${head}"`);
    await mkdir(dirname(file), { recursive: true, mode: 0o700 });
    const body = end === undefined ? reader.exactly(Number(length)) : reader.until(Buffer.from(end, 'latin1'));
    return await writeTo(file, body, onBytes);
  } finally {
    signal?.removeEventListener('abort', stop);
    socket.destroy();
  }
}

async function writeTo(file: string, body: AsyncIterable<Buffer>, onBytes: (bytes: number) => void): Promise<number> {
  let written = 0;
  const counted = async function* () {
    for await (const piece of body) {
      written += piece.length;
      onBytes(piece.length);
      yield piece;
    }
  };
  const handle = await open(file, 'wx', 0o600);
  try {
    await pipeline(counted, handle.createWriteStream());
    await keepOnDisk(file);
    return written;
  } catch (error) {
    await rm(file, { force: true });
    throw error;
  }
}

async function ask(socket: net.Socket, reader: Reader, ...words: string[]): Promise<void> {
  socket.write(commandOf(...words));
  const answer = await reader.line();
  if (!answer.startsWith('+')) throw new Error(`the server answered ${words[0]} with "${answer}"`);
}

/** Takes lines, then a body, from a socket. */
class Reader {
  readonly #pieces: AsyncIterator<Buffer>;
  #rest: Buffer = Buffer.alloc(0);

  constructor(socket: net.Socket) {
    this.#pieces = socket[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  }

  async #more(): Promise<Buffer> {
    const { value, done } = await this.#pieces.next();
    if (done) throw new Error('the server closed the connection before the end');
    return value;
  }

  /** The next line that is not empty: while it prepares, a server sends empty ones. */
  async line(): Promise<string> {
    for (;;) {
      const at = this.#rest.indexOf('\n');
      if (at === -1) {
        this.#rest = Buffer.concat([this.#rest, await this.#more()]);
        continue;
      }
      const line = this.#rest.toString('latin1', 0, at).replace(/\r$/, '');
      this.#rest = this.#rest.subarray(at + 1);
      if (line !== '') return line;
    }
  }

  async *exactly(length: number): AsyncGenerator<Buffer> {
    for (let left = length; left > 0; ) {
      const piece = this.#rest.length > 0 ? this.#rest : await this.#more();
      this.#rest = Buffer.alloc(0);
      yield piece.subarray(0, left);
      left -= Math.min(left, piece.length);
    }
  }

  /** Up to an end mark, which is not handed on and after which the server says nothing more. */
  async *until(end: Buffer): AsyncGenerator<Buffer> {
    for (;;) {
      if (this.#rest.length >= END_LENGTH && this.#rest.subarray(-END_LENGTH).equals(end)) {
        yield this.#rest.subarray(0, -END_LENGTH);
        return;
      }
      const sure = Math.max(0, this.#rest.length - END_LENGTH);
      if (sure > 0) yield this.#rest.subarray(0, sure);
      this.#rest = Buffer.concat([this.#rest.subarray(sure), await this.#more()]);
    }
  }
}
