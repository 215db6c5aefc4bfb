import { Redis } from 'ioredis';
import { resolveSecret } from '../../src/config/secrets.js';
import { type AskQdrant, type Measured, measureFalkordb, measurePostgres, measureQdrant } from './measure.js';
import type { RealCluster } from './sandbox.js';

/** What is in the three stores of a sandbox, found out with the plain clients. */
export async function measureCluster(real: Pick<RealCluster, 'cluster' | 'session'>): Promise<Measured> {
  const { qdrant, falkordb } = real.cluster.profile;
  const askQdrant: AskQdrant = async (method, path, body) => {
    const answer = await fetch(new URL(path, qdrant.url), {
      method,
      headers: { 'api-key': resolveSecret(qdrant.apiKeyFrom!, 'the Qdrant key'), 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return ((await answer.json()) as { result: never }).result;
  };
  const client = await real.session();
  const redis = new Redis(falkordb.url, {
    password: resolveSecret(falkordb.passwordFrom!, 'the FalkorDB password'),
    maxRetriesPerRequest: 1,
  });
  try {
    return {
      ...(await measurePostgres(client)),
      ...(await measureQdrant(askQdrant)),
      ...(await measureFalkordb(redis, falkordb.graph)),
    };
  } finally {
    await client.end();
    redis.disconnect();
  }
}
