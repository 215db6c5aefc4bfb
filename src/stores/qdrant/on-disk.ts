import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { isHere } from '../../hosts/here.js';
import type { Cluster } from '../cluster.js';

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
