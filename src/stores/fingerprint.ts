import { within } from '../hosts/waiting.js';
import { plural } from '../words.js';
import type { Cluster } from './cluster.js';
import { describeServer } from './postgres/server.js';
import { listCollections } from './qdrant/inventory.js';

/** Which cluster this is, as far as its stores tell now. An empty version: that store did not answer. */
export interface Fingerprint {
  postgres: { address: string; version: string; systemIdentifier: string };
  qdrant: { address: string; version: string; collections: number | null };
  falkordb: { address: string; version: string; keys: number | null };
}

/** Which cluster this is, for people: `Postgres 15.18 at db:5432 (system 7398…) · Qdrant 1.16.3, 10 collections · …`. */
export function fingerprintText({ postgres, qdrant, falkordb }: Fingerprint): string {
  const said = (name: string, { address, version }: { address: string; version: string }, more: string) =>
    `${name} ${version || '(no answer)'} at ${address}${more}`;
  return [
    said('Postgres', postgres, postgres.systemIdentifier && `, system ${postgres.systemIdentifier}`),
    said('Qdrant', qdrant, qdrant.collections === null ? '' : `, ${plural(qdrant.collections, 'collection')}`),
    said('FalkorDB', falkordb, falkordb.keys === null ? '' : `, ${plural(falkordb.keys, 'key')}`),
  ].join(' · ');
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

const PATIENCE = 10_000;

const told = <T>(asked: Promise<T>): Promise<T | undefined> => within(PATIENCE, asked).catch(() => undefined);

/** Asks every store, for at most ten seconds. */
export async function fingerprintOf({ postgres, qdrant, falkordb }: Cluster): Promise<Fingerprint> {
  const [server, version, collections, graph, keyspace] = await Promise.all([
    told(describeServer(postgres)),
    told(qdrant.client.versionInfo()),
    told(listCollections(qdrant)),
    told(falkordb.info('server')),
    told(falkordb.info('keyspace')),
  ]);
  return {
    postgres: {
      address: postgres.address,
      version: server?.version ?? '',
      systemIdentifier: server?.systemIdentifier ?? '',
    },
    qdrant: {
      address: qdrant.address,
      version: version?.version ?? '',
      collections: collections?.length ?? null,
    },
    falkordb: {
      address: falkordb.address,
      version: graph?.valkey_version ?? graph?.redis_version ?? '',
      keys: keyspace ? Number(/keys=(\d+)/.exec(keyspace.db0 ?? '')?.[1] ?? 0) : null,
    },
  };
}
