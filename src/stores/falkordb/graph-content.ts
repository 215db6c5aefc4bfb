import { countOf, plural } from '../../words.js';
import type { FalkorDB } from './connection.js';
import type { FalkordbInventory } from './inventory.js';

/** How much a graph holds. Of relationships only the kind tells what losing them means. */
export interface GraphContent {
  /** Label(s) → nodes. */
  nodes: Record<string, number>;
  /** Kind → relationships of the type RELATES; any other type stands as `TYPE kind`. */
  relationships: Record<string, number>;
}

export const NOTHING: GraphContent = { nodes: {}, relationships: {} };

const kindOf = (type: string, kind: string) => (type === 'RELATES' ? kind : `${type} ${kind}`);

/** What a graph holds now; nothing when it is absent, which is not made by asking. */
export async function graphContent(falkordb: FalkorDB, graph: string): Promise<GraphContent> {
  if (!(await falkordb.graphs()).includes(graph)) return NOTHING;
  const nodes = await falkordb.query(graph, 'MATCH (n) RETURN labels(n), count(n)');
  const relationships = await falkordb.query(graph, 'MATCH ()-[r]->() RETURN type(r), r.kind, count(r)');
  return {
    nodes: Object.fromEntries(nodes.map(([labels, count]) => [labelText(labels), Number(count)])),
    relationships: Object.fromEntries(
      relationships.map(([type, kind, count]) => [kindOf(String(type), String(kind ?? '(no kind)')), Number(count)]),
    ),
  };
}

const labelText = (labels: unknown) => String(labels).replace(/^\[(.*)\]$/, '$1') || '(no label)';

/** What a graph of an inventory holds; undefined when the inventory does not have it. */
export function contentOf(inventory: FalkordbInventory | undefined, graph: string): GraphContent | undefined {
  const counted = inventory?.graphs[graph];
  if (!counted) return undefined;
  const relationships = Object.entries(counted.relationships).map(([name, { count }]) => {
    const [type, ...kind] = name.split(' ');
    return [kindOf(type!, kind.join(' ')), count];
  });
  const nodes = Object.entries(counted.nodes).map(([labels, { count }]) => [labelText(labels), count]);
  return { nodes: Object.fromEntries(nodes), relationships: Object.fromEntries(relationships) };
}

export const totalOf = (counts: Record<string, number>) =>
  Object.values(counts).reduce((sum, count) => sum + count, 0);

export const isEmpty = ({ nodes }: GraphContent) => totalOf(nodes) === 0;

/** Most first, and by name where equal: the same counts are always said in the same words. */
const byCount = (counts: Record<string, number>) =>
  Object.entries(counts)
    .filter(([, count]) => count > 0)
    .sort(([a, most], [b, more]) => more - most || (a < b ? -1 : 1));

/** `1,500 co_occurs, 260 co_inferred`. */
export const listOf = (counts: Record<string, number>) =>
  byCount(counts)
    .map(([name, count]) => `${countOf(count)} ${name}`)
    .join(', ');

/** `600 nodes, 12,160 relationships: 10,400 vector_neighbour, 1,500 co_occurs, 260 co_inferred`. */
export function contentText({ nodes, relationships }: GraphContent): string {
  const kinds = listOf(relationships);
  const other = listOf(Object.fromEntries(Object.entries(nodes).filter(([label]) => label !== 'Memory')));
  return [
    `${plural(totalOf(nodes), 'node')}${other === '' ? '' : ` (of these ${other})`}`,
    `${plural(totalOf(relationships), 'relationship')}${kinds === '' ? '' : `: ${kinds}`}`,
  ].join(', ');
}

/** How many of each kind one has more than another: `12 nodes, 140 co_occurs`; empty when none. */
export function moreIn(one: GraphContent, other: GraphContent): string {
  const more = (name: 'nodes' | 'relationships') =>
    Object.fromEntries(
      Object.entries(one[name]).map(([kind, count]) => [kind, Math.max(0, count - (other[name][kind] ?? 0))]),
    );
  const nodes = totalOf(more('nodes'));
  return [nodes > 0 ? plural(nodes, 'node') : '', listOf(more('relationships'))].filter(Boolean).join(', ');
}
