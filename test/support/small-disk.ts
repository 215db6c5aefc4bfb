import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, openSync, rmSync, symlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { sizeOfTree } from '../../src/hosts/copy-tree.js';
import { startPostgres, stopPostgres } from './damage.js';
import type { RealCluster } from './sandbox.js';
import { tempFolder } from './temp.js';

const mounted: string[] = [];

afterAll(() => {
  for (const folder of mounted.splice(0)) spawnSync('umount', ['-l', folder]);
});

const ROOM = 64 << 20;

/** A real small disk on which the data directory of a cluster's Postgres lies; undefined where none may be mounted. */
export async function smallDisk({ cluster, places }: Pick<RealCluster, 'cluster' | 'places'>) {
  const data = places.postgresData;
  const disk = tempFolder('disk');
  const { bytes } = await sizeOfTree(data);
  const options = `size=${bytes + ROOM}`;
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', disk]).status !== 0) return undefined;
  mounted.push(disk);
  execFileSync('chmod', ['755', disk]);
  const ballast = join(disk, 'ballast');
  await stopPostgres(cluster);
  execFileSync('cp', ['-aT', data, join(disk, 'postgres')]);
  rmSync(data, { recursive: true });
  symlinkSync(join(disk, 'postgres'), data);
  await startPostgres(cluster);
  return {
    /** Takes all the room that is left. */
    fill(): void {
      const file = openSync(ballast, 'w');
      try {
        for (;;) writeSync(file, Buffer.alloc(64 << 10, 1));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
      } finally {
        closeSync(file);
      }
    },
    empty: () => rmSync(ballast),
    /** Takes the data directory back to where it lay, as it is now: the archive has its log already. */
    async leave(): Promise<void> {
      await stopPostgres(cluster);
      rmSync(data);
      execFileSync('cp', ['-aT', join(disk, 'postgres'), data]);
      await startPostgres(cluster);
    },
  };
}
