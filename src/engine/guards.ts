import type { BackupSet } from '../stores/backup-set/backup-set.js';
import type { Fingerprint } from '../stores/fingerprint.js';

/** What may be another one than was expected, and be accepted all the same. */
export const DIFFERENCES = ['cluster', 'backup', 'runbook'] as const;
export type Difference = (typeof DIFFERENCES)[number];

/** Why a run may not begin before somebody has said that it is meant so. */
export interface Guard {
  difference: Difference;
  said: string;
}

/**
 * Whether this may be the wrong cluster, or the backup set of another one. `known`: system identifiers of the Postgres to
 * which the profile has led before. What a store does not tell speaks for nothing.
 */
export function guardsOf(
  cluster: string,
  { postgres }: Fingerprint,
  known: readonly string[],
  backup: BackupSet | undefined,
): Guard[] {
  const guards: Guard[] = [];
  const now = postgres.systemIdentifier;
  if (now && known.length > 0 && !known.includes(now))
    guards.push({
      difference: 'cluster',
      said: `the profile ${cluster} has led to the Postgres with the system identifier ${known.at(-1)} before, and now leads to ${now} at ${postgres.address}: another server, or one that was made anew`,
    });
  if (!backup) return guards;
  if (backup.cluster !== undefined && backup.cluster !== cluster)
    guards.push({
      difference: 'backup',
      said: `the backup set ${backup.id} was taken from the cluster "${backup.cluster}", and this is "${cluster}"`,
    });
  const taken = backup.inventory?.postgres?.systemIdentifier ?? '';
  const ours = [...known, now].filter((one) => one !== '');
  if (taken && ours.length > 0 && !ours.includes(taken))
    guards.push({
      difference: 'backup',
      said: `the backup set ${backup.id} was taken from the Postgres with the system identifier ${taken}; the profile ${cluster} leads to ${ours.at(-1)}`,
    });
  return guards;
}
