import { createHash } from 'node:crypto';
import { open, rename, rm } from 'node:fs/promises';
import { HERE } from './here.js';
import type { Readable, Transfer } from './storage.js';

/**
 * Brings a file of any storage to a path of this machine, in a folder that is there, for its owner only: it is there as a whole,
 * or not at all. Answers the SHA-256 of what came. With `bytes`, its size, what an attempt that broke off has brought stays beside it
 * and is gone on with; `onBytes` is told of that too.
 */
export async function fetchFile(
  storage: Readable,
  file: string,
  to: string,
  { onBytes = () => {}, signal, bytes }: Transfer & { bytes?: number } = {},
): Promise<string> {
  const part = `${to}.part`;
  const hash = createHash('sha256');
  const earlier = bytes === undefined ? 0 : ((await HERE.seen(part))?.bytes ?? 0);
  const from = earlier <= (bytes ?? 0) ? earlier : 0;
  const target = await open(part, from > 0 ? 'a' : 'w', 0o600);
  const take = (piece: Buffer) => {
    hash.update(piece);
    onBytes(piece.length);
  };
  try {
    if (from > 0) for await (const piece of HERE.read(part, { to: from - 1, signal })) take(piece);
    if (from === 0 || from !== bytes)
      for await (const piece of storage.read(file, { from, signal })) {
        await target.writeFile(piece);
        take(piece);
      }
    await rename(part, to);
  } catch (error) {
    if (bytes === undefined) await rm(part, { force: true });
    throw error;
  } finally {
    await target.close();
  }
  return hash.digest('hex');
}
