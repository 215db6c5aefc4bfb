import type { Cluster } from './cluster.js';
import { describeServer } from './postgres/server.js';

/** Which cluster this is, as far as its stores tell now. An empty version: that store did not answer. */
export interface Fingerprint {
  postgres: { address: string; version: string; systemIdentifier: string };
  qdrant: { address: string; version: string };
  falkordb: { address: string; version: string };
}

/** What speaks against two fingerprints being of one cluster, a sentence each. What a store did not tell speaks for nothing. */
export function differencesBetween(before: Fingerprint, now: Fingerprint): string[] {
  const said: string[] = [];
  for (const store of ['postgres', 'qdrant', 'falkordb'] as const)
    if (before[store].address !== now[store].address)
      said.push(`${store} was at ${before[store].address}, and is at ${now[store].address}`);
  const [then, today] = [before, now].map(({ postgres }) => postgres.systemIdentifier);
  if (then && today && then !== today)
    said.push(`Postgres had the system identifier ${then}, and has ${today}: it is another server, or was made anew`);
  return said;
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
