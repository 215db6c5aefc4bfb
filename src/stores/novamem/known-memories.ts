import type { FalkorDB } from '../falkordb/connection.js';
import type { Qdrant } from '../qdrant/connection.js';
import { listCollections } from '../qdrant/inventory.js';

// Ids of memories as the other two stores know them: they know that a memory was there, not what was in it.

const PAGE = 1_000;

/** Ids in the payloads of all points, a page at a time. */
export async function* idsInQdrant(qdrant: Qdrant): AsyncGenerator<string[], void, undefined> {
  for (const name of await listCollections(qdrant)) {
    let offset: string | number | undefined;
    for (;;) {
      const page = await qdrant.client.scroll(name, {
        limit: PAGE,
        with_payload: ['entryId'],
        with_vector: false,
        ...(offset === undefined ? {} : { offset }),
      });
      yield page.points.map((point) => point.payload?.entryId).filter((id) => typeof id === 'string');
      const next = page.next_page_offset;
      if (typeof next !== 'string' && typeof next !== 'number') break;
      offset = next;
    }
  }
}

/** Ids of all nodes of memories in the graph, a page at a time; none where there is no graph. */
export async function* idsInGraph(falkordb: FalkorDB): AsyncGenerator<string[], void, undefined> {
  if (!(await falkordb.graphs()).includes(falkordb.graph)) return;
  for (let last = ''; ; ) {
    const after = last.replaceAll('\\', '\\\\').replaceAll("'", "\\'");
    const rows = await falkordb.query(
      falkordb.graph,
      `MATCH (m:Memory) WHERE m.id > '${after}' RETURN m.id ORDER BY m.id LIMIT ${PAGE}`,
    );
    const ids = rows.map(([id]) => String(id));
    if (ids.length === 0) return;
    yield ids;
    last = ids.at(-1)!;
  }
}
