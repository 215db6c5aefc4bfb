import { orElse } from '../../hosts/elsewhere/seen-in.js';
import type { HostFiles } from '../../hosts/host-files.js';

// A data directory that cannot be renamed keeps, in folders of its own, what was in it before a recovery.

/**
 * What begins with pgsql_tmp, pg_basebackup, pg_rewind and pg_checksums pass by. They would not only take such a folder along: a base backup
 * fails on names that are too long with it before them, and on files that are not the server's yet. No server removes it: what
 * it clears away lies in its tablespaces.
 */
const INSIDE = 'pgsql_tmp.novamem-runbook-';
/** How the folders begin that hold what was there before. */
export const BEFORE_INSIDE = `${INSIDE}before-`;
/** How the folder begins in which a new data directory is made ready. */
export const PLACING_INSIDE = `${INSIDE}placing-`;
/** All of them, as a shell finds them. */
export const INSIDE_GLOB = `${INSIDE}*`;

export const isKeptInside = (name: string): boolean => name.startsWith(INSIDE);

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
