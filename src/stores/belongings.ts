import { messageOf } from '../words.js';
import type { Cluster } from './cluster.js';
import { instantOfUlid } from './crosscheck/ulid.js';
import { nodePages, relationshipEnds } from './falkordb/nodes.js';
import { contentsOfMemories, hasMemories, readMemories } from './postgres/memories.js';
import { listCollections } from './qdrant/inventory.js';
import { pointPages } from './qdrant/points.js';

/** All that a cluster of some thousand memories holds, one by one: unlike an inventory it says afterwards what is gone. */
export interface Belongings {
  /** When it was looked, in ms since 1970. */
  at: number;
  /** Id → content. */
  memories: Map<string, string>;
  /** Why Postgres answers and cannot be read; empty where it can: what of the memories is left is not known then. */
  unread: string;
  /** Memories without a vector that are not queued for one; and without a node. */
  withoutVector: number;
  withoutNode: number;
  /** `from kind to`, as often as it is there. */
  relationships: Map<string, Relationship>;
}

export interface Relationship {
  from: string;
  to: string;
  kind: string;
  count: number;
}

/** Reads everything there is. A store that does not answer holds nothing, and then lacks it for every memory. */
export async function belongingsOf(cluster: Cluster): Promise<Belongings> {
  const at = Date.now();
  const { memories, pending, unread } = await readPostgres(cluster);
  const missing = (held: ReadonlySet<string>, excused: ReadonlySet<string> = new Set()) =>
    [...memories.keys()].filter((id) => !held.has(id) && !excused.has(id)).length;
  const [vectors, nodes, relationships] = await Promise.all([
    heldByQdrant(cluster).catch(() => new Set<string>()),
    heldByFalkordb(cluster).catch(() => new Set<string>()),
    readRelationships(cluster).catch(() => new Map<string, Relationship>()),
  ]);
  return {
    at,
    memories,
    unread,
    withoutVector: missing(vectors, pending),
    withoutNode: missing(nodes),
    relationships,
  };
}

/** Every memory, and which of them wait for a vector. One that answers and cannot be read says why. */
async function readPostgres({ postgres }: Cluster) {
  const read = { memories: new Map<string, string>(), pending: new Set<string>(), unread: '' };
  try {
    if (!(await hasMemories(postgres))) return read;
  } catch {
    return read;
  }
  try {
    read.memories = await contentsOfMemories(postgres);
    await readMemories(
      postgres,
      () => {},
      (rows) => {
        for (const { id, pending } of rows) if (pending) read.pending.add(id);
      },
    );
  } catch (error) {
    read.unread = messageOf(error);
  }
  return read;
}

async function heldByQdrant({ qdrant }: Cluster): Promise<Set<string>> {
  const held = new Set<string>();
  for (const name of await listCollections(qdrant))
    for await (const page of pointPages(qdrant, name))
      for (const { memory } of page) if (memory !== null) held.add(memory);
  return held;
}

async function heldByFalkordb({ falkordb }: Cluster): Promise<Set<string>> {
  const held = new Set<string>();
  for await (const page of nodePages(falkordb)) for (const { memory } of page) if (memory !== null) held.add(memory);
  return held;
}

/** The memories of now beside those of before: what users wrote meanwhile can be lost as well. */
export async function withWrittenSince(before: Belongings, cluster: Cluster): Promise<Belongings> {
  const { memories } = await readPostgres(cluster);
  return { ...before, memories: new Map([...memories, ...before.memories]) };
}

async function readRelationships({ falkordb }: Cluster): Promise<Map<string, Relationship>> {
  const found = new Map<string, Relationship>();
  for (const { from, to, kind } of await relationshipEnds(falkordb)) {
    const key = `${from} ${kind} ${to}`;
    const known = found.get(key);
    if (known) known.count += 1;
    else found.set(key, { from, to, kind, count: 1 });
  }
  return found;
}

/** What of a cluster is gone, or is not what it was. */
export interface Loss {
  memories: number;
  changed: number;
  strange: number;
  vectors: number;
  nodes: number;
  relationships: number;
  /** The contents of some memories that are gone. */
  examples: string[];
  /** Why the memories could not be counted; empty where they could. */
  unread: string;
}

const EXAMPLES = 5;

/** What is gone since. A relationship of a memory that is gone is lost with it, and not counted once more. */
export function lossBetween(before: Belongings, after: Belongings): Loss {
  const gone = after.unread === '' ? [...before.memories.keys()].filter((id) => !after.memories.has(id)) : [];
  const changed = [...after.memories].filter(([id, content]) => (before.memories.get(id) ?? content) !== content);
  // What was written since is nobody else's.
  const strange = [...after.memories.keys()].filter(
    (id) => !before.memories.has(id) && (instantOfUlid(id) ?? 0) < before.at,
  );
  let relationships = 0;
  for (const [key, { from, to, count }] of before.relationships)
    if (after.memories.has(from) && after.memories.has(to))
      relationships += Math.max(0, count - (after.relationships.get(key)?.count ?? 0));
  return {
    memories: gone.length,
    changed: changed.length,
    strange: strange.length,
    vectors: Math.max(0, after.withoutVector - before.withoutVector),
    nodes: Math.max(0, after.withoutNode - before.withoutNode),
    relationships,
    // An id begins with the moment at which it was made: the youngest are what people miss first.
    examples: gone
      .sort()
      .reverse()
      .slice(0, EXAMPLES)
      .map((id) => before.memories.get(id)!),
    unread: after.unread,
  };
}
