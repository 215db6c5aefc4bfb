import type { Profile } from '../config/profile.js';
import { Problem } from '../problem.js';
import { type Disaster, sceneOf } from './disasters/disaster.js';
import { remember, WRITTEN_TODAY } from './remember.js';

/** Takes a backup of a cluster, `base`: with a base backup. It is given, since a backup is a run, and runs are the engine's. */
export type TakeBackup = (profile: Profile, what: { base: boolean }) => Promise<unknown>;

/**
 * Lets a disaster happen to a sandbox: first what was on the days before (backups were taken, and people went on writing), then the
 * damage. Answers what was done, a sentence each. One that cannot happen here, or has nothing to be prepared with, is a Problem, and
 * nothing was broken.
 */
export async function strike(name: string, disaster: Disaster, takeBackup: TakeBackup): Promise<string[]> {
  const why = disaster.impossible?.();
  if (why)
    throw new Problem(`${disaster.id} cannot happen here: ${why}.`, { next: 'novamem-runbook sandbox break --list' });
  const scene = sceneOf(name);
  for (const stage of disaster.before) {
    if (stage === 'memories') await remember(scene.profile, WRITTEN_TODAY);
    else await takeBackup(scene.profile, { base: stage === 'base-backup' });
  }
  return disaster.strike(scene);
}
