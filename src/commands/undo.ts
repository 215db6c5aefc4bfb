import type { Difference } from '../engine/guards.js';
import { prepareResume } from '../engine/prepare-resume.js';
import { findRun } from '../engine/runs.js';
import type { StepSnapshot } from '../engine/snapshot.js';
import { EXIT, Problem } from '../problem.js';
import { reportOf } from '../reports/run-report.js';
import { findCluster } from './find-cluster.js';
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
  const recorded = findRun(wanted ?? 'latest');
  const { profile: name } = reportOf(recorded.events).started;
  const run = await prepareResume({
    recorded,
    profile: findCluster(options.profile ?? name),
    onFailure: 'stop',
    accept: options.accept,
    takeOver: options.takeOver ?? false,
    purpose: 'undo',
  });
  let chosen: string[];
  try {
    chosen = chosenSteps(run.undoable, recorded.id, name, options);
  } catch (error) {
    await run.leave();
    throw error;
  }
  const exitCode = await runHeadless(run, {
    json: options.json ?? false,
    confirm: options.confirm,
    act: (one) => one.undo(chosen),
  });
  return exitCode === EXIT.aborted ? EXIT.recovered : exitCode;
}

function chosenSteps(
  undoable: readonly StepSnapshot[],
  run: string,
  cluster: string,
  { step, confirm }: UndoOptions,
): string[] {
  const chosen = undoable.filter((one) => step === undefined || one.id === step);
  if (chosen.length === 0)
    throw new Problem(
      step === undefined
        ? `Run ${run} has nothing that can be put back.`
        : `The step "${step}" of run ${run} has nothing that can be put back.`,
      { next: `novamem-runbook runs show ${run}` },
    );
  if (confirm === cluster) return chosen.map((one) => one.id);
  const copies = chosen.flatMap((one) => [
    `  ${one.id} (${one.uses})`,
    ...one.safetyCopies.map((copy) => `    from the safety copy of ${copy.of}: ${copy.at}`),
  ]);
  throw new Problem(
    `${confirm === undefined ? 'Nobody has confirmed it' : `--confirm says "${confirm}", but this cluster is called "${cluster}"`}. This would be put back, in this order:\n${copies.join('\n')}`,
    { next: `novamem-runbook undo ${run} --confirm ${cluster}`, exitCode: EXIT.refused },
  );
}
