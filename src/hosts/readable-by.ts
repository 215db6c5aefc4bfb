import { dirname } from 'node:path';
import type { HostFiles } from './host-files.js';
import { localFiles } from './local-files.js';

/**
 * Whether a user can read a file or folder of a host, by the rights of it and of the folders above it. Groups beyond the user's own and
 * access lists are not looked at, so a no is a suspicion only.
 */
export async function seemsReadableBy(
  path: string,
  user: { uid: number; gid: number },
  files: HostFiles = localFiles,
): Promise<boolean> {
  if (user.uid === 0) return true;
  const [READ, ENTER] = [4, 1];
  const real = await files.realPath(path);
  for (let at = real; ; at = dirname(at)) {
    const found = await files.stat(at);
    if (!found) return false;
    const shift = found.uid === user.uid ? 6 : found.gid === user.gid ? 3 : 0;
    const needed = at !== real ? ENTER : found.kind === 'folder' ? READ | ENTER : READ;
    if (((found.mode >> shift) & needed) !== needed) return false;
    if (at === dirname(at)) return true;
  }
}
