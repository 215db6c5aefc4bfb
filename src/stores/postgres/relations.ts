import { type Postgres, sqlState } from './connection.js';
import type { PagedFile, Scope } from './page-look.js';
import type { Table } from './readable-rows.js';

// Everything of a database that lies in files: tables, indexes, values stored apart, sequences, catalogs.

interface Relation {
  schema: string;
  name: string;
  kind: string;
  path: string;
  bytes: number;
  pages: number;
  rows: number;
  scope: Scope;
  /** Of an index or of values stored apart: the table. */
  of: string;
}

/** Objects with a lower number were made by initdb: the catalogs. */
const FIRST_OF_USERS = 16384;

/** A table that somebody holds exclusively keeps even its size to itself: then it is taken from the statistics. */
const LOCK_PATIENCE = '5s';
const LOCK_NOT_AVAILABLE = '55P03';
const SIZE_ON_DISK = 'coalesce(pg_relation_size(c.oid), 0)::float8';
const SIZE_BY_STATISTICS = "c.relpages * current_setting('block_size')::float8";

const relationsWith = (size: string) => `
  SELECT n.nspname AS schema, c.relname AS name, c.relkind::text AS kind, pg_relation_filepath(c.oid) AS path,
         ${size} AS bytes, c.relpages AS pages, c.reltuples::float8 AS rows,
         CASE WHEN c.relisshared THEN 'cluster' WHEN coalesce(o.oid, c.oid) < ${FIRST_OF_USERS} THEN 'catalog' ELSE 'novamem' END AS scope,
         coalesce(o.relname, '') AS of
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_index i ON i.indexrelid = c.oid
    LEFT JOIN pg_class o ON o.reltoastrelid = coalesce(i.indrelid, c.oid)
   WHERE pg_relation_filepath(c.oid) IS NOT NULL AND c.relpersistence <> 't'
   ORDER BY c.relname <> 'memory_entries', c.oid < ${FIRST_OF_USERS}, 5, 1, 2`;

/** What of a database lies in files, novamem's memories first, then what is small. */
export interface Relations {
  tables: (Table & { scope: Scope; bytes: number })[];
  files: PagedFile[];
  /** Sizes are those of the statistics: what was added since is not known. */
  estimated: boolean;
}

/** Asks the catalog of a database for its files. Rejects where the catalog cannot be read. */
export async function relationsOf(postgres: Postgres, database: string, blockSize: number): Promise<Relations> {
  const asked = (size: string) =>
    postgres.reading(({ query }) => query<Relation>(relationsWith(size)), {
      database,
      settings: { lock_timeout: LOCK_PATIENCE },
    });
  let estimated = false;
  const all = await asked(SIZE_ON_DISK).catch((error: unknown) => {
    if (sqlState(error) !== LOCK_NOT_AVAILABLE) throw error;
    estimated = true;
    return asked(SIZE_BY_STATISTICS);
  });
  return {
    estimated,
    files: all.map((one) => ({ path: one.path, what: whatOf(one), scope: one.scope, bytes: one.bytes })),
    tables: all
      .filter((one) => ['r', 'm'].includes(one.kind))
      .map(({ schema, name, path, bytes, pages, rows, scope }) => ({
        schema,
        name,
        path,
        bytes,
        scope,
        blocks: Math.ceil(bytes / blockSize),
        ...(rows >= 0 && pages > 0 ? { expected: { rows, blocks: pages } } : {}),
      })),
  };
}

function whatOf({ schema, name, kind, of }: Relation): string {
  if (of !== '') return `values of ${of} stored apart${kind === 'i' ? ' (their index)' : ''}`;
  const words: Record<string, string> = { r: 'table', m: 'materialized view', i: 'index', S: 'sequence' };
  return `${words[kind] ?? 'relation'} ${schema}.${name}`;
}

/** Paged files of a folder of the server, whatever the catalogs say: those named by a number. */
export async function filesIn(
  postgres: Postgres,
  through: string,
  folder: string,
  what: string,
  scope: Scope,
): Promise<PagedFile[]> {
  const found = await postgres.read<{ name: string; bytes: number }>(
    `SELECT name, coalesce((pg_stat_file($1 || '/' || name, true)).size, 0)::float8 AS bytes
       FROM pg_ls_dir($1, true, false) AS name WHERE name ~ '^[0-9]+$' ORDER BY 1`,
    [folder],
    through,
  );
  return found.map(({ name, bytes }) => ({
    path: `${folder}/${name}`,
    what: `${what} ${folder}/${name}`,
    scope,
    bytes,
  }));
}
