import type { Identity } from '../config/identities.js';
import { SERVICE_TITLES } from '../config/profile.js';
import type { BackupSet } from '../stores/backup-set/backup-set.js';
import { addressesIn, type Fingerprint, movesBetween } from '../stores/fingerprint.js';
import type { Difference } from './differences.js';

/** Why a run may not begin before somebody has said that it is meant so. */
export interface Guard {
  difference: Difference;
  said: string;
}

/** So many memories that a store names must all be strangers before it is held to be of another cluster. */
const ENOUGH = 5;

/**
 * Whether this may be the wrong cluster, or the backup set of another one. `known`: to which the profile has led before. What a
 * store does not tell speaks for nothing.
 */
export function guardsOf(
  cluster: string,
  now: Fingerprint,
  known: Identity | undefined,
  backup: BackupSet | undefined,
): Guard[] {
  const ours = [...(known?.systemIdentifiers ?? []), now.postgres.systemIdentifier];
  return [
    ...targetFaults(now, known).map((fault) => ({
      difference: 'cluster' as const,
      said: `the profile ${cluster} may lead to another cluster: ${fault}`,
    })),
    ...(backup ? backupGuards(cluster, ours, backup) : []),
  ];
}

function targetFaults(now: Fingerprint, known: Identity | undefined): string[] {
  const { address, systemIdentifier } = now.postgres;
  const faults = known ? movesBetween(known.addresses, addressesIn(now)) : [];
  const before = known?.systemIdentifiers ?? [];
  if (systemIdentifier && before.length > 0 && !before.includes(systemIdentifier))
    faults.push(
      `Postgres had the system identifier ${before.at(-1)}, and the one at ${address} has ${systemIdentifier}: another server, or one that was made anew`,
    );
  for (const store of ['qdrant', 'falkordb'] as const) {
    const { kinship, address: theirs } = now[store];
    if (kinship && kinship.known === 0 && kinship.asked >= ENOUGH)
      faults.push(
        `of ${kinship.asked} memories that ${SERVICE_TITLES[store]} at ${theirs} or the Postgres at ${address} names, the other knows none: the two do not belong together`,
      );
  }
  return faults;
}

/** Whether a backup set is another cluster's. `systemIdentifiers`: of the Postgres servers that the cluster is known to have had. */
export function backupGuards(cluster: string, systemIdentifiers: readonly string[], backup: BackupSet): Guard[] {
  return backupFaults(cluster, systemIdentifiers, backup).map((fault) => ({
    difference: 'backup' as const,
    said: `the backup set ${backup.id} was taken from ${fault}`,
  }));
}

function backupFaults(cluster: string, systemIdentifiers: readonly string[], backup: BackupSet): string[] {
  const faults: string[] = [];
  if (backup.cluster !== undefined && backup.cluster !== cluster)
    faults.push(`the cluster "${backup.cluster}", and this is "${cluster}"`);
  const taken = backup.inventory?.postgres?.systemIdentifier ?? '';
  const ours = systemIdentifiers.filter((one) => one !== '');
  if (taken && ours.length > 0 && !ours.includes(taken))
    faults.push(`the Postgres with the system identifier ${taken}; the profile ${cluster} leads to ${ours.at(-1)}`);
  return faults;
}
