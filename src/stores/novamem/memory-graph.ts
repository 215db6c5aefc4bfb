import type { GraphContent } from '../falkordb/graph-content.js';
import type { Reading } from '../postgres/connection.js';

/** The graph that Postgres describes: a node for each memory, a relationship for each relation whose two memories are there. */
export interface MemoryGraph {
  memories: { count: number; first: string; last: string };
  /** Kind → relations, and the sum of their strengths. */
  relations: Record<string, { count: number; strength: number }>;
  /** Kind → relations that name a memory which is not there. */
  withoutEnds: Record<string, number>;
}

/** A memory as a node of the graph; `project` is empty when it belongs to none. */
export type MemoryNode = { id: string; user: string; project: string };
export type MemoryRelation = { from: string; to: string; kind: string; strength: number | null };

/** Cypher has no literal for what is not finite, and none for what is nearly nothing. */
const STRENGTH = 'CASE WHEN abs(r.strength) < 1e-300 THEN 0 WHEN abs(r.strength) <= 1e300 THEN r.strength END';
const RELATIONS = `memory_relations r LEFT JOIN memory_entries f ON f.id = r.from_id LEFT JOIN memory_entries t ON t.id = r.to_id`;
const WHOLE = 'f.id IS NOT NULL AND t.id IS NOT NULL';
const KIND = "coalesce(r.relation::text, '')";

/** Which of the tables that the graph is made from Postgres does not have. */
export async function missingTables({ query }: Reading): Promise<string[]> {
  const rows = await query<{ name: string }>(
    `SELECT name FROM unnest(ARRAY['memory_entries', 'memory_relations']) AS name WHERE to_regclass(name) IS NULL`,
  );
  return rows.map((row) => row.name);
}

/** Counts the graph that Postgres describes, exactly. */
export async function countMemoryGraph({ query }: Reading): Promise<MemoryGraph> {
  const [memories] = await query<{ count: string; first: string | null; last: string | null }>(
    `SELECT count(*)::text AS count, min(id::text COLLATE "C") AS first, max(id::text COLLATE "C") AS last FROM memory_entries`,
  );
  const rows = await query<{ kind: string; whole: string; broken: string; strength: number | null }>(
    `SELECT ${KIND} AS kind, (count(*) FILTER (WHERE ${WHOLE}))::text AS whole, (count(*) FILTER (WHERE NOT (${WHOLE})))::text AS broken,
            (sum(${STRENGTH}) FILTER (WHERE ${WHOLE}))::float8 AS strength
       FROM ${RELATIONS} GROUP BY 1 ORDER BY 1`,
  );
  const counted = rows.map((row) => ({ ...row, whole: Number(row.whole), broken: Number(row.broken) }));
  return {
    memories: { count: Number(memories!.count), first: memories!.first ?? '', last: memories!.last ?? '' },
    relations: Object.fromEntries(
      counted
        .filter((row) => row.whole > 0)
        .map((row) => [row.kind, { count: row.whole, strength: row.strength ?? 0 }]),
    ),
    withoutEnds: Object.fromEntries(counted.filter((row) => row.broken > 0).map((row) => [row.kind, row.broken])),
  };
}

export function memoryGraphContent({ memories, relations }: MemoryGraph): GraphContent {
  return {
    nodes: { Memory: memories.count },
    relationships: Object.fromEntries(Object.entries(relations).map(([kind, { count }]) => [kind, count])),
  };
}

/** Every memory, in batches; the reading must be a snapshot. */
export function memoriesIn(reading: Reading, batch: number): AsyncGenerator<MemoryNode[]> {
  return cursor(
    reading,
    'memories',
    `SELECT id::text AS id, user_id::text AS "user", coalesce(project_id::text, '') AS project FROM memory_entries`,
    batch,
  );
}

/** Every relation whose two memories are there, in batches; the reading must be a snapshot. */
export function relationsIn(reading: Reading, batch: number): AsyncGenerator<MemoryRelation[]> {
  return cursor(
    reading,
    'relations',
    `SELECT r.from_id::text AS "from", r.to_id::text AS "to", ${KIND} AS kind, ${STRENGTH} AS strength FROM ${RELATIONS} WHERE ${WHOLE}`,
    batch,
  );
}

/** A cursor of the server: it holds the rest, so that no more than one batch is in memory here. */
async function* cursor<Row>({ query }: Reading, name: string, sql: string, batch: number): AsyncGenerator<Row[]> {
  await query(`DECLARE ${name} NO SCROLL CURSOR FOR ${sql}`);
  try {
    for (;;) {
      const rows = await query<Row>(`FETCH ${Math.trunc(batch)} FROM ${name}`);
      if (rows.length > 0) yield rows;
      if (rows.length < batch) return;
    }
  } finally {
    // After an error the transaction is over, and the cursor with it.
    await query(`CLOSE ${name}`).catch(() => {});
  }
}

/** Some memories with all their relations, always the same ones: to be compared one by one, since a count proves no identity. */
export async function sampledMemories(
  { query }: Reading,
  count: number,
): Promise<(MemoryNode & { relations: MemoryRelation[] })[]> {
  const memories = await query<MemoryNode>(
    `SELECT id::text AS id, user_id::text AS "user", coalesce(project_id::text, '') AS project FROM memory_entries ORDER BY md5(id::text), id LIMIT $1`,
    [count],
  );
  const relations = await query<MemoryRelation>(
    `SELECT r.from_id::text AS "from", r.to_id::text AS "to", ${KIND} AS kind, ${STRENGTH} AS strength
       FROM ${RELATIONS} WHERE ${WHOLE} AND r.from_id::text = ANY($1) ORDER BY 1, 2, 3`,
    [memories.map((one) => one.id)],
  );
  return memories.map((memory) => ({ ...memory, relations: relations.filter((one) => one.from === memory.id) }));
}
