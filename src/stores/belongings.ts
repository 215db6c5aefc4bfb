import { messageOf } from '../words.js';
import type { Cluster } from './cluster.js';
import { nodePages, relationshipEnds } from './falkordb/nodes.js';
import { DATABASE_MISSING, sqlState } from './postgres/connection.js';
import { contentsOfMemories, hasMemories, type MemoryContent, readMemories } from './postgres/memories.js';
import { rowsOfTables, type TableRow } from './postgres/table-rows.js';
import { listCollections } from './qdrant/inventory.js';
import { pointPages } from './qdrant/points.js';

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
  /** What Qdrant has of the memories, but for those that are queued for a vector; and what FalkorDB has. */
  vectors: Held;
  nodes: Held;
  /** `from kind to` → each that is there. */
  relationships: Map<string, Relationship>;
  /** Table → its rows. */
  tables: Map<string, TableRow[]>;
}

/** What a store has beside the memories of Postgres. */
export interface Held {
  /** Memories of which it has nothing. */
  missing: number;
  /** What it has of memories that are not there. */
  strays: number;
  /** What it has of a memory beyond the first. */
  doubles: number;
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
  const { memories, pending, unread } = await readPostgres(cluster);
  const [vectors, nodes, relationships, rows] = await Promise.all([
    orNothing('Qdrant', heldByQdrant(cluster), []),
    orNothing('FalkorDB', heldByFalkordb(cluster), []),
    orNothing('FalkorDB', readRelationships(cluster), new Map()),
    orNothing('Postgres', rowsOfTables(cluster.postgres, NOT_COMPARED), { tables: new Map(), unread: [] }),
  ]);
  return {
    at,
    memories,
    unread,
    silent: [...new Set([...silent, ...rows.unread])].sort(),
    vectors: heldOf(vectors, memories, pending),
    nodes: heldOf(nodes, memories),
    relationships,
    tables: rows.tables,
  };
}

function heldOf(
  held: readonly string[],
  memories: ReadonlyMap<string, unknown>,
  excused: ReadonlySet<string> = new Set(),
): Held {
  const distinct = new Set(held);
  const strays = held.filter((id) => !memories.has(id)).length;
  const known = [...distinct].filter((id) => memories.has(id)).length;
  return {
    missing: [...memories.keys()].filter((id) => !distinct.has(id) && !excused.has(id)).length,
    strays,
    doubles: held.length - strays - known,
  };
}

/** Every memory, and which of them wait for a vector. Where it cannot be read it says why; where there is no database there is none. */
async function readPostgres({ postgres }: Cluster) {
  const read = { memories: new Map<string, MemoryContent>(), pending: new Set<string>(), unread: '' };
  try {
    if (!(await hasMemories(postgres))) return read;
    read.memories = await contentsOfMemories(postgres);
    await readMemories(
      postgres,
      () => {},
      (rows) => {
        for (const { id, pending } of rows) if (pending) read.pending.add(id);
      },
    );
  } catch (error) {
    if (sqlState(error) !== DATABASE_MISSING) read.unread = messageOf(error);
  }
  return read;
}

/** The memory of each vector. */
async function heldByQdrant({ qdrant }: Cluster): Promise<string[]> {
  const held: string[] = [];
  for (const name of await listCollections(qdrant))
    for await (const page of pointPages(qdrant, name)) held.push(...page.flatMap(ofMemory));
  return held;
}

/** The memory of each node. */
async function heldByFalkordb({ falkordb }: Cluster): Promise<string[]> {
  const held: string[] = [];
  for await (const page of nodePages(falkordb)) held.push(...page.flatMap(ofMemory));
  return held;
}

const ofMemory = ({ memory }: { memory: string | null }): string[] => (memory === null ? [] : [memory]);

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
