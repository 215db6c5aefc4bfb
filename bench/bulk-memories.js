import { QdrantClient } from '@qdrant/js-client-rest';
import { Redis } from 'ioredis';
import pg from 'pg';
import { resolveSecret } from '../dist/config/secrets.js';
import { pointIdOf } from '../dist/sandbox/embedding.js';
import { randomFrom, ulid } from '../dist/sandbox/seed-data.js';

const BATCH = 5_000;
const COLLECTIONS = 4;
const BEGIN = Date.UTC(2026, 0, 1);

/** Adds so many memories to a sandbox in the fastest way each store has: all that a cross-check reads of them, and little more. */
export async function addMemories(profile, count) {
  const random = randomFrom(8);
  const ids = Array.from({ length: count }, (_, number) => ulid(BEGIN + number, random));
  const batches = Array.from({ length: Math.ceil(count / BATCH) }, (_, number) =>
    ids.slice(number * BATCH, (number + 1) * BATCH),
  );
  await Promise.all([toPostgres(profile, batches), toQdrant(profile, batches), toFalkordb(profile, batches)]);
}

async function toPostgres({ postgres }, batches) {
  const url = new URL(postgres.url);
  url.password = resolveSecret(postgres.passwordFrom, 'the Postgres password');
  const client = new pg.Client({ connectionString: url.href });
  await client.connect();
  try {
    for (const ids of batches)
      await client.query(
        `INSERT INTO memory_entries (id, user_id, content, source, content_hash, created_at, updated_at, embedded_at)
           SELECT id, 'acme', 'memory ' || id, 'bench', md5(id), now(), now(), now() FROM unnest($1::text[]) AS u (id)`,
        [ids],
      );
    await client.query('ANALYZE memory_entries');
  } finally {
    await client.end();
  }
}

async function toQdrant({ qdrant }, batches) {
  const client = new QdrantClient({
    url: qdrant.url,
    headers: { 'api-key': resolveSecret(qdrant.apiKeyFrom, 'the Qdrant key') },
    checkCompatibility: false,
  });
  const nameOf = (number) => `${qdrant.collectionPrefix}u_bench_${number}`;
  for (let number = 0; number < COLLECTIONS; number += 1)
    await client.createCollection(nameOf(number), {
      vectors: { size: 4, distance: 'Cosine' },
      // Nobody searches here.
      optimizers_config: { indexing_threshold: 0 },
    });
  for (const [number, ids] of batches.entries())
    await client.upsert(nameOf(number % COLLECTIONS), {
      wait: true,
      batch: {
        ids: ids.map(pointIdOf),
        vectors: ids.map((_, index) => [1, index % 7, index % 11, index % 13]),
        payloads: ids.map((entryId) => ({ entryId })),
      },
    });
}

async function toFalkordb({ falkordb }, batches) {
  const redis = new Redis(falkordb.url, { password: resolveSecret(falkordb.passwordFrom, 'the FalkorDB password') });
  try {
    for (const ids of batches)
      await redis.call(
        'GRAPH.QUERY',
        falkordb.graph,
        `UNWIND [${ids.map((id) => `'${id}'`).join(',')}] AS id CREATE (:Memory {id: id, user: 'acme', project: ''})`,
      );
  } finally {
    redis.disconnect();
  }
}
