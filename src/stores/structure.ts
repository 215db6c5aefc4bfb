import { stableJson } from '../stable-json.js';
import { allThere, type Check, equal, sameSet } from './check.js';
import type { Cluster } from './cluster.js';
import { indexedProperties } from './falkordb/indexes.js';
import { inventoryGraph } from './falkordb/inventory.js';
import { definitionsOf } from './postgres/inventory.js';
import { collectionConfig, listAliases, listCollections, payloadIndexesOf } from './qdrant/inventory.js';

/** What the stores are made of, beside what is in them. A store that could not be read is undefined. */
export interface Structure {
  /** `tables`, `indexes` … → definitions, a line each. */
  postgres: Record<string, string[]> | undefined;
  qdrant: { collections: Record<string, string>; aliases: Record<string, string> } | undefined;
  /** `Label.property`, and constraints, a line each. */
  falkordb: { indexes: string[]; constraints: string[] } | undefined;
}

export async function structureOf(cluster: Cluster): Promise<Structure> {
  const orUndefined = <T>(reading: Promise<T>): Promise<T | undefined> => reading.catch(() => undefined);
  const [postgres, qdrant, falkordb] = await Promise.all([
    orUndefined(definitionsOf(cluster.postgres)),
    orUndefined(qdrantStructure(cluster)),
    orUndefined(falkordbStructure(cluster)),
  ]);
  return { postgres, qdrant, falkordb };
}

async function qdrantStructure({ qdrant }: Cluster): Promise<Structure['qdrant']> {
  const collections: Record<string, string> = {};
  for (const name of await listCollections(qdrant))
    collections[name] = `${await collectionConfig(qdrant, name)} ${stableJson(await payloadIndexesOf(qdrant, name))}`;
  return { collections, aliases: await listAliases(qdrant) };
}

async function falkordbStructure({ falkordb }: Cluster): Promise<Structure['falkordb']> {
  const { graph } = falkordb;
  if (!(await falkordb.graphs()).includes(graph)) return { indexes: [], constraints: [] };
  const { constraints } = await inventoryGraph(falkordb, graph);
  return { indexes: (await indexedProperties(falkordb, graph)).sort(), constraints };
}

/**
 * Whether the stores are made of what they were. `needed`: the collections that memories still need; another one may be gone, and novamem
 * makes one where a memory is the first of its kind.
 */
export function compareStructure(before: Structure, after: Structure, needed: ReadonlySet<string>): Check[] {
  const { postgres, qdrant, falkordb } = after;
  const unread = (store: string) => equal(store, 'structure', 'can be read', 'cannot be read');
  const lines = (named: Record<string, string> = {}) =>
    Object.entries(named).map(([name, said]) => `${name} ${said}`);
  const collections = lines(before.qdrant?.collections).filter((line) => needed.has(line.split(' ', 1)[0]!));
  return [
    ...(postgres
      ? Object.entries(before.postgres ?? {}).map(([kind, was]) =>
          sameSet('Postgres', kind, was, postgres[kind] ?? []),
        )
      : [unread('Postgres')]),
    ...(qdrant
      ? [
          allThere('Qdrant', 'collections as they were made', collections, lines(qdrant.collections)),
          allThere('Qdrant', 'aliases', lines(before.qdrant?.aliases), lines(qdrant.aliases)),
        ]
      : [unread('Qdrant')]),
    ...(falkordb
      ? [
          sameSet('FalkorDB', 'indexes', before.falkordb?.indexes ?? [], falkordb.indexes),
          sameSet('FalkorDB', 'constraints', before.falkordb?.constraints ?? [], falkordb.constraints),
        ]
      : [unread('FalkorDB')]),
  ];
}
