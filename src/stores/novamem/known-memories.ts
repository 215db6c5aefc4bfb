import type { FalkorDB } from '../falkordb/connection.js';
import { nodePages } from '../falkordb/nodes.js';
import type { Qdrant } from '../qdrant/connection.js';
import { listCollections } from '../qdrant/inventory.js';
import { pointPages } from '../qdrant/points.js';

// Ids of memories as the other two stores know them: they know that a memory was there, not what was in it.

const named = (page: readonly { memory: string | null }[]) =>
  page.flatMap(({ memory }) => (memory === null ? [] : [memory]));

/** Ids in the payloads of all points, a page at a time. */
export async function* idsInQdrant(qdrant: Qdrant): AsyncGenerator<string[], void, undefined> {
  for (const name of await listCollections(qdrant))
    for await (const page of pointPages(qdrant, name)) yield named(page);
}

/** Ids of all nodes of memories in the graph, a page at a time; none where there is no graph. */
export async function* idsInGraph(falkordb: FalkorDB): AsyncGenerator<string[], void, undefined> {
  for await (const page of nodePages(falkordb)) yield named(page);
}
