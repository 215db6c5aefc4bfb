import { dirname } from 'node:path';
import { orElse } from './elsewhere/seen-in.js';
import type { HostFiles } from './host-files.js';

const SEEN = '/proc/self/mountinfo';

/** The folders of a host on which a disk is mounted, as its kernel tells them; none where it does not. */
async function mountPoints(files: HostFiles): Promise<string[]> {
  const lines = String(await orElse(files.read(SEEN), '')).split('\n');
  // A blank in a name is told as an octal number.
  const plain = (path: string) =>
    path.replaceAll(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
  return lines.flatMap((line) => line.split(' ')[4] ?? []).map(plain);
}

/** Whether a folder, given by its real path, is where a disk is mounted: such a folder cannot be renamed. One disk may be mounted twice. */
export async function isMountPoint(folder: string, files: HostFiles): Promise<boolean> {
  const [own, above] = [await files.stat(folder), await files.stat(dirname(folder))];
  if (own === undefined) return false;
  return own.device !== above?.device || (await mountPoints(files)).includes(folder);
}

/** What lies in a folder, and is a mount point itself. */
export async function mountPointsIn(folder: string, files: HostFiles): Promise<string[]> {
  return (await mountPoints(files)).filter((path) => dirname(path) === folder);
}
