import { QdrantClient } from '@qdrant/js-client-rest';
import { Redis } from 'ioredis';
import pg from 'pg';
import { resolveSecret } from '../dist/config/secrets.js';
import { pointIdOf } from '../dist/sandbox/embedding.js';
import { randomFrom, ulid } from '../dist/sandbox/seed-data.js';

const BATCH = 5_000;
/** Of vectors, which are long. */
const PIECE = 500;
const BEGIN = Date.UTC(2026, 0, 1);

/**
 * Adds so many memories to a sandbox in the fastest way each store has, over so many collections; `nodes` of them are in the graph.
 */
export async function addMemories(profile, count, { collections = 4, dimensions = 4, nodes = count } = {}) {
  const random = randomFrom(8);
  const ids = Array.from({ length: count }, (_, number) => ulid(BEGIN + number, random));
  const batches = inPieces(ids, BATCH);
  await Promise.all([
    toPostgres(profile, batches),
    toQdrant(profile, batches, collections, dimensions),
    toFalkordb(profile, batches.slice(0, Math.ceil(nodes / BATCH))),
  ]);
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
           SELECT id, 'bench', 'memory ' || id, 'bench', md5(id), now(), now(), now() FROM unnest($1::text[]) AS u (id)`,
        [ids],
      );
    await client.query('ANALYZE memory_entries');
  } finally {
    await client.end();
  }
}

async function toQdrant({ qdrant }, batches, collections, dimensions) {
  const random = randomFrom(9);
  const vector = () => Array.from({ length: dimensions }, () => Math.round(random() * 2000 - 1000) / 1000);
  const client = new QdrantClient({
    url: qdrant.url,
    headers: { 'api-key': resolveSecret(qdrant.apiKeyFrom, 'the Qdrant key') },
    checkCompatibility: false,
  });
  const nameOf = (number) => `${qdrant.collectionPrefix}u_bench_${number}`;
  for (let number = 0; number < collections; number += 1)
    await client.createCollection(nameOf(number), {
      vectors: { size: dimensions, distance: 'Cosine' },
      // Nobody searches here.
      optimizers_config: { indexing_threshold: 0 },
    });
  const pieces = inPieces(batches.flat(), PIECE);
  for (const [number, ids] of pieces.entries()) {
    await client.upsert(nameOf(number % collections), {
      wait: true,
      batch: { ids: ids.map(pointIdOf), vectors: ids.map(vector), payloads: ids.map((entryId) => ({ entryId })) },
    });
  }
}

async function toFalkordb({ falkordb }, batches) {
  const redis = new Redis(falkordb.url, { password: resolveSecret(falkordb.passwordFrom, 'the FalkorDB password') });
  try {
    for (const ids of batches)
      await redis.call(
        'GRAPH.QUERY',
        falkordb.graph,
        `UNWIND [${ids.map((id) => `'${id}'`).join(',')}] AS id CREATE (:Memory {id: id, user: 'bench', project: ''})`,
      );
  } finally {
    redis.disconnect();
  }
}

const inPieces = (items, size) =>
  Array.from({ length: Math.ceil(items.length / size) }, (_, number) =>
    items.slice(number * size, (number + 1) * size),
  );
