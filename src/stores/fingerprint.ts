import type { Cluster } from './cluster.js';
import { describeServer } from './postgres/server.js';

/** Which cluster this is, as far as its stores tell now. An empty version: that store did not answer. */
export interface Fingerprint {
  postgres: { address: string; version: string; systemIdentifier: string };
  qdrant: { address: string; version: string };
  falkordb: { address: string; version: string };
}

export async function fingerprintOf({ postgres, qdrant, falkordb }: Cluster): Promise<Fingerprint> {
  const [server, collections, graph] = await Promise.all([
    describeServer(postgres).catch(() => undefined),
    qdrant.client.versionInfo().catch(() => undefined),
    falkordb.info('server').catch(() => undefined),
  ]);
  return {
    postgres: {
      address: postgres.address,
      version: server?.version ?? '',
      systemIdentifier: server?.systemIdentifier ?? '',
    },
    qdrant: { address: qdrant.address, version: collections?.version ?? '' },
    falkordb: { address: falkordb.address, version: graph?.valkey_version ?? graph?.redis_version ?? '' },
  };
}
