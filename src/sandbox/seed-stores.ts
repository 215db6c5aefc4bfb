import type { QdrantClient } from '@qdrant/js-client-rest';
import type { Redis } from 'ioredis';
import type pg from 'pg';
import { collectionOf, DIMENSIONS, embed, pointIdOf } from './embedding.js';
import { NOVAMEM_SCHEMA } from './novamem-schema.js';
import { contentHashOf, type SeedData, type SeedMemory } from './seed-data.js';

const BATCH = 1000;

function batchesOf<T>(items: readonly T[], size = BATCH): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, index) =>
    items.slice(index * size, (index + 1) * size),
  );
}

/** Makes novamem's tables in an empty database and fills them. */
export async function seedPostgres(client: pg.Client, data: SeedData): Promise<void> {
  await client.query('BEGIN');
  await client.query(NOVAMEM_SCHEMA);
  const column = <T>(items: readonly T[], of: (item: T) => unknown) => items.map(of);
  await client.query(
    'INSERT INTO "user" (id, email, name) SELECT id, email, initcap(id) FROM unnest($1::text[], $2::text[]) AS u (id, email)',
    [column(data.users, (user) => user.id), column(data.users, (user) => user.email)],
  );
  await client.query(
    'INSERT INTO projects (id, owner_id, name) SELECT id, owner, initcap(id) FROM unnest($1::text[], $2::text[]) AS p (id, owner)',
    [column(data.projects, (project) => project.id), column(data.projects, (project) => project.owner)],
  );
  await client.query(`INSERT INTO project_members SELECT id, owner_id, 'owner' FROM projects`);
  await client.query(
    `INSERT INTO user_tokens (id, user_id, token_hash) SELECT 'tok_' || id, id, md5(id) FROM "user"`,
  );
  await client.query(
    'INSERT INTO user_active_project SELECT DISTINCT ON (owner_id) owner_id, id FROM projects ORDER BY owner_id, id',
  );
  for (const batch of batchesOf(data.memories)) {
    await client.query(
      `INSERT INTO memory_entries (id, user_id, project_id, namespace, content, source, metadata, cold, content_hash, created_at, updated_at, embedded_at)
       SELECT id, user_id, project_id, namespace, content, source, jsonb_build_object('agentName', 'agent-' || source), cold, hash, at, at, at
         FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::boolean[], $8::text[], $9::timestamptz[])
              AS m (id, user_id, project_id, namespace, content, source, cold, hash, at)`,
      [
        column(batch, (memory) => memory.id),
        column(batch, (memory) => memory.user),
        column(batch, (memory) => memory.project),
        column(batch, (memory) => memory.namespace),
        column(batch, (memory) => memory.content),
        column(batch, (memory) => memory.source),
        column(batch, (memory) => memory.cold),
        column(batch, (memory) => contentHashOf(memory.content)),
        column(batch, (memory) => memory.createdAt.toISOString()),
      ],
    );
  }
  await client.query(`INSERT INTO memory_fts SELECT id, to_tsvector('english', content) FROM memory_entries`);
  await client.query(
    `INSERT INTO memory_access (entry_id, accessed_at) SELECT id, created_at + interval '1 day' FROM memory_entries WHERE NOT cold ORDER BY id`,
  );
  for (const batch of batchesOf(data.relations, 5 * BATCH)) {
    await client.query(
      `INSERT INTO memory_relations (user_id, project_id, from_id, to_id, relation, strength)
       SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::float8[])`,
      [
        column(batch, (relation) => relation.from.user),
        column(batch, (relation) => relation.from.project),
        column(batch, (relation) => relation.from.id),
        column(batch, (relation) => relation.to.id),
        column(batch, (relation) => relation.kind),
        column(batch, (relation) => relation.strength),
      ],
    );
  }
  await client.query(
    `INSERT INTO decay_runs (started_at, decayed) SELECT timestamptz '2026-10-01Z' + n * interval '1 day', n FROM generate_series(1, 30) n`,
  );
  await client.query(
    `INSERT INTO metrics_samples (name, value, sampled_at) SELECT 'search_ms', n * 0.5, timestamptz '2026-10-01Z' + n * interval '1 hour' FROM generate_series(1, 500) n`,
  );
  await client.query(
    `INSERT INTO admin_audit_log (actor, action, at) SELECT 'admin', 'action ' || n, timestamptz '2026-10-01Z' + n * interval '1 hour' FROM generate_series(1, 50) n`,
  );
  await client.query('COMMIT');
  await client.query('ANALYZE');
}

/** One collection for each user or project and namespace, every memory a point. */
export async function seedQdrant(client: QdrantClient, data: SeedData): Promise<void> {
  const collections = new Map<string, SeedMemory[]>();
  for (const memory of data.memories) {
    const name = collectionOf(memory.user, memory.project, memory.namespace);
    const others = collections.get(name);
    if (others) others.push(memory);
    else collections.set(name, [memory]);
  }
  for (const [name, memories] of collections) {
    await client.createCollection(name, { vectors: { size: DIMENSIONS, distance: 'Cosine' } });
    await client.createPayloadIndex(name, { field_name: 'userId', field_schema: 'keyword', wait: true });
    for (const batch of batchesOf(memories)) {
      await client.upsert(name, {
        wait: true,
        points: batch.map((memory) => ({
          id: pointIdOf(memory.id),
          vector: embed(memory.content),
          payload: {
            entryId: memory.id,
            userId: memory.user,
            projectId: memory.project,
            source: memory.source,
            agentName: `agent-${memory.source}`,
          },
        })),
      });
    }
  }
  await client.updateCollectionAliases({
    actions: [
      { create_alias: { alias_name: 'novamem_acme', collection_name: collectionOf('acme', null, 'default') } },
    ],
  });
}

/** One node for each memory, one relationship for each relation. */
export async function seedFalkordb(redis: Redis, graph: string, data: SeedData): Promise<void> {
  const query = (cypher: string) => redis.call('GRAPH.QUERY', graph, cypher);
  for (const property of ['id', 'user', 'project']) await query(`CREATE INDEX FOR (m:Memory) ON (m.${property})`);
  for (const batch of batchesOf(data.memories)) {
    const rows = batch.map((memory) => `{id:'${memory.id}',user:'${memory.user}',project:'${memory.project ?? ''}'}`);
    await query(
      `UNWIND [${rows.join(',')}] AS row CREATE (:Memory {id: row.id, user: row.user, project: row.project})`,
    );
  }
  for (const batch of batchesOf(data.relations)) {
    const rows = batch.map(
      ({ from, to, kind, strength }) =>
        `{f:'${from.id}',t:'${to.id}',k:'${kind}',s:${strength},v:${from.createdAt.getTime()}}`,
    );
    await query(
      `UNWIND [${rows.join(',')}] AS row MATCH (a:Memory {id: row.f}), (b:Memory {id: row.t}) CREATE (a)-[:RELATES {kind: row.k, strength: row.s, validFrom: row.v, validTo: 0}]->(b)`,
    );
  }
}
