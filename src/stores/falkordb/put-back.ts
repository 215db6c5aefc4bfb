import type { Gateway } from '../../hosts/gateway.js';
import { plural } from '../../words.js';
import type { FalkorDB } from './connection.js';
import { cypherMap, cypherName, cypherText } from './cypher.js';
import { type NodeOf, numbers, relationshipsOf, type SavedNode } from './nodes.js';

// Deleted nodes are put back in three turns: the nodes, then their relationships, then the marks are taken off. Each may be
// done again at any time: what stands already is left as it is.

/** What a node that was put back is known by until all is done: the number that it had. The server gives it a new one. */
const MARK = 'runbookNode';

/** Makes those of the nodes again that are not there. Answers how many. */
export async function putNodesBack(
  gateway: Gateway,
  falkordb: FalkorDB,
  saved: readonly SavedNode[],
): Promise<number> {
  const standing = await numbersNow(falkordb, saved);
  const absent = saved.filter((one) => standing(one, 'itself') === undefined);
  if (absent.length === 0) return 0;
  const patterns = absent.map(({ node, labels, properties }) => {
    const words = labels.map((label) => `:${cypherName(label)}`).join('');
    return `(${words} ${cypherMap({ ...properties, [MARK]: String(node) })})`;
  });
  await falkordb.changeCounting(
    gateway,
    `CREATE ${patterns.join(', ')}`,
    `CREATE ${plural(absent.length, 'saved node')}`,
  );
  return absent.length;
}

/** Makes those of the nodes' relationships again that are not there. `lost`: those whose other end is gone. */
export async function putRelationshipsBack(
  gateway: Gateway,
  falkordb: FalkorDB,
  saved: readonly SavedNode[],
): Promise<{ made: number; lost: number }> {
  const ends = [...saved, ...saved.flatMap((one) => one.relationships.map(({ other }) => other))];
  const numberOf = await numbersNow(falkordb, ends);
  const wanted = new Counts();
  const existing = new Counts();
  let lost = 0;
  const own: number[] = [];
  for (const one of saved) {
    const node = numberOf(one, 'itself');
    if (node === undefined) throw new Error(`the node of memory ${one.memory} is not there to be related`);
    own.push(node);
    for (const { direction, type, properties, other } of one.relationships) {
      const end = numberOf(other, 'any');
      if (end === undefined) lost += 1;
      else wanted.add(direction, { node, end, type, properties });
    }
  }
  for (const [node, { direction, type, properties, other }] of await relationshipsOf(falkordb, own))
    existing.add(direction, { node, end: other.node, type, properties });
  const missing = wanted.beyond(existing);
  for (const [type, edges] of Map.groupBy(missing, (edge) => edge.type)) {
    const list = edges.map(({ from, to, properties }) => `{a: ${from}, b: ${to}, p: ${cypherMap(properties)}}`);
    await falkordb.changeCounting(
      gateway,
      `UNWIND [${list.join(', ')}] AS e WITH e.a AS x, e.b AS y, e.p AS p MATCH (a) WHERE ID(a) = x WITH a, y, p MATCH (b) WHERE ID(b) = y CREATE (a)-[r:${cypherName(type)}]->(b) SET r = p`,
      `CREATE ${plural(edges.length, 'saved relationship')} :${type}`,
    );
  }
  return { made: missing.length, lost };
}

/** Takes the marks off the nodes that were put back. */
export async function unmarkNodes(gateway: Gateway, falkordb: FalkorDB, saved: readonly SavedNode[]): Promise<void> {
  const ids = saved.map((one) => cypherText(one.memory)).join(', ');
  await falkordb.changeCounting(
    gateway,
    `MATCH (m:Memory) WHERE m.id IN [${ids}] AND m.${MARK} IS NOT NULL SET m.${MARK} = null`,
    `MATCH (m:Memory) WHERE m.id IN [${saved.length} ids] SET m.${MARK} = null`,
  );
}

/**
 * Under which numbers nodes stand now: that of before while it is still the same memory's, else that of the one which was put back
 * for it. `any`: else the only node of that memory, which will do for an end that was never deleted.
 */
async function numbersNow(
  falkordb: FalkorDB,
  nodes: readonly NodeOf[],
): Promise<(of: NodeOf, which: 'itself' | 'any') => number | undefined> {
  const ids = new Set(nodes.flatMap(({ memory }) => (memory === null ? [] : [memory])));
  const byId = await falkordb.query(
    falkordb.graph,
    `MATCH (m:Memory) WHERE m.id IN [${[...ids].map(cypherText).join(', ')}] RETURN m.id, ID(m), m.${MARK}`,
  );
  const byNumber = await falkordb.query(
    falkordb.graph,
    `UNWIND ${numbers(new Set(nodes.map(({ node }) => node)))} AS n MATCH (m) WHERE ID(m) = n RETURN m.id, ID(m), m.${MARK}`,
  );
  const sameMemory = Map.groupBy(byId, ([id]) => String(id));
  const atNumber = new Map(byNumber.map((row) => [Number(row[1]), row]));
  return ({ node, memory }, which) => {
    const there = memory === null ? [] : (sameMemory.get(memory) ?? []);
    const again = there.find(([, , mark]) => mark !== null && Number(mark) === node);
    if (again) return Number(again[1]);
    const [id, , mark] = atNumber.get(node) ?? [];
    if (id !== undefined && (id === null ? null : String(id)) === memory && (mark === null || mark === undefined))
      return node;
    return which === 'any' && there.length === 1 ? Number(there[0]![1]) : undefined;
  };
}

interface Edge {
  from: number;
  to: number;
  type: string;
  properties: Record<string, string>;
}

/** How often each relationship is there. One between two of the saved nodes was saved with both, and is still one. */
class Counts {
  readonly #edges = new Map<string, { edge: Edge; out: number; in: number }>();

  add(
    direction: 'out' | 'in',
    { node, end, type, properties }: { node: number; end: number } & Pick<Edge, 'type' | 'properties'>,
  ): void {
    const [from, to] = direction === 'out' ? [node, end] : [end, node];
    const key = JSON.stringify([from, to, type, Object.entries(properties).sort()]);
    const counted = this.#edges.get(key) ?? { edge: { from, to, type, properties }, out: 0, in: 0 };
    counted[direction] += 1;
    this.#edges.set(key, counted);
  }

  /** What is here more often than there. */
  beyond(other: Counts): Edge[] {
    const times = (one: { out: number; in: number } | undefined) => Math.max(one?.out ?? 0, one?.in ?? 0);
    return [...this.#edges].flatMap(([key, counted]) =>
      Array.from({ length: Math.max(0, times(counted) - times(other.#edges.get(key))) }, () => counted.edge),
    );
  }
}
