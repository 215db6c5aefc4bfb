import { type Profile, SERVICE_TITLES, type ServiceName } from '../../config/profile.js';
import { openGateway } from '../../hosts/gateway.js';
import { driverFor } from '../../hosts/services/drivers.js';
import { waitFor } from '../../hosts/waiting.js';
import { Cluster } from '../../stores/cluster.js';
import { readRecord, type SandboxRecord } from '../registry.js';
import { sandboxProfile } from '../sandbox.js';
import { placesIn } from '../sandbox-profile.js';

/** The sandbox that is to be broken. */
export interface Scene {
  record: SandboxRecord;
  profile: Profile;
  cluster: Cluster;
  places: ReturnType<typeof placesIn>;
}

/** Real damage that a sandbox can do to itself. */
export interface Disaster {
  id: string;
  /** What happened, in a line. */
  title: string;
  /** The scenario whose runbook answers it. */
  scenario: string;
  /** What the pager says, and what users say: nothing in it gives the cause away. */
  pager: string;
  users: string;
  /** What has to happen before, in this order, so that there is something to lose. */
  before: readonly ('backup' | 'base-backup' | 'memories' | 'backup-of-another-cluster')[];
  /** Why it cannot happen here; undefined where it can. */
  impossible?: () => string | undefined;
  /** Does the damage. Answers what was done, a sentence each. */
  strike(scene: Scene): Promise<string[]>;
}

/** Nobody confirms and nobody records what is broken on purpose. */
export const gateway = openGateway(() => {});

export function sceneOf(name: string): Scene {
  const profile = sandboxProfile(name);
  const record = readRecord(name)!;
  return { record, profile, cluster: new Cluster(profile), places: placesIn(record.folder) };
}

const PATIENCE = 30_000;

export function stop({ profile }: Scene, service: ServiceName): Promise<void> {
  return driverFor(service, profile.services[service]!).stop(gateway, { onLine: () => {} });
}

/** Starts a service and waits until it answers. */
export async function start({ profile, cluster }: Scene, service: ServiceName): Promise<void> {
  await driverFor(service, profile.services[service]!).start(gateway, { onLine: () => {} });
  const answers = await waitFor(async () => ((await cluster.answering(service)).answers ? true : undefined), {
    timeoutMs: PATIENCE,
  });
  if (!answers) throw new Error(`${SERVICE_TITLES[service]} did not answer after it was started again`);
}
