import { type Profile, SERVICE_TITLES, SERVICES, type ServiceName } from '../../config/profile.js';
import { within } from '../../hosts/waiting.js';
import { Cluster } from '../../stores/cluster.js';
import { observeFalkordb } from '../../stores/observations/falkordb.js';
import type { Observation } from '../../stores/observations/observation.js';
import { observePostgres } from '../../stores/observations/postgres.js';
import { observeQdrant } from '../../stores/observations/qdrant.js';
import { type PartSettings, type Tried, tryConnection } from '../../stores/try-connection.js';
import { messageOf } from '../../words.js';
import { type Obstacle, type Prerequisites, prerequisitesOf } from '../prerequisites.js';
import { observeHosts } from './hosts.js';
import { observeMachine } from './machine.js';

/** What was found of this machine and of a cluster. */
export interface Examination extends Prerequisites {
  /** `null` where no profile was named and none is remembered: this machine alone was looked at. */
  cluster: string | null;
  /** What came of reaching each part, those that are not reached first. */
  reached: Tried[];
  observations: Observation[];
}

const PATIENCE_MS = 15_000;

/** Looks at this machine and, where there is a profile, at its cluster: what is missing for which scenario. Reads only, ends whatever hangs. */
export async function examine(profile: Profile | undefined, sandbox: () => Promise<unknown>): Promise<Examination> {
  const machine = observeMachine(profile, sandbox);
  if (!profile) return { cluster: null, reached: [], observations: await machine, possible: [], obstacles: [] };
  const reached = await Promise.all(
    SERVICES.filter((service) => profile[service] !== undefined).map((service) =>
      tryConnection({ service, settings: profile[service] } as PartSettings),
    ),
  );
  const well = (service: ServiceName) => reached.some((one) => one.service === service && one.outcome === 'answers');
  const sorted = reached.sort((a, b) => Number(a.outcome === 'answers') - Number(b.outcome === 'answers'));
  // Without its secrets there is no cluster to be asked anything.
  if (reached.some(({ outcome }) => outcome === 'misconfigured'))
    return { cluster: profile.name, reached: sorted, observations: await machine, possible: [], obstacles: [] };
  const cluster = new Cluster(profile);
  const looks: [ServiceName, () => Promise<Observation[]>][] = [
    ['postgres', () => observePostgres(cluster.postgres, profile.postgres)],
    ['qdrant', () => observeQdrant(cluster.qdrant, profile.qdrant)],
    ['falkordb', () => observeFalkordb(cluster.falkordb)],
  ];
  const [prerequisites, ...observations] = await Promise.all([
    prerequisitesOf(cluster, sorted),
    machine,
    observeHosts(cluster),
    ...looks.map(([service, look]) => (well(service) ? bounded(service, look) : [])),
  ]);
  const all = observations.flat();
  return {
    cluster: profile.name,
    reached: sorted,
    observations: all,
    possible: prerequisites.possible,
    obstacles: prerequisites.obstacles.filter((one) => !isToldAlready(one, all)),
  };
}

async function bounded(service: ServiceName, look: () => Promise<Observation[]>): Promise<Observation[]> {
  return within(PATIENCE_MS, look()).catch((error: unknown): Observation[] => [
    {
      about: SERVICE_TITLES[service],
      level: 'warning',
      message: `it answers, but not all that was asked: ${messageOf(error)}`,
      next: 'look at its log',
    },
  ]);
}

/** What was observed once need not be said again by the steps that it concerns. */
const isToldAlready = ({ message }: Obstacle, observations: readonly Observation[]): boolean =>
  observations.some((one) => one.level !== 'ok' && one.message === message);
