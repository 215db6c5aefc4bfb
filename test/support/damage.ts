import { execFileSync } from 'node:child_process';
import { closeSync, openSync, rmSync, truncateSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Cluster } from '../../src/stores/cluster.js';
import { eventually } from './eventually.js';
import { open, type RealCluster } from './sandbox.js';
import { tempFolder } from './temp.js';

// Real damage: blocks of a server's files are overwritten while it is stopped, so that nothing of them is left in its memory.

const BLOCK = 8192;
const quiet = { onLine: () => {} };

export async function stopPostgres(cluster: Cluster): Promise<void> {
  await cluster.driver('postgres')!.stop(open, quiet);
}

export async function startPostgres(cluster: Cluster): Promise<void> {
  await cluster.driver('postgres')!.start(open, quiet);
  await eventually('Postgres answers', async () => (await cluster.answering('postgres')).answers);
}

/** Stops Postgres, changes its files, and starts it again. */
export async function whileStopped(cluster: Cluster, change: () => void): Promise<void> {
  await stopPostgres(cluster);
  change();
  await startPostgres(cluster);
}

/** The file of a table or index, below the data directory. */
export async function fileOf(real: Pick<RealCluster, 'sql' | 'places'>, relation: string, database?: string) {
  const [row] = await real.sql(`SELECT pg_relation_filepath('${relation}') AS path`, database);
  return join(real.places.postgresData, row!.path as string);
}

/** Overwrites whole blocks with bytes that are no page. */
export function overwrite(file: string, blocks: readonly number[]): void {
  const descriptor = openSync(file, 'r+');
  try {
    for (const block of blocks) writeSync(descriptor, Buffer.alloc(BLOCK, 0xa5), 0, BLOCK, block * BLOCK);
  } finally {
    closeSync(descriptor);
  }
}

/** Cuts a file off behind so many blocks. */
export function cutOff(file: string, blocks: number): void {
  truncateSync(file, blocks * BLOCK);
}

export function removeFile(file: string): void {
  rmSync(file);
}

/** A copy of the data directory as it is now, and the way back to it. */
export function dataDirectory({ cluster, places }: Pick<RealCluster, 'cluster' | 'places'>) {
  const copy = join(tempFolder('data'), 'postgres');
  const data = places.postgresData;
  return {
    keep: () => whileStopped(cluster, () => execFileSync('cp', ['-aT', data, copy])),
    putBack: () =>
      whileStopped(cluster, () => {
        rmSync(data, { recursive: true });
        execFileSync('cp', ['-aT', copy, data]);
      }),
  };
}
