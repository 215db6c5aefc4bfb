import { z } from 'zod';
import { type Check, equal, sameSet, withinMoving } from '../check.js';
import type { FalkorDB } from './connection.js';

/** What is in FalkorDB, exactly enough to prove that it came back. Key counts do not compare: a large graph uses several. */
export const falkordbInventorySchema = z.object({
  serverVersion: z.string(),
  moduleVersion: z.string(),
  graphs: z.record(
    z.string(),
    z.object({
      /** Label(s) → nodes, and an aggregate over their ids. */
      nodes: z.record(z.string(), z.object({ count: z.number(), ids: z.string() })),
      /** `TYPE kind` → relationships, and the sum of their strengths. */
      relationships: z.record(z.string(), z.object({ count: z.number(), strength: z.string() })),
      indexes: z.array(z.string()),
      constraints: z.array(z.string()),
    }),
  ),
});
export type FalkordbInventory = z.infer<typeof falkordbInventorySchema>;
export type GraphInventory = FalkordbInventory['graphs'][string];

/** What each server held, and its writes until then. */
const taken = new WeakMap<FalkorDB, { writes: string; inventory: FalkordbInventory }>();

/** What the server holds now. Graphs are read through only where anything may have been written since they were read last. */
export async function inventoryFalkordb(falkordb: FalkorDB): Promise<FalkordbInventory> {
  const writes = await writesOf(falkordb);
  const last = taken.get(falkordb);
  if (writes !== undefined && last?.writes === writes) return last.inventory;
  const graphs: FalkordbInventory['graphs'] = {};
  for (const graph of await falkordb.graphs()) graphs[graph] = await inventoryGraph(falkordb, graph);
  const inventory = {
    serverVersion: await serverVersionOf(falkordb),
    moduleVersion: await moduleVersion(falkordb),
    graphs,
  };
  if (writes !== undefined && isBuilt(inventory)) taken.set(falkordb, { writes, inventory });
  return inventory;
}

/** Another one once the server was written to, has saved, or was started again; undefined where it does not tell. */
async function writesOf(falkordb: FalkorDB): Promise<string | undefined> {
  const { run_id: process } = await falkordb.info('server');
  const {
    rdb_changes_since_last_save: changes,
    rdb_last_save_time: saved,
    rdb_saves: saves = '',
  } = await falkordb.info('persistence');
  const told = [process, changes, saved];
  return told.includes(undefined) ? undefined : [...told, saves].join(' ');
}

/** An index becomes another by itself while it is being built. */
const isBuilt = ({ graphs }: FalkordbInventory): boolean =>
  Object.values(graphs)
    .flatMap(({ indexes, constraints }) => [...indexes, ...constraints])
    .every((line) => !line.includes('UNDER CONSTRUCTION'));

/** `valkey 8.0.1`, `redis 7.4.0` */
export async function serverVersionOf(falkordb: FalkorDB): Promise<string> {
  const server = await falkordb.info('server');
  return server.valkey_version ? `valkey ${server.valkey_version}` : `redis ${server.redis_version}`;
}

/** What is in one graph, which must be there. */
export async function inventoryGraph(falkordb: FalkorDB, graph: string): Promise<GraphInventory> {
  const nodes = await falkordb.query(
    graph,
    'MATCH (n) RETURN labels(n), count(n), count(DISTINCT n.id), min(n.id), max(n.id)',
  );
  const relationships = await falkordb.query(
    graph,
    'MATCH ()-[r]->() RETURN type(r), r.kind, count(r), sum(r.strength)',
  );
  const indexes = await falkordb.query(graph, 'CALL db.indexes() YIELD label, properties, types, entitytype, status');
  const constraints = await falkordb.query(graph, 'CALL db.constraints()');
  return {
    nodes: Object.fromEntries(
      nodes.map(([labels, count, ids, first, last]) => [
        String(labels),
        { count: Number(count), ids: `${ids} distinct, ${first} to ${last}` },
      ]),
    ),
    relationships: Object.fromEntries(
      relationships.map(([type, kind, count, strength]) => [
        `${type} ${kind ?? '(no kind)'}`,
        // The order of a sum is the server's own: the last digits of a float are not evidence.
        { count: Number(count), strength: Number(strength).toPrecision(9) },
      ]),
    ),
    indexes: indexes.map((row) => row.map(String).join(' ')).sort(),
    constraints: constraints.map((row) => row.map(String).join(' ')).sort(),
  };
}

/** The graph module's version as it numbers itself (`41603`); empty when it is not loaded. */
export async function moduleVersion(falkordb: FalkorDB): Promise<string> {
  const modules = (await falkordb.read('MODULE', 'LIST')) as unknown[][];
  for (const fields of modules) {
    const at = (name: string) => fields[fields.indexOf(name) + 1];
    if (at('name') === 'graph') return String(at('ver'));
  }
  return '';
}

/** How many nodes of a graph have a label, alone (`[Memory]`) or with others (`[Memory, Pinned]`). */
export function nodesLabelled(inventory: FalkordbInventory, graph: string, label: string): number {
  return Object.entries(inventory.graphs[graph]?.nodes ?? {})
    .filter(([labels]) =>
      labels
        .replace(/^\[|\]$/g, '')
        .split(', ')
        .includes(label),
    )
    .reduce((sum, [, { count }]) => sum + count, 0);
}

/** Everything that must be equal after a restore. `moving`: what was there before, when it was written to during the backup. */
export function compareFalkordb(
  expected: FalkordbInventory,
  actual: FalkordbInventory,
  moving?: FalkordbInventory,
): Check[] {
  const checks = graphChecks(expected, actual);
  return moving ? withinMoving(checks, graphChecks(moving, actual)) : checks;
}

function graphChecks(expected: FalkordbInventory, actual: FalkordbInventory): Check[] {
  return [
    sameSet('falkordb', 'graphs', Object.keys(expected.graphs), Object.keys(actual.graphs)),
    ...Object.entries(expected.graphs).flatMap(([name, graph]) => compareGraph(name, graph, actual.graphs[name])),
  ];
}

/** Everything that must be equal of one graph. */
export function compareGraph(name: string, expected: GraphInventory, actual: GraphInventory | undefined): Check[] {
  const subject = `falkordb graph ${name}`;
  return [
    sameSet(subject, 'labels', Object.keys(expected.nodes), Object.keys(actual?.nodes ?? {})),
    ...Object.entries(expected.nodes).flatMap(([label, { count, ids }]) => [
      equal(subject, `${label} nodes`, count, actual?.nodes[label]?.count),
      equal(subject, `${label} ids`, ids, actual?.nodes[label]?.ids),
    ]),
    sameSet(
      subject,
      'relationship kinds',
      Object.keys(expected.relationships),
      Object.keys(actual?.relationships ?? {}),
    ),
    ...Object.entries(expected.relationships).flatMap(([kind, { count, strength }]) => [
      equal(subject, `${kind} relationships`, count, actual?.relationships[kind]?.count),
      equal(subject, `${kind} strength`, strength, actual?.relationships[kind]?.strength),
    ]),
    sameSet(subject, 'indexes', expected.indexes, actual?.indexes ?? []),
    sameSet(subject, 'constraints', expected.constraints, actual?.constraints ?? []),
  ];
}
