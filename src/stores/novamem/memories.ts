import type { Postgres } from '../postgres/connection.js';

/** What Postgres says of novamem's memories, as far as their vectors are concerned. */
export interface Memories {
  memories: number;
  /** Rows that novamem has yet to embed; undefined where this version keeps no such queue (no column `embedded_at`). */
  waiting: number | undefined;
  /** Written after the instant that was asked for; 0 where none was. */
  newer: number;
  /** Written before it, but embedded again after it: their vector of that time is outdated. */
  changed: number;
}

/** Counts the memories; undefined where there is no table of them. `since`: what counts as newer. */
export function describeMemories(postgres: Postgres, since: Date | null = null): Promise<Memories | undefined> {
  return postgres.reading(async ({ query }) => {
    const columns = await query<{ name: string }>(
      `SELECT attname AS name FROM pg_attribute WHERE attrelid = to_regclass('memory_entries') AND attnum > 0 AND NOT attisdropped`,
    );
    if (columns.length === 0) return undefined;
    const queued = columns.some((column) => column.name === 'embedded_at');
    const [row] = await query<Record<'memories' | 'waiting' | 'newer' | 'changed', string>>(
      `SELECT count(*) AS memories, count(*) FILTER (WHERE created_at > $1) AS newer,
              ${queued ? 'count(*) FILTER (WHERE embedded_at IS NULL)' : '0'} AS waiting,
              ${queued ? 'count(*) FILTER (WHERE created_at <= $1 AND embedded_at > $1)' : '0'} AS changed
         FROM memory_entries`,
      [since],
    );
    return {
      memories: Number(row!.memories),
      waiting: queued ? Number(row!.waiting) : undefined,
      newer: Number(row!.newer),
      changed: Number(row!.changed),
    };
  });
}

/** The memories of one user, or of one project, in one namespace: what novamem keeps in one collection. */
export interface Scope {
  user: string;
  project: string | null;
  namespace: string;
  memories: number;
}

/** Every scope that has memories; none where there is no table of them. */
export function scopesOf(postgres: Postgres): Promise<Scope[]> {
  return postgres.reading(async ({ query }) => {
    const [table] = await query<{ there: boolean }>("SELECT to_regclass('memory_entries') IS NOT NULL AS there");
    if (!table?.there) return [];
    return query<Scope>(
      `SELECT user_id AS "user", project_id AS project, namespace, count(*)::int AS memories
         FROM memory_entries GROUP BY 1, 2, 3 ORDER BY 1, 2, 3`,
    );
  });
}

/** Every name that a version of novamem gives to the collection of a scope. A project's is shared by its members. */
export function collectionNames({ user, project, namespace }: Scope, prefix: string): string[] {
  return project === null
    ? [`${prefix}u_${user}_${namespace}`, `${prefix}${user}_${namespace}`]
    : [`${prefix}p_${project}_${namespace}`];
}

/**
 * Memories that each collection should hold, by name. Undefined where these names do not account for all the collections
 * that there are: this novamem then calls them otherwise, and nothing can be said of a single one.
 */
export function expectedCollections(
  scopes: readonly Scope[],
  prefix: string,
  there: readonly string[],
): Record<string, number> | undefined {
  const placed = scopes.map((scope) => {
    const names = collectionNames(scope, prefix);
    return { scope, names, at: names.findIndex((name) => there.includes(name)) };
  });
  // What is missing is called as its neighbours are.
  const usual = placed.find(({ scope, at }) => scope.project === null && at >= 0)?.at ?? 0;
  const expected: Record<string, number> = {};
  for (const { scope, names, at } of placed) {
    const name = names[at >= 0 ? at : usual] ?? names[0]!;
    expected[name] = (expected[name] ?? 0) + scope.memories;
  }
  const found = there.filter((name) => expected[name] !== undefined);
  return found.length > 0 && found.length === there.length ? expected : undefined;
}
