import type { Gateway } from '../../hosts/gateway.js';
import { waitFor } from '../../hosts/waiting.js';
import { type Check, equal } from '../check.js';
import type { FalkorDB } from './connection.js';

/** The properties of a memory by which novamem looks it up. */
export const INDEXED = ['id', 'user', 'project'] as const;

export const indexText = (property: string) => `CREATE INDEX FOR (m:Memory) ON (m.${property})`;

interface MemoryIndex {
  properties: string[];
  status: string;
}

async function memoryIndexes(falkordb: FalkorDB, graph: string): Promise<MemoryIndex[]> {
  const rows = await falkordb.query(graph, 'CALL db.indexes() YIELD label, properties, status');
  return rows
    .filter(([label]) => label === 'Memory')
    .map(([, properties, status]) => ({
      properties: namesIn(properties),
      status: String(status),
    }));
}

/** Every `Label.property` of a graph that is indexed. */
export async function indexedProperties(falkordb: FalkorDB, graph: string): Promise<string[]> {
  const rows = await falkordb.query(graph, 'CALL db.indexes() YIELD label, properties');
  return rows.flatMap(([label, properties]) => namesIn(properties).map((name) => `${label}.${name}`));
}

const namesIn = (properties: unknown) => String(properties).replace(/[[\]]/g, '').split(/,\s*/);

/** Makes those of novamem's indexes that a graph does not have; the graph itself too, when it is absent. */
export async function makeIndexes(falkordb: FalkorDB, gateway: Gateway, graph: string): Promise<void> {
  const there = (await falkordb.graphs()).includes(graph) ? await memoryIndexes(falkordb, graph) : [];
  const has = (property: string) => there.some((one) => one.properties.includes(property));
  for (const property of INDEXED) if (!has(property)) await falkordb.change(gateway, graph, indexText(property));
}

/** The evidence that a graph has novamem's indexes, and that they are built. */
export async function indexChecks(falkordb: FalkorDB, graph: string): Promise<Check[]> {
  const there = await memoryIndexes(falkordb, graph);
  return INDEXED.map((property) => {
    const status = there.find((one) => one.properties.includes(property))?.status ?? 'absent';
    return equal(`falkordb graph ${graph}`, `index on Memory.${property}`, 'OPERATIONAL', status);
  });
}

/** Indexes and constraints of all graphs that the server is still building; one saved in that state is gone after a reload. */
export async function unbuilt(falkordb: FalkorDB): Promise<string[]> {
  const found: string[] = [];
  for (const graph of await falkordb.graphs()) {
    const indexes = await falkordb.query(graph, 'CALL db.indexes() YIELD label, properties, status');
    const constraints = await falkordb.query(
      graph,
      'CALL db.constraints() YIELD type, label, properties, status RETURN label, properties, status, type',
    );
    for (const [label, properties, status, type] of [...indexes, ...constraints])
      if (/under construction|pending/i.test(String(status)))
        found.push(`the ${type ? `${String(type).toLowerCase()} constraint` : 'index'} on ${label}.${properties}`);
  }
  return found;
}

/** Waits until nothing is being built any more; throws with what still is. */
export async function untilBuilt(falkordb: FalkorDB, patienceMs: number, signal: AbortSignal): Promise<void> {
  let left: string[] = [];
  const built = await waitFor(
    async () => {
      left = await unbuilt(falkordb);
      return left.length === 0 ? true : undefined;
    },
    { timeoutMs: patienceMs, signal },
  );
  if (!built) throw new Error(`${left.join(', ')} is still being built after ${patienceMs / 1000} s`);
}
