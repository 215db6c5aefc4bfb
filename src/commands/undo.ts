import { profileWord } from '../config/profiles.js';
import { requireUndoConfirmation } from '../engine/confirmation.js';
import type { Difference } from '../engine/differences.js';
import { history } from '../engine/history.js';
import { prepareResume } from '../engine/prepare-resume.js';
import { findRun } from '../engine/runs.js';
import { lessonShell } from '../sandbox/lesson-shell.js';
import { clusterOf } from './find-cluster.js';
import { runHeadless } from './headless.js';

export interface UndoOptions {
  profile?: string;
  step?: string;
  confirm?: string;
  accept: Difference[];
  takeOver?: boolean;
  json?: boolean;
}

/** `undo [RUN]`: puts back what a run of this or an earlier process has replaced. Exit 0 once it is as it was before. */
export async function undoCommand(wanted: string | undefined, options: UndoOptions): Promise<number> {
  const lesson = lessonShell();
  // Nothing of a drill is left that could be put back.
  const newest =
    history(lesson ? { cluster: lesson.cluster } : {}).find((run) => run.drillOf === null)?.id ?? 'latest';
  const recorded = findRun(wanted ?? newest);
  const { step, confirm, accept, takeOver = false, json = false } = options;
  const profile = clusterOf(recorded, options.profile);
  const run = await prepareResume({ recorded, profile, onFailure: 'stop', accept, takeOver, purpose: 'undo' });
  let steps: string[];
  try {
    await run.preflight();
    steps = requireUndoConfirmation(run.getSnapshot(), {
      confirm,
      profile: profileWord(profile),
      ...(step === undefined ? {} : { step }),
    });
  } catch (error) {
    await run.leave();
    throw error;
  }
  const undo = async () => run.intend({ type: 'undo', steps, typed: confirm!, by: 'with --confirm' });
  return runHeadless(run, { json, confirm, act: undo });
}
