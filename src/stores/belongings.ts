import type { Cluster } from './cluster.js';
import { all, type Crosscheck, crosscheck } from './crosscheck/crosscheck.js';
import { instantOfUlid } from './crosscheck/ulid.js';
import { relationshipEnds } from './falkordb/nodes.js';
import { contentsOfMemories, hasMemories } from './postgres/memories.js';

/** All that a cluster of some thousand memories holds, one by one: unlike an inventory it says afterwards what is gone. */
export interface Belongings {
  /** When it was looked, in ms since 1970. */
  at: number;
  /** Id → content. */
  memories: Map<string, string>;
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

/** Reads everything there is. A store that cannot be read holds nothing, and then lacks it for every memory. */
export async function belongingsOf(cluster: Cluster): Promise<Belongings> {
  const at = Date.now();
  const memories = await readContents(cluster).catch(() => new Map<string, string>());
  const checked: Crosscheck | undefined =
    memories.size > 0 ? await crosscheck(cluster).catch(() => undefined) : undefined;
  const lacks = async (kind: 'missing-vectors' | 'missing-nodes', service: 'qdrant' | 'falkordb') => {
    if (checked) return all(checked.differences[kind]);
    return (await cluster.answering(service)).answers ? 0 : memories.size;
  };
  return {
    at,
    memories,
    withoutVector: await lacks('missing-vectors', 'qdrant'),
    withoutNode: await lacks('missing-nodes', 'falkordb'),
    relationships: await readRelationships(cluster).catch(() => new Map<string, Relationship>()),
  };
}

/** The memories of now beside those of before: what users wrote meanwhile can be lost as well. */
export async function withWrittenSince(before: Belongings, cluster: Cluster): Promise<Belongings> {
  const now = await readContents(cluster).catch(() => new Map<string, string>());
  return { ...before, memories: new Map([...now, ...before.memories]) };
}

async function readContents({ postgres }: Cluster): Promise<Map<string, string>> {
  return (await hasMemories(postgres)) ? contentsOfMemories(postgres) : new Map();
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
}

const EXAMPLES = 5;

/** What is gone since. A relationship of a memory that is gone is lost with it, and not counted once more. */
export function lossBetween(before: Belongings, after: Belongings): Loss {
  const gone = [...before.memories.keys()].filter((id) => !after.memories.has(id));
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
  };
}
