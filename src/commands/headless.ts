import { dirname } from 'node:path';
import type { RunOutcome } from '../engine/journal.js';
import { heldProblem } from '../engine/prepare-resume.js';
import type { Run } from '../engine/run.js';
import { findRun } from '../engine/runs.js';
import type { RunSnapshot } from '../engine/snapshot.js';
import { standingLine } from '../engine/standing.js';
import { EXIT, Problem } from '../problem.js';
import { expectedLines, plainLines, plainSummary } from '../reports/plain.js';
import { reportOf } from '../reports/run-report.js';
import { writeReports } from '../reports/write-reports.js';
import { jsonLine } from '../words.js';
import { print, printWidth, say } from './print.js';

/** The exit code of each way in which a run can end. */
export const EXIT_OF: Record<RunOutcome, number> = {
  recovered: EXIT.recovered,
  failed: EXIT.stepFailed,
  'recovered-with-exceptions': EXIT.exceptions,
  aborted: EXIT.aborted,
  simulated: EXIT.recovered,
};

/** The exit code of a run that is over. An undo has ended well once all that was to be put back is as it was. */
export function exitCodeOf({ outcome = 'failed', purpose, undoing, steps }: RunSnapshot): number {
  const isBack = (id: string) => steps.find((step) => step.id === id)?.undone;
  const undone = purpose === 'undo' && outcome === 'aborted' && undoing?.steps.every(isBack);
  return undone ? EXIT.recovered : EXIT_OF[outcome];
}

export interface HeadlessOptions {
  json: boolean;
  confirm: string | undefined;
  takeOver?: boolean;
  /** What is done with the run; it begins, unless something else is said. */
  act?: (run: Run, takeOver: boolean, json: boolean) => Promise<void>;
}

async function begin(run: Run, takeOver: boolean, json: boolean): Promise<void> {
  await run.preflight();
  const { phase, expected } = run.getSnapshot();
  if (!json && phase === 'planned') print(...expectedLines(expected));
  run.intend({ type: 'begin', takeOver });
}

/**
 * Runs to the end without a person: events as plain lines, or as the journal's own lines with `json`. `confirm` is what
 * was given as the cluster's name; it is typed at every destructive step. Answers the exit code.
 */
export async function runHeadless(
  run: Run,
  { json, confirm, takeOver = false, act = begin }: HeadlessOptions,
): Promise<number> {
  run.onEvent((event) => {
    if (json) process.stdout.write(`${jsonLine(event)}\n`);
    else print(...plainLines(event));
  });
  run.subscribe(() => {
    for (const step of run.getSnapshot().attention)
      queueMicrotask(
        () => confirm !== undefined && run.intend({ type: 'confirm', step, typed: confirm, by: 'with --confirm' }),
      );
  });
  const abort = (signal: NodeJS.Signals) => {
    say(`${signal}: stopping what runs; the journal is at ${run.journalFile}`);
    run.intend({ type: 'abort' });
  };
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const signal of signals) process.on(signal, abort);
  try {
    await act(run, takeOver, json);
    await run.finished;
    const { lost, held, guards } = run.getSnapshot();
    const [guard] = guards;
    if (guard)
      throw new Problem(`Not begun: ${guard.said}.`, {
        exitCode: EXIT.refused,
        next: `${guard.difference === 'backup' ? 'name a set of this cluster with --backup (novamem-runbook backups list)' : 'look twice'}; if it is meant so, add --accept ${guard.difference}`,
      });
    if (held) throw heldProblem(held);
    if (lost) {
      say(`STOPPED: ${lost}.`, ...run.getSnapshot().standing.map(standingLine));
      return exitCodeOf(run.getSnapshot());
    }
    const recorded = findRun(dirname(run.journalFile));
    const paths = writeReports(recorded);
    if (!json)
      print(
        ...plainSummary(
          reportOf(recorded.events),
          { journal: run.journalFile, ...paths },
          recorded.fault,
          printWidth(),
        ),
      );
    return exitCodeOf(run.getSnapshot());
  } finally {
    for (const signal of signals) process.off(signal, abort);
  }
}
