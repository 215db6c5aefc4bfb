import type { Cluster } from './cluster.js';
import { memoriesIn } from './falkordb/memory-nodes.js';
import { idsInGraph, idsInQdrant } from './novamem/known-memories.js';
import { memoriesAmong, newestMemories } from './postgres/memories.js';
import { listCollections } from './qdrant/inventory.js';
import { pointsOfMemories } from './qdrant/points.js';

/** Of some memories that a store names, how many Postgres knows, and of some that Postgres has, how many the store. */
export interface Kinship {
  asked: number;
  known: number;
}

const PAGES = 10;
const OF_A_PAGE = 20;
const NEWEST = 50;

/** Ids of the newest memories of Postgres: for these a store is asked. */
export const newestIn = ({ postgres }: Cluster): Promise<string[]> => newestMemories(postgres, NEWEST);

/**
 * Whether a store belongs to this Postgres, as far as a sample tells: an address may lead to the server of another cluster. Null
 * where it holds no memories, or Postgres none. That memories were deleted makes no strangers: the newest are asked for, too
 * (`asked`, where several stores are).
 */
export async function kinshipOf(
  store: 'qdrant' | 'falkordb',
  cluster: Cluster,
  asked: Promise<string[]> = newestIn(cluster),
): Promise<Kinship | null> {
  const { postgres, qdrant, falkordb } = cluster;
  const newest = await asked;
  const ids = newest.length > 0 ? await sample(store === 'qdrant' ? idsInQdrant(qdrant) : idsInGraph(falkordb)) : [];
  if (ids.length === 0) return null;
  const known = (await memoriesAmong(postgres, ids)).size;
  if (known > 0) return { asked: ids.length, known };
  const back = store === 'qdrant' ? await inQdrant(cluster, newest) : await memoriesIn(falkordb, newest);
  return { asked: ids.length + newest.length, known: back };
}

async function inQdrant({ qdrant }: Cluster, ids: readonly string[]): Promise<number> {
  let found = 0;
  for (const name of await listCollections(qdrant)) found += await pointsOfMemories(qdrant, name, ids);
  return found;
}

/** Some of each page, from its beginning to its end. */
async function sample(pages: AsyncIterable<string[]>): Promise<string[]> {
  const ids = new Set<string>();
  let read = 0;
  for await (const page of pages) {
    const every = Math.max(1, Math.floor(page.length / OF_A_PAGE));
    for (let at = 0; at < page.length; at += every) ids.add(page[at]!);
    read += 1;
    if (read === PAGES) break;
  }
  return [...ids];
}
