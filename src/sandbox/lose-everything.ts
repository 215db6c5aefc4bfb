import { rm } from 'node:fs/promises';
import { openGateway } from '../hosts/gateway.js';
import { driverFor } from '../hosts/services/drivers.js';
import { Cluster } from '../stores/cluster.js';
import { quoteIdentifier } from '../stores/postgres/connection.js';
import { otherSessions } from '../stores/postgres/server.js';
import { readRecord } from './registry.js';
import { sandboxProfile } from './sandbox.js';
import { placesIn } from './sandbox-profile.js';

/** Really loses a sandbox's three stores: the database is dropped, the others are killed and their folders removed. */
export async function loseEverything(name: string): Promise<string[]> {
  const profile = sandboxProfile(name);
  const cluster = new Cluster(profile);
  const places = placesIn(readRecord(name)!.folder);
  const gateway = openGateway(() => {});
  const { postgres } = cluster;
  const maintenance = await postgres.maintenanceDatabase();
  for (const { pid } of await otherSessions(postgres))
    await postgres.write(gateway, `SELECT pg_terminate_backend(${pid})`, maintenance);
  await postgres.write(
    gateway,
    `DROP DATABASE IF EXISTS ${quoteIdentifier(postgres.database)} WITH (FORCE)`,
    maintenance,
  );
  for (const service of ['qdrant', 'falkordb'] as const)
    await driverFor(service, profile.services[service]!).stop(gateway, { onLine: () => {} });
  await rm(places.qdrantData, { recursive: true, force: true });
  await rm(places.falkordbData, { recursive: true, force: true });
  return [
    `database ${postgres.database} dropped`,
    `Qdrant stopped, ${places.qdrantData} removed`,
    `FalkorDB stopped, ${places.falkordbData} removed`,
  ];
}
