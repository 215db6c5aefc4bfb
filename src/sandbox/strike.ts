import { randomBytes, randomInt } from 'node:crypto';
import { cpSync } from 'node:fs';
import type { Profile } from '../config/profile.js';
import { Problem } from '../problem.js';
import { type Disaster, type Scene, sceneOf } from './disasters/disaster.js';
import { remember, WRITTEN_TODAY } from './remember.js';
import { sandboxDown, sandboxUp } from './sandbox.js';

/** Takes a backup of a cluster, `base`: with a base backup. It is given, since a backup is a run, and runs are the engine's. */
export type TakeBackup = (profile: Profile, what: { base: boolean }) => Promise<unknown>;

/**
 * Lets a disaster happen to a sandbox: first what was on the days before (backups were taken, and people went on writing), then the
 * damage. Answers what was done, a sentence each. One that cannot happen here, or has nothing to be prepared with, is a Problem, and
 * nothing was broken. `onPrepared` is called right before the damage.
 */
export async function strike(
  name: string,
  disaster: Pick<Disaster, 'id' | 'before' | 'impossible' | 'strike'>,
  takeBackup: TakeBackup,
  onPrepared: () => Promise<unknown> = async () => {},
): Promise<string[]> {
  const why = disaster.impossible?.();
  if (why)
    throw new Problem(`${disaster.id} cannot happen here: ${why}.`, { next: 'novamem-runbook sandbox break --list' });
  const scene = sceneOf(name);
  for (const stage of disaster.before) {
    if (stage === 'memories') await remember(scene.profile, WRITTEN_TODAY);
    else if (stage === 'backup-of-another-cluster') await misplaceBackup(scene, takeBackup);
    else await takeBackup(scene.profile, { base: stage === 'base-backup' });
  }
  await onPrepared();
  return disaster.strike(scene);
}

const OTHERS_MEMORIES = 150;

/** A second cluster with other memories is backed up, and its set ends up in the backup root of the first. */
async function misplaceBackup({ places }: Scene, takeBackup: TakeBackup): Promise<void> {
  const name = `acme-eu-${randomBytes(3).toString('hex')}`;
  await sandboxUp({ name, memories: OTHERS_MEMORIES, seed: randomInt(2, 1 << 30), lives: 'process' });
  try {
    const { profile, places: its } = sceneOf(name);
    await takeBackup(profile, { base: false });
    cpSync(its.backups, places.backups, { recursive: true });
  } finally {
    await sandboxDown(name);
  }
}
