import { createHash } from 'node:crypto';
import type { Redis } from 'ioredis';
import type pg from 'pg';

// What is in the three stores, found out with the plain clients and not with the inventories of the program under test.

/** Everything that has to be equal again after a recovery. */
export interface Measured {
  /** `schema.table` → rows, and a checksum over all rows. */
  tables: Record<string, { rows: number; checksum: string }>;
  sequences: Record<string, string>;
  /** Collection → exact points, and a checksum over all ids, vectors and payloads. */
  collections: Record<string, { points: number; checksum: string }>;
  graphs: string[];
  /** Label → nodes. */
  nodes: Record<string, number>;
  /** Kind → relationships. */
  relationships: Record<string, number>;
  /** A checksum over all relationships with both their ends and properties. */
  edges: string;
  graphIndexes: string[];
}

export type MeasuredPostgres = Pick<Measured, 'tables' | 'sequences'>;
export type MeasuredQdrant = Pick<Measured, 'collections'>;
export type MeasuredFalkordb = Pick<Measured, 'graphs' | 'nodes' | 'relationships' | 'edges' | 'graphIndexes'>;

const sha256 = (lines: readonly string[]) =>
  createHash('sha256')
    .update([...lines].sort().join('\n'))
    .digest('hex');

const USER_SCHEMAS = `schemaname NOT IN ('pg_catalog', 'information_schema')`;

export async function measurePostgres(client: pg.Client): Promise<MeasuredPostgres> {
  const tables: Measured['tables'] = {};
  const found = await client.query<{ name: string; sql: string }>(
    `SELECT schemaname || '.' || tablename AS name, format('%I.%I', schemaname, tablename) AS sql
       FROM pg_tables WHERE ${USER_SCHEMAS} ORDER BY 1`,
  );
  for (const { name, sql } of found.rows) {
    const { rows } = await client.query<{ rows: string; checksum: string }>(
      `SELECT count(*) AS rows, coalesce(sum(hashtextextended(t::text, 0)::numeric), 0)::text AS checksum FROM ${sql} AS t`,
    );
    tables[name] = { rows: Number(rows[0]!.rows), checksum: rows[0]!.checksum };
  }
  const sequences = await client.query<{ name: string; value: string | null }>(
    `SELECT schemaname || '.' || sequencename AS name, last_value AS value FROM pg_sequences WHERE ${USER_SCHEMAS} ORDER BY 1`,
  );
  return {
    tables,
    sequences: Object.fromEntries(sequences.rows.map(({ name, value }) => [name, value ?? '(not used yet)'])),
  };
}

/** Asks Qdrant something; the answer's `result`. */
export type AskQdrant = <T>(method: string, path: string, body?: unknown) => Promise<T>;

interface Point {
  id: string | number;
  vector: number[];
  payload: Record<string, unknown>;
}

const PAGE = 1000;

export async function measureQdrant(ask: AskQdrant): Promise<MeasuredQdrant> {
  const listed = await ask<{ collections: { name: string }[] }>('GET', '/collections');
  const collections: Measured['collections'] = {};
  for (const name of listed.collections.map((one) => one.name).sort()) {
    const { count } = await ask<{ count: number }>('POST', `/collections/${name}/points/count`, { exact: true });
    collections[name] = { points: count, checksum: sha256((await pointsOf(ask, name)).map(pointLine)) };
  }
  return { collections };
}

async function pointsOf(ask: AskQdrant, collection: string): Promise<Point[]> {
  const points: Point[] = [];
  let offset: string | number | null = null;
  do {
    const page: { points: Point[]; next_page_offset: string | number | null } = await ask(
      'POST',
      `/collections/${collection}/points/scroll`,
      { limit: PAGE, with_payload: true, with_vector: true, ...(offset === null ? {} : { offset }) },
    );
    points.push(...page.points);
    offset = page.next_page_offset;
  } while (offset !== null);
  return points;
}

const pointLine = ({ id, vector, payload }: Point) => JSON.stringify([id, vector, Object.entries(payload).sort()]);

export async function measureFalkordb(redis: Redis, graph: string): Promise<MeasuredFalkordb> {
  const rows = async (cypher: string) =>
    ((await redis.call('GRAPH.RO_QUERY', graph, cypher)) as [unknown, unknown[][], unknown])[1];
  const counts = (found: unknown[][]) =>
    Object.fromEntries(found.map(([name, count]): [string, number] => [String(name), Number(count)]).sort());
  const edges = await rows(
    'MATCH (a)-[r]->(b) RETURN a.id, type(r), b.id, r.kind, r.strength, r.validFrom, r.validTo',
  );
  const indexes = await rows('CALL db.indexes() YIELD label, properties');
  return {
    graphs: ((await redis.call('GRAPH.LIST')) as string[]).sort(),
    nodes: counts(await rows('MATCH (n) RETURN labels(n)[0], count(n)')),
    relationships: counts(await rows('MATCH ()-[r]->() RETURN r.kind, count(r)')),
    edges: sha256(edges.map((edge) => JSON.stringify(edge))),
    graphIndexes: indexes.map(String).sort(),
  };
}
