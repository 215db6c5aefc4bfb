import { pointIdOf } from '../../src/sandbox/embedding.js';
import { ulid } from '../../src/sandbox/seed-data.js';
import { cypherText } from '../../src/stores/falkordb/cypher.js';
import type { RealCluster } from './sandbox.js';
import { open } from './sandbox.js';

const AT_ONCE = 10_000;
/** Long enough ago that no clock can bring it near to now. */
export const LONG_AGO = Date.UTC(2026, 0, 1);

/** Ids of memories that were written one after the other, `apart` milliseconds. */
export function idsFrom(count: number, first = LONG_AGO, apart = 60_000): string[] {
  let seed = first % 2 ** 31;
  const random = () => {
    seed = (seed * 48_271) % 2_147_483_647;
    return seed / 2_147_483_647;
  };
  return Array.from({ length: count }, (_, index) => ulid(first + index * apart, random));
}

/** What a test lays into the three stores by hand, so that it knows what must be found. */
export class Memories {
  constructor(readonly real: RealCluster) {}

  /** Takes everything out of all three stores. */
  async clear(): Promise<void> {
    const { qdrant, falkordb } = this.real.cluster;
    await this.real.sql('TRUNCATE memory_entries CASCADE; TRUNCATE cold_orphans');
    for (const { name } of (await qdrant.client.getCollections()).collections)
      await qdrant.client.deleteCollection(name);
    for (const graph of await falkordb.graphs()) await falkordb.write(open, 'GRAPH.DELETE', graph);
  }

  /** Rows, vectors (in one collection) and nodes of these memories. */
  async everywhere(ids: readonly string[], collection = 'novamem_u_acme_default'): Promise<void> {
    await this.rows(ids);
    await this.vectors(ids, collection);
    await this.nodes(ids);
  }

  /** `embeddedAt`: null for memories that novamem has yet to embed. */
  async rows(ids: readonly string[], embeddedAt: Date | null = new Date(LONG_AGO)): Promise<void> {
    const client = await this.real.session();
    try {
      for (const batch of batches(ids, AT_ONCE))
        await client.query(
          `INSERT INTO memory_entries (id, user_id, content, namespace, source, content_hash, created_at, updated_at, embedded_at)
           SELECT id, 'acme', 'a memory', 'default', 'api', md5(id), now(), now(), $2 FROM unnest($1::text[]) AS id`,
          [batch, embeddedAt],
        );
    } finally {
      await client.end();
    }
  }

  async forget(ids: readonly string[]): Promise<void> {
    const client = await this.real.session();
    try {
      await client.query('DELETE FROM memory_entries WHERE id = ANY($1)', [ids]);
    } finally {
      await client.end();
    }
  }

  /** `pointOf`: the id of each memory's point, where it shall not be the usual one. */
  async vectors(
    ids: readonly string[],
    collection = 'novamem_u_acme_default',
    pointOf: (id: string) => string = pointIdOf,
  ): Promise<void> {
    const { client } = this.real.cluster.qdrant;
    if (!(await client.collectionExists(collection)).exists)
      await client.createCollection(collection, { vectors: { size: 4, distance: 'Cosine' } });
    for (const batch of batches(ids, AT_ONCE / 2))
      await client.upsert(collection, {
        wait: true,
        points: batch.map((id, index) => ({
          id: pointOf(id),
          vector: [0.123456789, index / 7, 1 / 3, -1],
          payload: { entryId: id, userId: 'acme', projectId: null, source: 'api', agentName: 'agent-api' },
        })),
      });
  }

  async nodes(ids: readonly string[]): Promise<void> {
    const { falkordb } = this.real.cluster;
    await this.cypher('CREATE INDEX FOR (m:Memory) ON (m.id)').catch(() => {});
    for (const batch of batches(ids, AT_ONCE))
      await falkordb.write(
        open,
        'GRAPH.QUERY',
        falkordb.graph,
        `UNWIND [${batch.map(cypherText).join(',')}] AS id CREATE (:Memory {id: id, user: 'acme', project: ''})`,
      );
  }

  /** A query that writes into the graph. */
  async cypher(text: string): Promise<void> {
    const { falkordb } = this.real.cluster;
    await falkordb.write(open, 'GRAPH.QUERY', falkordb.graph, text);
  }

  async deleteVectors(ids: readonly string[], collection = 'novamem_u_acme_default'): Promise<void> {
    await this.real.cluster.qdrant.client.delete(collection, { wait: true, points: ids.map(pointIdOf) });
  }

  async deleteNodes(ids: readonly string[]): Promise<void> {
    await this.cypher(`MATCH (m:Memory) WHERE m.id IN [${ids.map(cypherText).join(',')}] DELETE m`);
  }

  /** Every point of every collection, with vector and payload, as text, sorted. */
  async allPoints(): Promise<string[]> {
    const { client } = this.real.cluster.qdrant;
    const found: string[] = [];
    for (const { name } of (await client.getCollections()).collections) {
      let offset: string | number | undefined;
      do {
        const page = await client.scroll(name, { limit: 1000, with_payload: true, with_vector: true, offset });
        found.push(
          ...page.points.map(({ id, vector, payload }) =>
            JSON.stringify([name, id, vector, Object.entries(payload ?? {}).sort()]),
          ),
        );
        offset = (page.next_page_offset as string | number | null | undefined) ?? undefined;
      } while (offset !== undefined);
    }
    return found.sort();
  }

  /** Every node and every relationship of the graph with all they carry, as text, sorted. Numbers of the server are left out. */
  async wholeGraph(): Promise<string[]> {
    const { falkordb } = this.real.cluster;
    const { graph } = falkordb;
    if (!(await falkordb.graphs()).includes(graph)) return [];
    const nodes = await falkordb.typedQuery(graph, 'MATCH (n) RETURN labels(n), properties(n)');
    const edges = await falkordb.typedQuery(
      graph,
      'MATCH (a)-[r]->(b) RETURN properties(a), type(r), properties(r), properties(b)',
    );
    return [...nodes, ...edges].map((row) => JSON.stringify(row.map(sorted))).sort();
  }
}

/** The properties of the server's typed maps in an order of their own: the server's is that in which they were set. */
function sorted(value: unknown): unknown {
  if (!Array.isArray(value)) return value;
  const [type, content] = value as [number, unknown[]];
  if (type !== 10) return value;
  const pairs = Array.from({ length: content.length / 2 }, (_, index) => [
    content[index * 2],
    content[index * 2 + 1],
  ]);
  return pairs.sort(([a], [b]) => (String(a) < String(b) ? -1 : 1));
}

function batches<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, index) =>
    items.slice(index * size, (index + 1) * size),
  );
}
