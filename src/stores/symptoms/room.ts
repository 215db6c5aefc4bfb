import { realpath, stat } from 'node:fs/promises';
import { shellWord } from '../../hosts/command.js';
import { freeBytes } from '../../hosts/files.js';
import { isHere } from '../../hosts/here.js';
import { sizeOf } from '../../words.js';
import type { Looking } from './looking.js';

/** One more segment of Postgres' log takes as much, and no store gets far with less. */
export const LEAST_ROOM = 16 * 1024 * 1024;

/**
 * Whether a store that runs on this machine still has room to write. `folders`: those that it writes into; what is not there, or
 * cannot be looked into, says nothing.
 */
export async function lookAtRoom(
  looking: Looking,
  title: string,
  host: string,
  folders: readonly (string | undefined)[],
): Promise<void> {
  if (!isHere(host)) return;
  const disks = new Map<number, string>();
  for (const folder of folders) {
    const real = folder === undefined ? undefined : await realpath(folder).catch(() => undefined);
    const found = real === undefined ? undefined : await stat(real).catch(() => undefined);
    if (found && !disks.has(found.dev)) disks.set(found.dev, real!);
  }
  for (const folder of disks.values()) {
    const free = await freeBytes(folder);
    if (free < LEAST_ROOM)
      looking.ail(
        'full',
        `${title}: no space left: ${sizeOf(free)} free on the disk of ${folder}, too little to go on writing`,
        `make room there before anything is started or restored (what takes it: du -xah ${shellWord(folder)} | sort -h | tail)`,
      );
  }
}
