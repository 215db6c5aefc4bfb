import { stableJson } from '../stable-json.js';
import type { Belongings, Held, Vector } from './belongings.js';
import { type Check, equal } from './check.js';
import { instantOfUlid } from './crosscheck/ulid.js';
import type { TableRow } from './postgres/table-rows.js';
import { compareStructure } from './structure.js';

/** What of a cluster is gone, or is not what it was. */
export interface Loss {
  memories: number;
  /** Memories that say something else than before. */
  changed: number;
  /** Memories of which the cluster had none before, and that are older than that. */
  strange: number;
  /** Memories without a vector; without a node. */
  vectors: number;
  nodes: number;
  relationships: number;
  /** Vectors, nodes and relationships that are there and are not what they were; but for vectors made anew of the same text. */
  altered: number;
  /** Rows of other tables. */
  rows: number;
  /** The contents of some memories that are gone. */
  examples: string[];
  /** Table → the keys of some of its rows that are gone, and how many it were. */
  tables: Record<string, { rows: number; keys: string[] }>;
  /** Nothing is lost by it, but the cluster is not as it was. */
  leftOver: LeftOver;
  /** Why the memories could not be counted; empty where they could. */
  unread: string;
  /** Stores and tables that could not be read: what they held counts as gone. */
  silent: string[];
  /** What was compared beside: vectors and nodes with what they were, and what the stores are made of. */
  equality: Check[];
}

export interface LeftOver {
  /** Vectors and nodes of memories that are not there. */
  vectors: number;
  nodes: number;
  /** Vectors, nodes and relationships that are there once too often. */
  doubles: number;
}

const EXAMPLES = 5;

/** What is gone since. What belongs to a memory that is gone is lost with it, and not counted once more. */
export function lossBetween(before: Belongings, after: Belongings): Loss {
  const isRead = after.unread === '';
  const gone = isRead ? [...before.memories.keys()].filter((id) => !after.memories.has(id)) : [];
  const changed = [...after.memories].filter(([id, { content, rest }]) => {
    const known = before.memories.get(id);
    return known !== undefined && (known.content !== content || known.rest !== rest);
  });
  // What was written since is nobody else's.
  const strange = [...after.memories.keys()].filter(
    (id) => !before.memories.has(id) && (instantOfUlid(id) ?? 0) < before.at,
  );
  const tables = Object.fromEntries(
    [...before.tables].flatMap(([table, rows]) => {
      const lost = lostRows(rows, after.tables.get(table) ?? [], after.memories);
      return lost.length === 0
        ? []
        : [[table, { rows: lost.length, keys: lost.slice(0, EXAMPLES).flatMap(({ key }) => (key ? [key] : [])) }]];
    }),
  );
  const relationships = [...before.relationships.entries()]
    .filter(([, { from, to }]) => after.memories.has(from) && after.memories.has(to))
    .map(([key, { says }]) => compared(says, after.relationships.get(key)?.says ?? []));
  const sum = (key: keyof ReturnType<typeof compared>) => relationships.reduce((total, one) => total + one[key], 0);
  // What is in a memory that says something else now has a vector of its own.
  const same = new Set([...after.memories.keys()].filter((id) => before.memories.has(id)));
  for (const [id] of changed) same.delete(id);
  const vectors = alteredIn(before.vectors, after.vectors, same, isSameVector);
  const nodes = alteredIn(before.nodes, after.nodes, same);
  const needed = new Set(
    [...before.vectors.of].flatMap(([id, held]) =>
      after.memories.has(id) ? held.map(({ collection }) => collection) : [],
    ),
  );
  const strays = more(before, after, strayIn);
  const doubles = more(before, after, doublesIn);
  return {
    memories: gone.length,
    changed: changed.length,
    strange: strange.length,
    vectors: missing(before.vectors, after.vectors),
    nodes: missing(before.nodes, after.nodes),
    relationships: sum('gone'),
    altered: vectors + nodes + sum('altered'),
    rows: Object.values(tables).reduce((total, { rows }) => total + rows, 0),
    // An id begins with the moment at which it was made: the youngest are what people miss first.
    examples: gone
      .sort()
      .reverse()
      .slice(0, EXAMPLES)
      .map((id) => before.memories.get(id)!.content),
    tables,
    leftOver: {
      // Of memories that cannot be read nobody knows whether they are there.
      vectors: isRead ? strays.vectors : 0,
      nodes: isRead ? strays.nodes : 0,
      doubles: doubles.vectors + doubles.nodes + sum('doubles'),
    },
    unread: after.unread,
    silent: after.silent,
    equality: [
      equal('Qdrant', 'vectors that are not what they were', 0, vectors),
      equal('FalkorDB', 'nodes that are not what they were', 0, nodes),
      ...compareStructure(before.structure, after.structure, needed),
    ],
  };
}

/** Those of the rows that are not there any more, of each as many as are gone. */
function lostRows(
  before: readonly TableRow[],
  after: readonly TableRow[],
  memories: ReadonlyMap<string, unknown>,
): TableRow[] {
  const left = new Map<string, number>();
  for (const { hash } of after) left.set(hash, (left.get(hash) ?? 0) + 1);
  return before.filter(({ hash, memories: of }) => {
    const there = left.get(hash) ?? 0;
    left.set(hash, there - 1);
    return there <= 0 && of.every((id) => memories.has(id));
  });
}

type Stores = Pick<Belongings, 'memories' | 'vectors' | 'nodes'>;
type Count = (held: Held<unknown>, memories: Belongings['memories']) => number;

/** By how much there is more of something in each store. */
function more(before: Stores, after: Stores, count: Count): Record<'vectors' | 'nodes', number> {
  const by = (store: 'vectors' | 'nodes') =>
    Math.max(0, count(after[store], after.memories) - count(before[store], before.memories));
  return { vectors: by('vectors'), nodes: by('nodes') };
}

/** What a store has of memories that are not there. */
const strayIn: Count = ({ of }, memories) =>
  [...of].reduce((total, [id, held]) => total + (memories.has(id) ? 0 : held.length), 0);

/** What it has of a memory beyond the first. */
const doublesIn: Count = ({ of }, memories) =>
  [...of].reduce((total, [id, held]) => total + (memories.has(id) ? held.length - 1 : 0), 0);

/** Of how many memories a store has nothing, and not because it had nothing of them before. */
const missing = ({ lacking }: Held<unknown>, after: Held<unknown>): number =>
  [...after.lacking].filter((id) => !lacking.has(id)).length;

/** Of these memories, what a store has of them that is not what it was. */
function alteredIn<T>(
  before: Held<T>,
  after: Held<T>,
  memories: Iterable<string>,
  isSame?: (one: T, other: T) => boolean,
): number {
  let altered = 0;
  for (const id of memories) altered += compared(before.of.get(id) ?? [], after.of.get(id) ?? [], isSame).altered;
  return altered;
}

/** The same model makes nearly the same vector of the same text, and seldom the very same. */
const NEAR = 0.999;

const isSameVector = (one: Vector, other: Vector): boolean =>
  one.collection === other.collection && one.payload === other.payload && isNear(one.values, other.values);

function isNear(one: unknown, other: unknown): boolean {
  if (!isNumbers(one) || !isNumbers(other) || one.length !== other.length)
    return stableJson(one) === stableJson(other);
  const product = (a: number[], b: number[]) => a.reduce((total, value, at) => total + value * b[at]!, 0);
  const lengths = Math.sqrt(product(one, one) * product(other, other));
  return lengths === 0 ? stableJson(one) === stableJson(other) : product(one, other) / lengths > NEAR;
}

const isNumbers = (value: unknown): value is number[] => Array.isArray(value) && typeof value[0] === 'number';

function compared<T>(before: readonly T[], now: readonly T[], isSame = (one: T, other: T) => one === other) {
  const rest = [...now];
  const unmatched = before.filter((one) => {
    const at = rest.findIndex((other) => isSame(one, other));
    if (at >= 0) rest.splice(at, 1);
    return at < 0;
  });
  const altered = Math.min(unmatched.length, rest.length);
  return { gone: unmatched.length - altered, altered, doubles: rest.length - altered };
}
