import { existsSync } from 'node:fs';
import { access, constants, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isHere } from '../../hosts/here.js';
import type { Cluster } from '../cluster.js';
import type { Qdrant } from './connection.js';
import type { Recovered } from './recovery.js';

/**
 * The collections that a server serves although their files are gone: it answers from memory, also to writes, and loses them
 * when it ends. `dataDir` is the server's storage folder or the one that holds it. None where the files cannot be seen from
 * this machine.
 */
export function servedWithoutFiles(cluster: Cluster, served: readonly string[]): string[] {
  const dataDir = cluster.dataDirHere('qdrant');
  if (dataDir === undefined || !isHere(new URL(cluster.profile.qdrant.url).hostname)) return [];
  const folders = [dataDir, join(dataDir, 'storage')].map((folder) => join(folder, 'collections'));
  return served.filter((name) => !folders.some((folder) => existsSync(join(folder, name, 'config.json'))));
}

/**
 * Where a snapshot that a server has made lies on this machine: in its folder `snapshots`, in the data folder of the profile or
 * beside it. Undefined where no file of that name and size that may be read is found there.
 */
export async function snapshotOnDisk(
  cluster: Cluster,
  qdrant: Qdrant,
  { collection, shard }: Recovered,
  { name, bytes }: { name: string; bytes: number },
): Promise<string | undefined> {
  const dataDir = cluster.dataDirHere('qdrant');
  if (dataDir === undefined || !isHere(qdrant.endpoint.host)) return undefined;
  const within = [collection, ...(shard === undefined ? [] : ['shards', `${shard}`]), name];
  for (const folder of [dataDir, dirname(dataDir)]) {
    const file = join(folder, 'snapshots', ...within);
    const found = await stat(file).catch(() => undefined);
    if (!found?.isFile() || found.size !== bytes) continue;
    const isReadable = await access(file, constants.R_OK).then(
      () => true,
      () => false,
    );
    if (isReadable) return file;
  }
  return undefined;
}
