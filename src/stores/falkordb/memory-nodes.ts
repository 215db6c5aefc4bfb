import type { Gateway } from '../../hosts/gateway.js';
import { type Check, equal } from '../check.js';
import type { MemoryGraph, MemoryNode, MemoryRelation } from '../novamem/memory-graph.js';
import type { FalkorDB } from './connection.js';
import { withRows } from './cypher.js';
import { graphContent, totalOf } from './graph-content.js';

export const MERGE_MEMORIES =
  'UNWIND $rows AS row MERGE (m:Memory {id: row.id}) SET m.user = row.user, m.project = row.project';

export const MERGE_RELATIONS =
  'UNWIND $rows AS row MATCH (a:Memory {id: row.from}), (b:Memory {id: row.to}) MERGE (a)-[r:RELATES {kind: row.kind}]->(b) SET r.strength = row.strength RETURN count(r)';

const DELETE_MEMORIES = 'UNWIND $rows AS row MATCH (m:Memory {id: row.id}) DETACH DELETE m';

const DELETE_RELATIONS =
  'UNWIND $rows AS row MATCH (a:Memory {id: row.from})-[r:RELATES {kind: row.kind}]->(b:Memory {id: row.to}) DELETE r';

/** How many of these memories have a node in the graph. */
export async function memoriesIn(falkordb: FalkorDB, ids: readonly string[]): Promise<number> {
  const rows = withRows(ids.map((id) => ({ id })));
  const [row] = await falkordb.query(
    falkordb.graph,
    `${rows}UNWIND $rows AS row MATCH (m:Memory {id: row.id}) RETURN count(m)`,
  );
  return Number(row?.[0] ?? 0);
}

/** Those of these memories that have no node in a graph. */
export async function memoriesMissing<M extends { id: string }>(
  falkordb: FalkorDB,
  graph: string,
  memories: readonly M[],
): Promise<M[]> {
  const rows = withRows(memories.map(({ id }) => ({ id })));
  const missing = await falkordb.query(
    graph,
    `${rows}UNWIND $rows AS row OPTIONAL MATCH (m:Memory {id: row.id}) WITH row, count(m) AS there WHERE there = 0 RETURN row.id`,
  );
  const ids = new Set(missing.map(([id]) => String(id)));
  return memories.filter(({ id }) => ids.has(id));
}

/** Those of these relations that have no relationship of their kind in a graph, whatever its strength and its validity. */
export async function relationsMissing(
  falkordb: FalkorDB,
  graph: string,
  relations: readonly MemoryRelation[],
): Promise<MemoryRelation[]> {
  const rows = withRows(relations.map(({ from, to, kind }, at) => ({ at, from, to, kind })));
  const missing = await falkordb.query(
    graph,
    `${rows}UNWIND $rows AS row OPTIONAL MATCH (a:Memory {id: row.from})-[r:RELATES {kind: row.kind}]->(b:Memory {id: row.to}) WITH row, count(r) AS there WHERE there = 0 RETURN row.at`,
  );
  const places = new Set(missing.map(([at]) => Number(at)));
  return relations.filter((_, at) => places.has(at));
}

/** Takes relations out of a graph, and memories with all their relationships; those that are not there are no fault. */
export async function takeOut(
  falkordb: FalkorDB,
  gateway: Gateway,
  graph: string,
  { memories, relations }: { memories: readonly MemoryNode[]; relations: readonly MemoryRelation[] },
): Promise<void> {
  if (relations.length > 0) await falkordb.change(gateway, graph, DELETE_RELATIONS, relations);
  if (memories.length > 0) await falkordb.change(gateway, graph, DELETE_MEMORIES, memories);
}

/** Puts memories into a graph; those that are there already stay one. */
export async function mergeMemories(
  falkordb: FalkorDB,
  gateway: Gateway,
  graph: string,
  memories: readonly MemoryNode[],
): Promise<void> {
  await falkordb.change(gateway, graph, MERGE_MEMORIES, memories);
}

/** Puts relations between memories of a graph; those that are there already stay one. Throws when a memory is not there. */
export async function mergeRelations(
  falkordb: FalkorDB,
  gateway: Gateway,
  graph: string,
  relations: readonly MemoryRelation[],
): Promise<void> {
  const [row] = await falkordb.change(gateway, graph, MERGE_RELATIONS, relations);
  const linked = Number(row?.[0]);
  if (linked !== relations.length)
    throw new Error(
      `only ${linked} of ${relations.length} relations found both their memories in the graph ${graph}, though all were put there: something else writes to it, or the server drops keys (maxmemory)`,
    );
}

/** The last digits of a sum of floats depend on its order: they are not evidence. */
const summed = (strength: number) => strength.toPrecision(9);

/** The evidence that a graph holds exactly what Postgres says, by count, by identity of the ends and by the sum of the strengths. */
export async function memoryGraphChecks(falkordb: FalkorDB, graph: string, expected: MemoryGraph): Promise<Check[]> {
  const subject = `falkordb graph ${graph}`;
  const { nodes, relationships } = await graphContent(falkordb, graph);
  const [ids] = await falkordb.query(graph, 'MATCH (m:Memory) RETURN count(DISTINCT m.id), min(m.id), max(m.id)');
  const sums = await falkordb.query(graph, 'MATCH ()-[r:RELATES]->() RETURN r.kind, sum(r.strength)');
  const strength = new Map(sums.map(([kind, sum]) => [String(kind), Number(sum)]));
  const { count, first, last } = expected.memories;
  const range = (number: unknown, from: unknown, to: unknown) => `${number} distinct, ${from || '-'} to ${to || '-'}`;
  const kinds = [...new Set([...Object.keys(expected.relations), ...Object.keys(relationships)])].sort();
  return [
    equal(subject, 'nodes', count, totalOf(nodes)),
    equal(subject, 'Memory nodes', count, nodes.Memory ?? 0),
    equal(subject, 'Memory ids', range(count, first, last), range(ids?.[0], ids?.[1], ids?.[2])),
    ...kinds.flatMap((kind) => [
      equal(subject, `${kind} relationships`, expected.relations[kind]?.count ?? 0, relationships[kind] ?? 0),
      equal(
        subject,
        `${kind} strength`,
        summed(expected.relations[kind]?.strength ?? 0),
        summed(strength.get(kind) ?? 0),
      ),
    ]),
  ];
}

/** The evidence that some memories stand in the graph with their owner and every relation: a count proves no identity. */
export async function sampleChecks(
  falkordb: FalkorDB,
  graph: string,
  samples: readonly (MemoryNode & { relations: MemoryRelation[] })[],
): Promise<Check[]> {
  if (samples.length === 0) return [];
  const rows = await falkordb.query(
    graph,
    `${withRows(samples.map(({ id }) => ({ id })))}UNWIND $rows AS row MATCH (m:Memory {id: row.id}) OPTIONAL MATCH (m)-[r:RELATES]->(n:Memory) RETURN m.id, m.user, m.project, n.id, r.kind, r.strength`,
  );
  const actual = Map.groupBy(rows, ([id]) => String(id));
  const differing = samples.filter(({ id, user, project, relations }) => {
    const said = relations.map(({ to, kind, strength }) => edgeText(id, user, project, to, kind, strength));
    const found = (actual.get(id) ?? []).map(([from, owner, of, to, kind, strength]) =>
      edgeText(from, owner, of, to, kind, strength),
    );
    const expected = said.length > 0 ? said : [edgeText(id, user, project, null, null, null)];
    return expected.sort().join('\n') !== found.sort().join('\n');
  });
  return [
    equal(
      `falkordb graph ${graph}`,
      `sampled memories with all their relations, of ${samples.length}`,
      'all equal',
      differing.length === 0 ? 'all equal' : `differ: ${differing.map(({ id }) => id).join(', ')}`,
    ),
  ];
}

const edgeText = (...values: unknown[]) =>
  values
    .map((value, at) => (at === 5 && value !== null && value !== undefined ? summed(Number(value)) : (value ?? null)))
    .join(' | ');
