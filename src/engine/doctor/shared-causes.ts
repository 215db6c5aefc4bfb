import { SERVICE_TITLES } from '../../config/profile.js';
import type { Finding } from '../../steps/step.js';
import type { Tried } from '../../stores/try-connection.js';

/** What many steps find at once, each in its own words. */
export interface SharedCauses {
  cluster: string;
  /** Parts that are not reached. */
  away: readonly Tried[];
  hasBackup: boolean;
}

/** A finding as all the steps share it that find the same; any other as it is. */
export function ofSharedCause(finding: Finding, { cluster, away, hasBackup }: SharedCauses): Finding {
  if (away.some((one) => finding.message === notReached(one).message)) return finding;
  const one = away.find(
    ({ service, seen }) =>
      finding.message.includes(seen) ||
      finding.message.includes(`${SERVICE_TITLES[service]} does not answer`) ||
      seen.includes(finding.message),
  );
  const cause = one
    ? notReached(one)
    : !hasBackup && /\bbackup set\b/.test(finding.message)
      ? {
          level: 'blocking' as const,
          message:
            'there is no backup set of this cluster: nothing can be restored from one, compared with one or put to the proof',
          next: `take one: novamem-runbook backup --profile ${cluster}; or name the folder of yours in the profile: backups: [ /a/folder ]`,
        }
      : undefined;
  if (!cause) return finding;
  return finding.level === 'blocking' ? cause : { ...cause, level: finding.level };
}

export const notReached = ({ service, seen, next = 'see above' }: Tried) => ({
  level: 'blocking' as const,
  message: `${SERVICE_TITLES[service]} is not reached: ${seen}`,
  next,
});

/** A server that says nothing would have every step wait for it. */
export const hangs = (kind: string, away: readonly Tried[]): Tried | undefined =>
  away.find(
    ({ service, outcome }) => outcome === 'silent' && (kind.startsWith(`${service}.`) || kind.startsWith('cluster.')),
  );
