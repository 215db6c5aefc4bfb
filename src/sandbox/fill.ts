import { readFileSync } from 'node:fs';
import { QdrantClient } from '@qdrant/js-client-rest';
import { Redis } from 'ioredis';
import pg from 'pg';
import type { Profile } from '../config/profile.js';
import { durationOf } from '../words.js';
import { makeSeedData } from './seed-data.js';
import { seedFalkordb, seedPostgres, seedQdrant } from './seed-stores.js';

/** Stores memories, vectors and relations that belong together in the three stores; the same for the same seed. */
export async function fill(
  profile: Profile,
  { memories, seed }: { memories: number; seed?: number },
  onLine: (line: string) => void,
): Promise<void> {
  const started = Date.now();
  const data = makeSeedData(memories, seed);
  const secretOf = (reference: string | undefined) => readFileSync(reference!.slice('file:'.length), 'utf8').trim();
  const host = '127.0.0.1';
  const postgresUrl = new URL(profile.postgres.url);
  const connection = {
    host,
    port: Number(postgresUrl.port),
    user: 'novamem',
    password: secretOf(profile.postgres.passwordFrom),
  };
  await Promise.all([
    (async () => {
      await withClient({ ...connection, database: 'postgres' }, (client) => client.query('CREATE DATABASE novamem'));
      await withClient({ ...connection, database: 'novamem' }, (client) => seedPostgres(client, data));
    })(),
    seedQdrant(
      new QdrantClient({
        host,
        port: Number(new URL(profile.qdrant.url).port),
        headers: { 'api-key': secretOf(profile.qdrant.apiKeyFrom) },
        checkCompatibility: false,
      }),
      data,
    ),
    (async () => {
      const port = Number(new URL(profile.falkordb.url).port);
      const redis = new Redis({
        host,
        port,
        password: secretOf(profile.falkordb.passwordFrom),
        retryStrategy: () => null,
        maxRetriesPerRequest: 0,
      });
      redis.on('error', () => {});
      await seedFalkordb(redis, profile.falkordb.graph, data).finally(() => redis.disconnect());
    })(),
  ]);
  onLine(
    `${data.memories.length} memories, ${data.relations.length} relations stored after ${durationOf(Date.now() - started)}`,
  );
}

async function withClient(settings: pg.ClientConfig, work: (client: pg.Client) => Promise<unknown>): Promise<void> {
  const client = new pg.Client(settings);
  // A connection that breaks between two queries reports it here; the next query reports it too.
  client.on('error', () => {});
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end();
  }
}
