import type { Gateway } from '../../hosts/gateway.js';
import { type Qdrant, qdrantMessage } from './connection.js';

/** A point as it was read, whole enough to be written again. */
export interface Point {
  id: string | number;
  /** As the server gave it: a list, or lists by name. */
  vector: unknown;
  payload: Record<string, unknown>;
}

/** A point and the memory that it is of; null where its payload names none. A number that JavaScript cannot hold is a text. */
export interface PointOf {
  point: string | number;
  memory: string | null;
}

type Writable = { id: string | number; vector: number[]; payload: Record<string, unknown> };

const PAGE = 1_000;
const NAMES_PAGE = 1_000;

/** Every point of a collection with the memory that it is of, a page at a time, in the order of the points' own ids. */
export async function* pointPages(qdrant: Qdrant, collection: string): AsyncGenerator<PointOf[]> {
  for await (const page of pages((offset) => namesPage(qdrant, collection, offset)))
    yield page.map(({ id, payload }) => ({ point: isHeld(id) ? id : String(id), memory: memoryOf(payload) }));
}

/** A page of points with the memories' ids only. */
const namesPage = (qdrant: Qdrant, collection: string, offset: Offset): Promise<Page> =>
  reading(collection, () =>
    scroll(qdrant, collection, { limit: NAMES_PAGE, with_payload: ['entryId'], with_vector: false, ...offset }),
  );

/**
 * A page of points. The vendor's client looks at every value for numbers that JavaScript cannot hold, which takes most of its time:
 * it is asked only where an id is one, so that payloads with such numbers are not to be written again from here.
 */
export async function scroll(
  qdrant: Qdrant,
  collection: string,
  wanted: NonNullable<Parameters<Qdrant['client']['scroll']>[1]>,
): Promise<Page> {
  const byClient = () => qdrant.client.scroll(collection, wanted);
  const page = await qdrant.ask(collection, '/points/scroll', wanted, byClient);
  const isWhole = page.points.every(({ id }) => isHeld(id)) && isHeld(page.next_page_offset);
  return isWhole ? page : byClient();
}

const isHeld = (id: unknown) => typeof id !== 'bigint' && (typeof id !== 'number' || Number.isSafeInteger(id));

/** Every point of a collection with vector and payload, a page at a time: for a collection of some thousand. */
export async function* wholePointPages(qdrant: Qdrant, collection: string): AsyncGenerator<Point[]> {
  const whole = { limit: PAGE, with_payload: true, with_vector: true };
  for await (const page of pages((offset) =>
    reading(collection, () => qdrant.client.scroll(collection, { ...whole, ...offset })),
  ))
    yield page.map(({ id, vector, payload }) => ({ id, vector, payload: payload ?? {} }));
}

type Page = Awaited<ReturnType<Qdrant['client']['scroll']>>;
type Offset = { offset?: string | number };

async function* pages(read: (offset: Offset) => Promise<Page>): AsyncGenerator<Page['points']> {
  let offset: string | number | undefined;
  do {
    const page = await read(offset === undefined ? {} : { offset });
    yield page.points;
    offset = (page.next_page_offset as string | number | null | undefined) ?? undefined;
  } while (offset !== undefined);
}

/** The memory that a point's payload names. */
export function memoryOf(payload: Record<string, unknown> | null | undefined): string | null {
  return typeof payload?.entryId === 'string' ? payload.entryId : null;
}

/** How many points of a collection are of one of these memories. */
export async function pointsOfMemories(qdrant: Qdrant, collection: string, ids: readonly string[]): Promise<number> {
  const filter = { must: [{ key: 'entryId', match: { any: [...ids] } }] };
  const { count } = await reading(collection, () => qdrant.client.count(collection, { exact: true, filter }));
  return count;
}

/** Those of the points that are there, with vector and payload. */
export async function readPoints(
  qdrant: Qdrant,
  collection: string,
  ids: readonly (string | number)[],
): Promise<Point[]> {
  const points = await reading(collection, () =>
    qdrant.client.retrieve(collection, { ids: [...ids], with_payload: true, with_vector: true }),
  );
  return points.map(({ id, vector, payload }) => ({ id, vector, payload: payload ?? {} }));
}

/** Those of the points that are there. */
export async function pointsAmong(
  qdrant: Qdrant,
  collection: string,
  ids: readonly (string | number)[],
): Promise<Set<string | number>> {
  const points = await reading(collection, () =>
    qdrant.client.retrieve(collection, { ids: [...ids], with_payload: false, with_vector: false }),
  );
  return new Set(points.map(({ id }) => id));
}

export async function deletePoints(
  gateway: Gateway,
  qdrant: Qdrant,
  collection: string,
  ids: readonly (string | number)[],
): Promise<void> {
  await qdrant.write(gateway, 'POST', `/collections/${collection}/points/delete?wait=true`, (client) =>
    client.delete(collection, { wait: true, points: [...ids] }),
  );
}

/** Writes points as they were read; one that is there is written over. */
export async function putPoints(
  gateway: Gateway,
  qdrant: Qdrant,
  collection: string,
  points: readonly Point[],
): Promise<void> {
  await qdrant.write(gateway, 'PUT', `/collections/${collection}/points?wait=true`, (client) =>
    client.upsert(collection, { wait: true, points: points as Writable[] }),
  );
}

async function reading<T>(collection: string, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    throw new Error(`collection ${collection} cannot be read: ${qdrantMessage(error)}`);
  }
}
