import type { Cluster } from './cluster.js';
import { idsInGraph, idsInQdrant } from './novamem/known-memories.js';
import { hasMemories, memoriesAmong } from './postgres/memories.js';

/** Of some memories that a store names, how many Postgres knows. */
export interface Kinship {
  asked: number;
  known: number;
}

const PAGES = 10;
const OF_A_PAGE = 20;

/**
 * Whether a store belongs to this Postgres, as far as a sample tells: an address may lead to the server of another cluster. Null
 * where it holds no memories, or Postgres none.
 */
export async function kinshipOf(
  store: 'qdrant' | 'falkordb',
  { postgres, qdrant, falkordb }: Cluster,
): Promise<Kinship | null> {
  if (!(await hasMemories(postgres))) return null;
  const [any] = await postgres.read<{ there: boolean }>('SELECT EXISTS (SELECT FROM memory_entries) AS there');
  if (!any!.there) return null;
  const ids = await sample(store === 'qdrant' ? idsInQdrant(qdrant) : idsInGraph(falkordb));
  return ids.length === 0 ? null : { asked: ids.length, known: (await memoriesAmong(postgres, ids)).size };
}

async function sample(pages: AsyncIterable<string[]>): Promise<string[]> {
  const ids = new Set<string>();
  let read = 0;
  for await (const page of pages) {
    for (const id of page.slice(0, OF_A_PAGE)) ids.add(id);
    read += 1;
    if (read === PAGES) break;
  }
  return [...ids];
}
