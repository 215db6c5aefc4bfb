import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { startPostgres, stopPostgres } from './damage.js';
import type { RealCluster } from './sandbox.js';
import { tempFolder } from './temp.js';

// A data directory that cannot be renamed: a mount point, or, where nobody may mount, one below a folder that may not be written to.

const ends: (() => void)[] = [];
afterAll(() => {
  for (const end of ends.splice(0)) end();
});

function mountedOn(folder: string, other: string): boolean {
  if (spawnSync('mount', ['--bind', other, folder]).status !== 0) return false;
  ends.push(() => spawnSync('umount', ['-l', folder]));
  return true;
}

/** Why there can be none here: empty where there can. */
export function whyNoVolume(): string {
  if (process.getuid?.() !== 0) return '';
  const folder = tempFolder('mount-try');
  if (spawnSync('mount', ['--bind', folder, folder]).status !== 0)
    return 'root may not mount anything here, and may write to every folder';
  spawnSync('umount', ['-l', folder]);
  return '';
}

/** Makes the data directory of a cluster one that cannot be renamed. Answers its real path. */
export async function onOwnVolume({ cluster, places }: Pick<RealCluster, 'cluster' | 'places'>): Promise<string> {
  const data = places.postgresData;
  const volume = tempFolder('volume');
  chmodSync(volume, 0o755);
  const content = join(volume, 'data');
  await stopPostgres(cluster);
  execFileSync('cp', ['-aT', data, content]);
  rmSync(data, { recursive: true });
  mkdirSync(data);
  if (!mountedOn(data, content)) {
    rmSync(data, { recursive: true });
    symlinkSync(content, data);
    chmodSync(volume, 0o555);
    ends.push(() => chmodSync(volume, 0o755));
  }
  await startPostgres(cluster);
  return realpathSync(data);
}
