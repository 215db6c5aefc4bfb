import { profileWord } from '../config/profiles.js';
import { requireConfirmation } from '../engine/confirmation.js';
import type { Difference } from '../engine/differences.js';
import { newestResumable, prepareResume } from '../engine/prepare-resume.js';
import { findRun } from '../engine/runs.js';
import { lessonShell } from '../sandbox/lesson-shell.js';
import { clusterOf, findCluster } from './find-cluster.js';
import { runHeadless } from './headless.js';

export interface ResumeOptions {
  profile?: string;
  headless?: boolean;
  confirm?: string;
  accept: Difference[];
  takeOver?: boolean;
  json?: boolean;
}

/** `resume [RUN]`: without a run the newest that can go on, of the cluster that is named or of any. */
export async function resumeCommand(wanted: string | undefined, options: ResumeOptions): Promise<number> {
  const recorded =
    wanted === undefined
      ? newestResumable(
          options.profile === undefined && !lessonShell() ? undefined : findCluster(options.profile).name,
        )
      : findRun(wanted);
  const profile = clusterOf(recorded, options.profile);
  const headless = options.headless || options.json || !process.stdout.isTTY || !process.stdin.isTTY;
  const run = await prepareResume({
    recorded,
    profile,
    onFailure: headless ? 'stop' : 'ask',
    accept: options.accept,
    takeOver: options.takeOver ?? false,
  });
  if (!headless) {
    const { openApp } = await import('./app.js');
    return openApp({ profile, backup: 'latest', overrides: {}, run });
  }
  try {
    requireConfirmation(run.remaining, profile.name, options.confirm, profileWord(profile));
  } catch (error) {
    await run.leave();
    throw error;
  }
  return runHeadless(run, { json: options.json ?? false, confirm: options.confirm });
}
