import type { Belongings, Relationship } from './belongings.js';
import { instantOfUlid } from './crosscheck/ulid.js';
import type { TableRow } from './postgres/table-rows.js';

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
  /** Relationships that are there, with another strength or validity. */
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
    .map(([key, relationship]) => compared(relationship, after.relationships.get(key)));
  const sum = (key: keyof ReturnType<typeof compared>) => relationships.reduce((total, one) => total + one[key], 0);
  const more = (store: 'vectors' | 'nodes', key: keyof Belongings['vectors']) =>
    Math.max(0, after[store][key] - before[store][key]);
  return {
    memories: gone.length,
    changed: changed.length,
    strange: strange.length,
    vectors: more('vectors', 'missing'),
    nodes: more('nodes', 'missing'),
    relationships: sum('gone'),
    altered: sum('altered'),
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
      vectors: isRead ? more('vectors', 'strays') : 0,
      nodes: isRead ? more('nodes', 'strays') : 0,
      doubles: more('vectors', 'doubles') + more('nodes', 'doubles') + sum('doubles'),
    },
    unread: after.unread,
    silent: after.silent,
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

function compared({ says }: Relationship, now: Relationship | undefined) {
  const rest = [...(now?.says ?? [])];
  const unmatched = says.filter((one) => {
    const at = rest.indexOf(one);
    if (at >= 0) rest.splice(at, 1);
    return at < 0;
  });
  const altered = Math.min(unmatched.length, rest.length);
  return { gone: unmatched.length - altered, altered, doubles: rest.length - altered };
}
