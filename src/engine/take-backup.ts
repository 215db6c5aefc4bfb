import type { Profile } from '../config/profile.js';
import { profileWord } from '../config/profiles.js';
import { shellWord } from '../hosts/command.js';
import { Problem } from '../problem.js';
import type { Overrides } from '../runbook/runbook.js';
import type { BackupSet } from '../stores/backup-set/backup-set.js';
import { openBackupSet } from '../stores/backup-set/open-backup-set.js';
import type { Mode } from './journal.js';
import { prepareRun } from './prepare-run.js';
import type { Run } from './run.js';

/** Overrides with which a backup has a base backup, too, from which Postgres can be brought back to any moment. */
export const WITH_BASE_BACKUP: Overrides = { 'backup-base': { take: true } };

/** A run of the runbook `backup`, into the first backup root of the profile. */
export const prepareBackup = (profile: Profile, overrides: Overrides = {}, mode: Mode = 'live'): Promise<Run> =>
  prepareRun({ scenario: 'backup', profile, mode, backup: 'latest', overrides, onFailure: 'stop' });

/** Takes a backup of a cluster as it is now, and proves it. One that is not whole is a Problem. */
export async function takeBackup(
  profile: Profile,
  overrides: Overrides = {},
  mode: Mode = 'live',
): Promise<BackupSet> {
  const run = await prepareBackup(profile, overrides, mode);
  let folder = '';
  run.onEvent((event) => {
    if (event.type === 'run.started') folder = event.newBackup ?? '';
  });
  await run.preflight();
  run.intend({ type: 'begin' });
  const outcome = await run.finished;
  if (outcome === 'recovered') return openBackupSet(folder, profile.s3);
  const { steps, guards } = run.getSnapshot();
  const reasons = [
    ...guards.map(({ said }) => said),
    ...steps.flatMap(({ id, reason }) => (reason ? [`${id}: ${reason}`] : [])),
  ];
  throw new Problem(`The backup of ${profile.name} ended as ${outcome}: ${reasons.join('; ')}.`, {
    safe: 'The cluster is as it was.',
    next: `novamem-runbook diagnose --profile ${shellWord(profileWord(profile))}`,
  });
}
