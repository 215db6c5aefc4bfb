import { SERVICE_TITLES, STORES, type StoreName } from '../config/profile.js';
import { within } from '../hosts/waiting.js';
import { plural } from '../words.js';
import type { Cluster } from './cluster.js';
import { type Kinship, kinshipOf, newestIn } from './kinship.js';
import { describeServer } from './postgres/server.js';
import { listCollections } from './qdrant/inventory.js';

/** Which cluster this is, as far as its stores tell now. An empty version: that store did not answer. */
export interface Fingerprint {
  postgres: { address: string; version: string; systemIdentifier: string };
  qdrant: { address: string; version: string; collections: number | null; kinship: Kinship | null };
  falkordb: { address: string; version: string; keys: number | null; kinship: Kinship | null };
}

/** Where each store is. */
export const addressesIn = ({ postgres, qdrant, falkordb }: Fingerprint) => ({
  postgres: postgres.address,
  qdrant: qdrant.address,
  falkordb: falkordb.address,
});

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
  const said = movesBetween(addressesIn(before), addressesIn(now));
  const [then, today] = [before, now].map(({ postgres }) => postgres.systemIdentifier);
  if (then && today && then !== today)
    said.push(`Postgres had the system identifier ${then}, and has ${today}: it is another server, or was made anew`);
  return said;
}

/** Which stores are elsewhere than they were, a sentence each. */
export function movesBetween(before: Record<StoreName, string>, now: Record<StoreName, string>): string[] {
  return STORES.filter((store) => before[store] !== now[store]).map(
    (store) => `${SERVICE_TITLES[store]} was at ${before[store]}, and is at ${now[store]}`,
  );
}

const PATIENCE = 10_000;

const told = <T>(asked: Promise<T>): Promise<T | undefined> => within(PATIENCE, asked).catch(() => undefined);

/** Asks every store, for at most ten seconds. */
export async function fingerprintOf(cluster: Cluster): Promise<Fingerprint> {
  const { postgres, qdrant, falkordb } = cluster;
  const newest = newestIn(cluster);
  const [server, version, collections, graph, keyspace, vectors, nodes] = await Promise.all([
    told(describeServer(postgres)),
    told(qdrant.client.versionInfo()),
    told(listCollections(qdrant)),
    told(falkordb.info('server')),
    told(falkordb.info('keyspace')),
    told(kinshipOf('qdrant', cluster, newest)),
    told(kinshipOf('falkordb', cluster, newest)),
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
      kinship: vectors ?? null,
    },
    falkordb: {
      address: falkordb.address,
      version: graph?.valkey_version ?? graph?.redis_version ?? '',
      keys: keyspace ? Number(/keys=(\d+)/.exec(keyspace.db0 ?? '')?.[1] ?? 0) : null,
      kinship: nodes ?? null,
    },
  };
}
