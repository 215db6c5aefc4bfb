import { orElse } from '../../hosts/elsewhere/seen-in.js';
import type { HostFiles } from '../../hosts/host-files.js';

// A data directory that cannot be renamed keeps, in folders of its own, what was in it before a recovery.

/** How the folders begin that hold what was there before: they belong to the server's user, as all in it. */
export const BEFORE_INSIDE = '.novamem-runbook-before-';
/**
 * How the folder begins in which a new data directory is made ready. What begins with pgsql_tmp every base backup leaves out: it would fail
 * on files that are not the server's yet.
 */
export const PLACING_INSIDE = 'pgsql_tmp.novamem-runbook-placing-';

export const isKeptInside = (name: string): boolean =>
  name.startsWith(BEFORE_INSIDE) || name.startsWith(PLACING_INSIDE);

/** The names of such folders in a data directory; none where that cannot be listed. Rejects where its host cannot be reached. */
export async function keptInside(dataDir: string, files: Pick<HostFiles, 'list'>): Promise<string[]> {
  const entries = await orElse(files.list(dataDir), []);
  return entries.map(({ name }) => name).filter(isKeptInside);
}

/** The run that such a folder is of. */
export const runOf = (name: string): string =>
  name
    .replace(BEFORE_INSIDE, '')
    .replace(PLACING_INSIDE, '')
    .replace(/-(attempt|undone)(-\d+)?$/, '');
