import type { Gateway } from '../../hosts/gateway.js';
import type { FalkorDB } from './connection.js';
import { cypherText, propertiesOf, type TypedValue } from './cypher.js';

/** A node and the memory that it is of; null where it has no id. `node` is the server's own number for it. */
export interface NodeOf {
  node: number;
  memory: string | null;
}

/** A relationship of a saved node, and the node at its other end. */
export interface SavedRelationship {
  direction: 'out' | 'in';
  type: string;
  /** Each as Cypher reads it. */
  properties: Record<string, string>;
  other: NodeOf;
}

/** A node with all its relationships, whole enough to be made again. */
export interface SavedNode {
  node: number;
  memory: string;
  labels: string[];
  /** Each as Cypher reads it. */
  properties: Record<string, string>;
  relationships: SavedRelationship[];
}

const PAGE = 10_000;
const CONTENT_PAGE = 1_000;

/**
 * Every node with the label Memory, a page at a time, by ranges of the server's own numbers: with an order by id each page would
 * sort all that is left. Nothing where the graph is absent.
 */
export async function* nodePages(falkordb: FalkorDB): AsyncGenerator<NodeOf[]> {
  for await (const range of ranges(falkordb, PAGE))
    yield (await idsAsJson(falkordb, range)) ??
      (await listed(falkordb, range, IDS)).map(([node, id]) => nodeOf(node![1], id![1]));
}

const IDS = 'ID(m), m.id';

/** As one text, which is taken apart in a fifth of the time that rows take. Undefined where it cannot be. */
async function idsAsJson(falkordb: FalkorDB, range: string): Promise<NodeOf[] | undefined> {
  const [row] = await falkordb.query(falkordb.graph, `${range} RETURN toJSON(collect([${IDS}]))`);
  const text = String(row?.[0]);
  // The server leaves a backslash as it is, so that with what follows it reads as another character.
  if (text.includes('\\')) return undefined;
  try {
    const ids = JSON.parse(text) as unknown[][];
    if (!ids.every(([, id]) => typeof id === 'string' || id === null)) return undefined;
    return ids.map(([node, id]) => nodeOf(node, id));
  } catch {
    return undefined;
  }
}

/** What a node with the label Memory says: its memory, and its labels and properties as one text. */
export interface NodeContent {
  memory: string | null;
  says: string;
}

/** The same with what each node says: for a graph of some thousand. */
export async function* nodeContentPages(falkordb: FalkorDB): AsyncGenerator<NodeContent[]> {
  for await (const range of ranges(falkordb, CONTENT_PAGE))
    yield (await listed(falkordb, range, 'm.id, labels(m), properties(m)')).map(([id, labels, properties]) => ({
      memory: nodeOf(0, id![1]).memory,
      says: `${JSON.stringify(labels![1])} ${JSON.stringify(pairsOf(properties![1] as unknown[]).sort())}`,
    }));
}

const pairsOf = (flat: readonly unknown[]): string[] =>
  Array.from({ length: flat.length / 2 }, (_, index) => JSON.stringify([flat[index * 2], flat[index * 2 + 1]]));

/** What matches all nodes, `size` of the server's numbers at a time. */
async function* ranges(falkordb: FalkorDB, size: number): AsyncGenerator<string> {
  const { highest } = await countNodes(falkordb);
  for (let from = 0; from <= highest; from += size)
    yield `MATCH (m:Memory) WHERE ID(m) >= ${from} AND ID(m) < ${from + size}`;
}

/** What is asked of each node of a range, as one list in one row: a server may cut rows off (GRAPH.CONFIG GET RESULTSET_SIZE). */
async function listed(falkordb: FalkorDB, range: string, asked: string): Promise<TypedValue[][]> {
  const [row] = await falkordb.typedQuery(falkordb.graph, `${range} RETURN collect([${asked}])`);
  if (!row)
    throw new Error(
      `FalkorDB at ${falkordb.address} gave no row where it must give one: its answers are cut off (GRAPH.CONFIG GET RESULTSET_SIZE)`,
    );
  return (row[0]![1] as TypedValue[]).map(([, values]) => values as TypedValue[]);
}

/** How many nodes have the label Memory; -1 as the highest number where there is none. */
export async function countNodes(falkordb: FalkorDB): Promise<{ highest: number; count: number }> {
  if (!(await falkordb.graphs()).includes(falkordb.graph)) return { highest: -1, count: 0 };
  const [row] = await falkordb.query(falkordb.graph, 'MATCH (m:Memory) RETURN max(ID(m)), count(m)');
  const [highest, count] = row!;
  return { highest: highest === null ? -1 : Number(highest), count: Number(count) };
}

export async function countRelationships(falkordb: FalkorDB): Promise<number> {
  if (!(await falkordb.graphs()).includes(falkordb.graph)) return 0;
  const [row] = await falkordb.query(falkordb.graph, 'MATCH ()-[r]->() RETURN count(r)');
  return Number(row![0]);
}

/** A relationship between two memories. */
export interface RelationshipOf {
  from: string;
  kind: string;
  to: string;
  /** Its type, its strength, and from when to when it is valid, as one text. */
  says: string;
}

/** Every relationship between two memories: for a graph of some thousand. */
export async function relationshipEnds(falkordb: FalkorDB): Promise<RelationshipOf[]> {
  if (!(await falkordb.graphs()).includes(falkordb.graph)) return [];
  const rows = await falkordb.query(
    falkordb.graph,
    'MATCH (a:Memory)-[r]->(b:Memory) RETURN a.id, r.kind, b.id, type(r), r.strength, r.validFrom, r.validTo',
  );
  return rows.map(([from, kind, to, ...says]) => ({
    from: String(from),
    kind: String(kind),
    to: String(to),
    says: says.map(String).join(' '),
  }));
}

const nodeOf = (node: unknown, id: unknown): NodeOf => ({
  node: Number(node),
  memory: id === null || id === undefined ? null : String(id),
});

/** Those of the nodes that are there and still of that memory, with all their relationships. */
export async function readNodes(falkordb: FalkorDB, wanted: readonly NodeOf[]): Promise<SavedNode[]> {
  const memories = new Map(wanted.map(({ node, memory }) => [node, memory]));
  const rows = await falkordb.typedQuery(
    falkordb.graph,
    `UNWIND ${numbers(memories.keys())} AS n MATCH (m:Memory) WHERE ID(m) = n RETURN n, m.id, labels(m), properties(m)`,
  );
  const saved = rows.map(
    ([node, id, labels, properties]): SavedNode => ({
      node: Number(node![1]),
      memory: String(id![1]),
      labels: (labels![1] as TypedValue[]).map(([, label]) => String(label)),
      properties: propertiesOf(properties!),
      relationships: [],
    }),
  );
  const still = new Map(saved.filter((one) => memories.get(one.node) === one.memory).map((one) => [one.node, one]));
  for (const [node, relationship] of await relationshipsOf(falkordb, [...still.keys()]))
    still.get(node)!.relationships.push(relationship);
  return [...still.values()];
}

/** The relationships of these nodes, each with the node whose it is; one from a node to itself comes once, as going out. */
export async function relationshipsOf(
  falkordb: FalkorDB,
  nodes: readonly number[],
): Promise<[node: number, SavedRelationship][]> {
  if (nodes.length === 0) return [];
  const found: [number, SavedRelationship][] = [];
  for (const [direction, pattern] of [
    ['out', '(m)-[r]->(o)'],
    ['in', '(m)<-[r]-(o)'],
  ] as const) {
    // Nothing may be asked of the other end here: the server would then look through all nodes for it.
    const rows = await falkordb.typedQuery(
      falkordb.graph,
      `UNWIND ${numbers(nodes)} AS n MATCH ${pattern} WHERE ID(m) = n RETURN n, type(r), properties(r), ID(o), o.id`,
    );
    for (const [node, type, properties, other, id] of rows) {
      if (direction === 'in' && other![1] === node![1]) continue;
      found.push([
        Number(node![1]),
        {
          direction,
          type: String(type![1]),
          properties: propertiesOf(properties!),
          other: nodeOf(other![1], id![1]),
        },
      ]);
    }
  }
  return found;
}

/** Which of these nodes are still there and of that memory. */
export async function nodesAmong(falkordb: FalkorDB, wanted: readonly NodeOf[]): Promise<NodeOf[]> {
  if (wanted.length === 0 || !(await falkordb.graphs()).includes(falkordb.graph)) return [];
  const memories = new Map(wanted.map(({ node, memory }) => [node, memory]));
  const rows = await falkordb.query(
    falkordb.graph,
    `UNWIND ${numbers(memories.keys())} AS n MATCH (m:Memory) WHERE ID(m) = n RETURN n, m.id`,
  );
  return rows.map(([node, id]) => nodeOf(node, id)).filter((one) => memories.get(one.node) === one.memory);
}

/** The nodes with the label Memory of these memories; none where the graph is absent. */
export async function nodesOfMemories(falkordb: FalkorDB, memories: readonly string[]): Promise<NodeOf[]> {
  if (memories.length === 0 || !(await falkordb.graphs()).includes(falkordb.graph)) return [];
  const rows = await falkordb.query(
    falkordb.graph,
    `MATCH (m:Memory) WHERE m.id IN [${memories.map(cypherText).join(', ')}] RETURN ID(m), m.id`,
  );
  return rows.map(([node, id]) => nodeOf(node, id));
}

/** Deletes nodes with all their relationships, each only where it is still of that memory. Answers how many of both were deleted. */
export async function deleteNodes(
  gateway: Gateway,
  falkordb: FalkorDB,
  nodes: readonly NodeOf[],
): Promise<{ nodes: number; relationships: number }> {
  const list = nodes.map(({ node, memory }) => `{n: ${node}, i: ${cypherText(memory!)}}`);
  const statistics = await falkordb.changeCounting(
    gateway,
    `UNWIND [${list.join(', ')}] AS e WITH e.n AS n, e.i AS i MATCH (m) WHERE ID(m) = n WITH m, i WHERE m.id = i DELETE m`,
    `MATCH (m:Memory) WHERE m.id IN [${nodes.length} ids] DELETE m`,
  );
  return {
    nodes: statistics['Nodes deleted'] ?? 0,
    relationships: statistics['Relationships deleted'] ?? 0,
  };
}

export const numbers = (list: Iterable<number>): string => `[${[...list].join(',')}]`;
