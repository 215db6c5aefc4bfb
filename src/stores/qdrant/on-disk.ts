import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Profile } from '../../config/profile.js';
import { isHere } from '../../hosts/here.js';

/**
 * The collections that a server serves although their files are gone: it answers from memory, also to writes, and loses them
 * when it ends. `dataDir` is the server's storage folder or the one that holds it. None where the files cannot be seen from
 * this machine.
 */
export function servedWithoutFiles({ dataDir, url }: Profile['qdrant'], served: readonly string[]): string[] {
  if (dataDir === undefined || !isHere(new URL(url).hostname)) return [];
  const folders = [dataDir, join(dataDir, 'storage')].map((folder) => join(folder, 'collections'));
  return served.filter((name) => !folders.some((folder) => existsSync(join(folder, name, 'config.json'))));
}
