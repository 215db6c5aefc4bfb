import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { keepOnDisk } from '../../hosts/durable.js';
import type { Gateway } from '../../hosts/gateway.js';
import { messageOf } from '../../words.js';
import type { Cluster } from '../cluster.js';
import type { Reading } from '../postgres/connection.js';
import { idsInGraph, idsInQdrant } from './known-memories.js';

/** Where ids of memories come from: pages of them. */
export interface KnownIds {
  source: string;
  ids: AsyncIterable<string[]>;
}

/** Memories that are known to have been there and whose content is gone. */
export interface LostMemories {
  /** How many. */
  count: number;
  /** Memories that a source knows, each once a source. */
  known: Record<string, number>;
  /** Sources that could not be asked, and why. */
  unasked: string[];
}

/** Qdrant's payloads and the graph's nodes. */
export const otherStores = ({ qdrant, falkordb }: Cluster): KnownIds[] => [
  { source: 'Qdrant', ids: idsInQdrant(qdrant) },
  { source: 'graph', ids: idsInGraph(falkordb) },
];

/**
 * Notes in a table (`id`, `known_to`) every known memory that `memory_entries` of this session's database does not hold.
 * Ids are handed on page by page, never held all at once. A source that does not answer is said, and not the end.
 */
export async function noteLost(
  { query }: Reading,
  table: string,
  known: readonly KnownIds[],
  onIds: (source: string, ids: number) => void,
  signal: AbortSignal,
): Promise<LostMemories> {
  const [memories] = await query<{ there: boolean }>("SELECT to_regclass('memory_entries') IS NOT NULL AS there");
  const missing = memories?.there
    ? 'WHERE NOT EXISTS (SELECT 1 FROM memory_entries e WHERE e.id::text = known.id)'
    : '';
  const lost: LostMemories = { count: 0, known: {}, unasked: [] };
  for (const { source, ids } of known) {
    let seen = 0;
    try {
      for await (const page of ids) {
        signal.throwIfAborted();
        seen += page.length;
        await query(
          `INSERT INTO ${table} (id, known_to) SELECT DISTINCT known.id, $2 FROM unnest($1::text[]) AS known (id) ${missing}
               ON CONFLICT (id) DO UPDATE SET known_to = CASE WHEN position($2 IN ${table}.known_to) > 0 THEN ${table}.known_to
                                                              ELSE ${table}.known_to || ', ' || $2 END`,
          [page, source],
        );
        onIds(source, seen);
      }
      lost.known[source] = seen;
    } catch (error) {
      signal.throwIfAborted();
      lost.unasked.push(`${source}: ${messageOf(error)}`);
    }
  }
  const [row] = await query<{ count: string }>(`SELECT count(*)::text AS count FROM ${table}`);
  lost.count = Number(row!.count);
  return lost;
}

export const createTable = (table: string, temporary: boolean) =>
  `CREATE ${temporary ? 'TEMPORARY ' : ''}TABLE ${table} (id text PRIMARY KEY, known_to text NOT NULL)`;

const LINES = 5_000;

/** Writes the noted memories into a file, a line each: the id, a tab, and who knows it. Answers the lines. */
export function writeLost(gateway: Gateway, { query }: Reading, table: string, file: string): Promise<number> {
  return gateway.change({ channel: 'file', text: `write ${file} (ids of lost memories)` }, async () => {
    const stream = createWriteStream(file, { mode: 0o600 });
    let lines = 0;
    for (let last = ''; ; ) {
      const rows = await query<{ id: string; known_to: string }>(
        `SELECT id, known_to FROM ${table} WHERE id COLLATE "C" > $1 ORDER BY id COLLATE "C" LIMIT ${LINES}`,
        [last],
      );
      if (rows.length === 0) break;
      lines += rows.length;
      if (!stream.write(rows.map((row) => `${row.id}\t${row.known_to}\n`).join(''))) await once(stream, 'drain');
      last = rows.at(-1)!.id;
    }
    stream.end();
    await once(stream, 'finish');
    await keepOnDisk(file);
    return lines;
  });
}
