import { createHash } from 'node:crypto';
import { open, rename, rm } from 'node:fs/promises';
import type { Storage, Transfer } from './storage.js';

/**
 * Brings a file of any storage to a path of this machine, in a folder that is there, for its owner only: it is there as a whole,
 * or not at all. Answers the SHA-256 of what came.
 */
export async function fetchFile(
  storage: Storage,
  file: string,
  to: string,
  { onBytes = () => {}, signal }: Transfer = {},
): Promise<string> {
  const part = `${to}.part`;
  const target = await open(part, 'w', 0o600);
  const hash = createHash('sha256');
  try {
    for await (const piece of storage.read(file, { signal })) {
      hash.update(piece);
      await target.writeFile(piece);
      onBytes(piece.length);
    }
    await rename(part, to);
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  } finally {
    await target.close();
  }
  return hash.digest('hex');
}
