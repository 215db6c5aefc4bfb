import { SERVICES, type ServiceName, STORES } from '../config/profile.js';
import { profileWord } from '../config/profiles.js';
import { shellWord } from '../hosts/command.js';
import { scenarios } from '../runbook/library.js';
import type { Cluster } from '../stores/cluster.js';
import type { Ailment, Symptom } from '../stores/symptoms/looking.js';
import { type Symptoms, symptomsOf } from '../stores/symptoms/symptoms.js';
import { durationOf, sentence } from '../words.js';

/** How sure it is that a scenario fits: its data is seen to be gone; less of it is seen; it cannot be seen. */
export type Confidence = 'certain' | 'likely' | 'possible';

export interface Suspicion {
  scenario: string;
  confidence: Confidence;
  /** What speaks for it, a sentence each. */
  reasons: string[];
}

export interface Diagnosis {
  cluster: string;
  healthy: boolean;
  /** The best fitting first. */
  scenarios: Suspicion[];
  symptoms: Symptom[];
  well: string[];
  /** What to do before any recovery, a sentence each. */
  advice: string[];
}

const LOSS: ReadonlySet<Ailment> = new Set(['missing', 'unreadable', 'fewer']);
const AWAY: ReadonlySet<Ailment> = new Set(['stopped', 'silent']);
const RANK: readonly Confidence[] = ['certain', 'likely', 'possible'];

/** Looks at a cluster (reads only, at most ten seconds) and says which scenarios fit, and why. */
export async function diagnose(cluster: Cluster): Promise<Diagnosis> {
  const known = scenarios();
  const seen = await symptomsOf(cluster);
  return {
    cluster: cluster.name,
    healthy: seen.symptoms.length === 0,
    scenarios: suspicionsOf(seen, cluster.profile.postgres.walArchive !== undefined).filter((one) =>
      known.includes(one.scenario),
    ),
    symptoms: seen.symptoms,
    well: seen.well,
    advice: await adviceFor(seen, cluster),
  };
}

/** Which scenarios fit these symptoms, best first. `archived`: the profile names a WAL archive. */
export function suspicionsOf({ symptoms, backup, passedOver }: Symptoms, archived: boolean): Suspicion[] {
  const of = (service: ServiceName, ailments: ReadonlySet<Ailment>) =>
    symptoms.filter((one) => one.service === service && ailments.has(one.ailment)).map((one) => one.seen);
  const lost = STORES.filter((store) => of(store, LOSS).length > 0);
  const away = STORES.filter((store) => of(store, AWAY).length > 0);
  const found: Suspicion[] = [];
  const suspect = (scenario: string, confidence: Confidence, reasons: string[]) =>
    found.push({ scenario, confidence, reasons });
  const confidenceIn = (store: ServiceName): Confidence =>
    of(store, new Set(['missing', 'unreadable'])).length > 0 ? 'certain' : 'likely';

  if (new Set([...lost, ...away]).size === STORES.length)
    suspect(
      'whole-cluster-lost',
      lost.length === STORES.length ? 'certain' : lost.length > 0 ? 'likely' : 'possible',
      STORES.flatMap((store) => [...of(store, LOSS), ...of(store, AWAY)]),
    );
  if (lost.includes('postgres')) suspectPostgres();
  for (const [store, scenario] of [
    ['qdrant', 'qdrant-lost'],
    ['falkordb', 'falkordb-lost'],
  ] as const)
    if (lost.includes(store)) suspect(scenario, confidenceIn(store), of(store, LOSS));
  const full = symptoms.filter((one) => one.ailment === 'full').map((one) => one.seen);
  if (full.length > 0 && lost.length === 0)
    suspect('cross-check', 'possible', [
      ...full,
      'a full disk by itself loses nothing that was stored: once there is room and every server runs, this proves it',
    ]);
  // One recovery of everything stands before three of single stores.
  const whole = found.find((one) => one.scenario === 'whole-cluster-lost' && one.confidence !== 'possible');
  return found.sort(
    (a, b) => Number(b === whole) - Number(a === whole) || RANK.indexOf(a.confidence) - RANK.indexOf(b.confidence),
  );

  function suspectPostgres(): void {
    const reasons = of('postgres', LOSS);
    const onlyFewer = of('postgres', new Set(['missing', 'unreadable'])).length === 0;
    // A moment is reached from a base backup.
    const reachable = archived && backup?.base;
    if (reachable)
      suspect('postgres-point-in-time', onlyFewer ? 'likely' : 'possible', [
        ...reasons,
        'there are a base backup and a WAL archive: they can bring back more than the newest dump',
      ]);
    if (backup?.postgres)
      suspect('postgres-corrupt', onlyFewer ? (reachable ? 'possible' : 'likely') : 'certain', [
        ...reasons,
        `there is a dump to restore: ${saidOf(backup)}`,
        ...passedOver,
      ]);
    else
      suspect('postgres-lost-no-backup', 'certain', [
        ...reasons,
        'no backup set of this cluster with a Postgres dump was found',
        ...passedOver,
      ]);
    if (archived && !reachable)
      suspect('postgres-point-in-time', 'possible', [
        ...reasons,
        'the profile names a WAL archive, but no backup set has the base backup that it is replayed on: look for one elsewhere',
      ]);
  }
}

function saidOf({ id, takenAt }: NonNullable<Symptoms['backup']>): string {
  return takenAt ? `${id}, ${durationOf(Date.now() - takenAt.getTime())} old` : id;
}

/** A service that is merely stopped wants a start, not a restore; a login that is refused wants another one. */
async function adviceFor({ symptoms }: Symptoms, cluster: Cluster): Promise<string[]> {
  const advised = SERVICES.map(async (service) => {
    const has = (ailments: Ailment[]) =>
      symptoms.some((one) => one.service === service && ailments.includes(one.ailment));
    const untrusted = symptoms.find((one) => one.service === service && one.ailment === 'untrusted');
    if (untrusted)
      return [
        `${service}: that TLS with it is not agreed on shows no loss of data. ${sentence(untrusted.next ?? 'mend that, then look again')}`,
      ];
    const full = symptoms.find((one) => one.service === service && one.ailment === 'full');
    if (full)
      return [`${service} has no room left on its disk: that alone shows no loss of data. ${sentence(full.next!)}`];
    if (has(['denied']))
      return [
        `${service} does not accept this login: that shows no loss of data. Mend the profile's credentials, then look again`,
      ];
    if (has(['silent']))
      return [
        `${service} holds the connection and says nothing: look at its machine and its log before anything is restored`,
      ];
    if (!has(['stopped']) || has(['missing'])) return [];
    if (service === 'falkordb' && cluster.profile.falkordb.dataDir !== undefined)
      return [
        `falkordb does not run, and that alone shows no loss of data. But a start can overwrite what its files still hold: see first what they are, and how to begin, in step "survey" of: novamem-runbook plan falkordb-lost --profile ${shellWord(profileWord(cluster.profile))}`,
      ];
    const start = (await cluster.driver(service)?.commands())?.start;
    return [
      `${service} does not run, and that alone shows no loss of data. Start it first${start ? `: ${start}` : ''}, then look again`,
    ];
  });
  return (await Promise.all(advised)).flat();
}
