import { inParallel } from '../../in-parallel.js';
import type { Postgres } from '../postgres/connection.js';
import type { Qdrant } from '../qdrant/connection.js';
import { listCollections } from '../qdrant/inventory.js';

/** Which memories have a vector. A point names its memory in its payload (`entryId`). */
export interface VectorCensus {
  memories: number;
  /** Memories for which there is no point. */
  missing: string[];
  /** Points that name no memory at all: this is not novamem's payload, and who is missing cannot be told. */
  nameless: number;
  collections: Record<string, { points: number; memories: number; strangers: number }>;
}

const ROWS = 20_000;
const POINTS = 5_000;
const AT_ONCE = 4;

/**
 * Compares the ids of all memories with the points of all collections, exactly. Postgres is read first, so that what is
 * written meanwhile is at most a stranger. Keeps the ids in memory (about 100 bytes a memory), never a vector or content.
 */
export async function takeVectorCensus(
  postgres: Postgres,
  qdrant: Qdrant,
  {
    onPoints = () => {},
    signal,
  }: { onPoints?: (points: number, memories: number) => void; signal?: AbortSignal } = {},
): Promise<VectorCensus> {
  const missing = await memoryIds(postgres, signal);
  const memories = missing.size;
  const seen = new Set<string>();
  const census: VectorCensus = { memories, missing: [], nameless: 0, collections: {} };
  let read = 0;
  const names = await listCollections(qdrant);
  await inParallel(names, AT_ONCE, async (name) => {
    const counts = { points: 0, memories: 0, strangers: 0 };
    let offset: unknown;
    do {
      signal?.throwIfAborted();
      const page = await qdrant.client.scroll(name, {
        limit: POINTS,
        with_payload: ['entryId'],
        with_vector: false,
        ...(offset === undefined ? {} : { offset: offset as string | number }),
      });
      for (const { payload } of page.points) {
        const id = payload?.entryId;
        if (typeof id !== 'string') census.nameless += 1;
        else if (missing.delete(id)) {
          seen.add(id);
          counts.memories += 1;
        } else if (!seen.has(id)) counts.strangers += 1;
      }
      counts.points += page.points.length;
      read += page.points.length;
      onPoints(read, memories);
      offset = page.next_page_offset ?? undefined;
    } while (offset !== undefined);
    census.collections[name] = counts;
  });
  census.missing = await stillThere(postgres, [...missing]);
  return census;
}

async function memoryIds(postgres: Postgres, signal?: AbortSignal): Promise<Set<string>> {
  const ids = new Set<string>();
  await postgres.reading(
    async ({ query }) => {
      let last = '';
      for (;;) {
        signal?.throwIfAborted();
        const rows = await query<{ id: string }>(
          'SELECT id::text AS id FROM memory_entries WHERE id::text > $1 ORDER BY id::text LIMIT $2',
          [last, ROWS],
        );
        for (const { id } of rows) ids.add(id);
        if (rows.length < ROWS) return;
        last = rows.at(-1)!.id;
      }
    },
    { snapshot: true },
  );
  return ids;
}

/** Those that were forgotten while the points were read have no vector by right. */
async function stillThere(postgres: Postgres, ids: string[]): Promise<string[]> {
  const there: string[] = [];
  for (let from = 0; from < ids.length; from += ROWS) {
    const rows = await postgres.read<{ id: string }>(
      'SELECT id::text AS id FROM memory_entries WHERE id::text = ANY($1) ORDER BY 1',
      [ids.slice(from, from + ROWS)],
    );
    there.push(...rows.map((row) => row.id));
  }
  return there;
}
