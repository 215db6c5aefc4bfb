import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, realpathSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { startPostgres, stopPostgres } from './damage.js';
import type { RealCluster } from './sandbox.js';

// A write-ahead log that lies on another disk than the data directory, behind a link, as `initdb --waldir` leaves it.

/** A disk of its own on every Linux, on which anybody may write. */
const OTHER_DISK = '/dev/shm';
const made: string[] = [];
afterAll(() => {
  for (const folder of made.splice(0)) rmSync(folder, { recursive: true, force: true });
});

/** Why there is no other disk here: empty where there is one. */
export function whyNoOtherDisk(): string {
  const found = statSync(OTHER_DISK, { throwIfNoEntry: false });
  if (found && found.dev !== statSync(realpathSync(tmpdir())).dev) return '';
  return `${OTHER_DISK} is no disk of its own here`;
}

/** A new empty folder on the other disk, which whoever runs a server may pass through. */
export function folderOnOtherDisk(): string {
  const folder = mkdtempSync(join(OTHER_DISK, 'novamem-runbook-log-'));
  chmodSync(folder, 0o755);
  made.push(folder);
  return folder;
}

/** Moves the log of a cluster into a folder, whatever that holds, and leads there by a link. */
export async function logMovedTo(
  folder: string,
  { cluster, places }: Pick<RealCluster, 'cluster' | 'places'>,
): Promise<void> {
  const own = join(places.postgresData, 'pg_wal');
  await stopPostgres(cluster);
  const from = realpathSync(own);
  execFileSync('cp', ['-aT', from, folder]);
  for (const old of [from, own]) rmSync(old, { recursive: true, force: true });
  symlinkSync(folder, own);
  await startPostgres(cluster);
}
