import { stableJson } from '../stable-json.js';
import { messageOf } from '../words.js';
import type { Cluster } from './cluster.js';
import { nodeContentPages, relationshipEnds } from './falkordb/nodes.js';
import { DATABASE_MISSING, sqlState } from './postgres/connection.js';
import { contentsOfMemories, hasMemories, type MemoryContent } from './postgres/memories.js';
import { rowsOfTables, type TableRow } from './postgres/table-rows.js';
import { listCollections } from './qdrant/inventory.js';
import { memoryOf, wholePointPages } from './qdrant/points.js';
import { type Structure, structureOf } from './structure.js';

/** All that a cluster of some thousand memories holds, one by one: unlike an inventory it says afterwards what is gone. */
export interface Belongings {
  /** When it was looked, in ms since 1970. */
  at: number;
  /** By their ids. */
  memories: Map<string, MemoryContent>;
  /** Why the memories cannot be read; empty where they can, and where there is no database of them: what of them is left is not known then. */
  unread: string;
  /** Stores and tables that could not be read: they hold nothing here. */
  silent: string[];
  /** What Qdrant has of the memories; and what FalkorDB has, each node as one text. */
  vectors: Held<Vector>;
  nodes: Held<string>;
  /** `from kind to` → each that is there. */
  relationships: Map<string, Relationship>;
  /** Table → its rows. */
  tables: Map<string, TableRow[]>;
  structure: Structure;
}

/** What a store has of memories. */
export interface Held<T> {
  /** Id → each that it has of that memory, which need not be one that is there. */
  of: Map<string, T[]>;
  /** Memories that were there when it was looked, and of which it had nothing. */
  lacking: ReadonlySet<string>;
}

export interface Vector {
  collection: string;
  /** As JSON with sorted keys. */
  payload: string;
  /** As the server gives it: a list of numbers, or lists by name. */
  values: unknown;
}

export interface Relationship {
  from: string;
  to: string;
  kind: string;
  /** Of each: its strength, and from when to when it is valid. */
  says: string[];
}

/**
 * Memories are held by their contents. The others are written by novamem itself while it runs (who asked for what, what it measured,
 * sessions, its own queues): such a row comes and goes, and a restore that ends with a backup can keep none that came later.
 */
const NOT_COMPARED = [
  'memory_entries',
  'memory_access',
  'metrics_samples',
  'decay_runs',
  'cold_orphans',
  'session',
  'verification',
];

/** Reads everything there is. A store that does not answer holds nothing, and then lacks it for every memory. */
export async function belongingsOf(cluster: Cluster): Promise<Belongings> {
  const at = Date.now();
  const silent: string[] = [];
  const orNothing = async <T>(store: string, read: Promise<T>, nothing: T): Promise<T> =>
    read.catch(() => {
      silent.push(store);
      return nothing;
    });
  const { memories, unread } = await readPostgres(cluster);
  const [vectors, nodes, relationships, rows, structure] = await Promise.all([
    orNothing('Qdrant', heldByQdrant(cluster), new Map()),
    orNothing('FalkorDB', heldByFalkordb(cluster), new Map()),
    orNothing('FalkorDB', readRelationships(cluster), new Map()),
    orNothing('Postgres', rowsOfTables(cluster.postgres, NOT_COMPARED), { tables: new Map(), unread: [] }),
    structureOf(cluster),
  ]);
  const held = <T>(of: Map<string, T[]>): Held<T> => ({
    of,
    lacking: new Set([...memories.keys()].filter((id) => !of.has(id))),
  });
  return {
    at,
    memories,
    unread,
    silent: [...new Set([...silent, ...rows.unread])].sort(),
    vectors: held<Vector>(vectors),
    nodes: held<string>(nodes),
    relationships,
    tables: rows.tables,
    structure,
  };
}

/** Every memory. Where they cannot be read it says why; where there is no database there is none. */
async function readPostgres({ postgres }: Cluster) {
  const read = { memories: new Map<string, MemoryContent>(), unread: '' };
  try {
    if (await hasMemories(postgres)) read.memories = await contentsOfMemories(postgres);
  } catch (error) {
    if (sqlState(error) !== DATABASE_MISSING) read.unread = messageOf(error);
  }
  return read;
}

async function heldByQdrant({ qdrant }: Cluster): Promise<Map<string, Vector[]>> {
  const held = new Map<string, Vector[]>();
  for (const collection of await listCollections(qdrant))
    for await (const page of wholePointPages(qdrant, collection))
      for (const { vector: values, payload } of page)
        add(held, memoryOf(payload), { collection, payload: stableJson(payload), values });
  return held;
}

async function heldByFalkordb({ falkordb }: Cluster): Promise<Map<string, string[]>> {
  const held = new Map<string, string[]>();
  for await (const page of nodeContentPages(falkordb)) for (const { memory, says } of page) add(held, memory, says);
  return held;
}

function add<T>(held: Map<string, T[]>, memory: string | null, one: T): void {
  if (memory === null) return;
  const known = held.get(memory);
  if (known) known.push(one);
  else held.set(memory, [one]);
}

/** What Postgres holds now beside what was held before: what users wrote meanwhile can be lost as well. */
export async function withWrittenSince(before: Belongings, cluster: Cluster): Promise<Belongings> {
  const { memories } = await readPostgres(cluster);
  const written = [...memories].filter(([id]) => !before.memories.has(id));
  const isNew = new Set(written.map(([id]) => id));
  const { tables } = await rowsOfTables(cluster.postgres, NOT_COMPARED).catch(() => ({
    tables: new Map<string, TableRow[]>(),
  }));
  return {
    ...before,
    memories: new Map([...before.memories, ...written]),
    tables: new Map(
      [...before.tables].map(([table, rows]) => {
        const since = (tables.get(table) ?? []).filter(({ memories: of }) => of.some((id) => isNew.has(id)));
        return [table, [...rows, ...since]];
      }),
    ),
  };
}

async function readRelationships({ falkordb }: Cluster): Promise<Map<string, Relationship>> {
  const found = new Map<string, Relationship>();
  for (const { from, to, kind, says } of await relationshipEnds(falkordb)) {
    const key = `${from} ${kind} ${to}`;
    const known = found.get(key);
    if (known) known.says.push(says);
    else found.set(key, { from, to, kind, says: [says] });
  }
  return found;
}
