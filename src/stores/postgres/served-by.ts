import { join } from 'node:path';
import type { HostFiles } from '../../hosts/host-files.js';
import { localFiles } from '../../hosts/local-files.js';

/** The process that serves a data directory, as its lock file says; undefined where none runs. */
export async function servedBy(dataDir: string, files: HostFiles = localFiles): Promise<number | undefined> {
  const lock = join(dataDir, 'postmaster.pid');
  if (!(await files.exists(lock))) return undefined;
  // It may be removed in this moment.
  const text = await files.read(lock).then(String, () => '');
  const pid = Number.parseInt(text, 10);
  if (!(pid > 0)) return undefined;
  const worksIn = await files.workingFolder(pid);
  if (worksIn === undefined) return undefined;
  // In a container the same number is another process: a server works in its data directory.
  if (worksIn !== '') return worksIn === (await files.realPath(dataDir)) ? pid : undefined;
  // A lock file that was left behind may name a process of somebody else by now.
  const name = await files.read(`/proc/${pid}/comm`).then(String, () => 'postgres');
  return /postgres|postmaster/.test(name) ? pid : undefined;
}
