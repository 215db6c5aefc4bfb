import { basename, dirname } from 'node:path';
import type { Profile } from '../config/profile.js';
import { Desk } from '../engine/desk.js';
import type { Difference } from '../engine/differences.js';
import type { Mode } from '../engine/journal.js';
import type { Run } from '../engine/run.js';
import { findRun } from '../engine/runs.js';
import type { RunSnapshot } from '../engine/snapshot.js';
import { standingLine } from '../engine/standing.js';
import { openShell } from '../hosts/shell.js';
import { EXIT, Problem } from '../problem.js';
import { plainSummary } from '../reports/plain.js';
import { reportOf } from '../reports/run-report.js';
import { writeReports, writeReportsOf } from '../reports/write-reports.js';
import type { Overrides } from '../runbook/runbook.js';
import { lessonShell } from '../sandbox/lesson-shell.js';
import { messageOf } from '../words.js';
import { modeHere } from './find-cluster.js';
import { exitCodeOf } from './headless.js';
import { print, printWidth } from './print.js';
import { isLinear, loadScreens, readAlone, stopHere } from './terminal.js';

export interface AppRequest {
  profile: Profile;
  scenario?: string;
  backup: string;
  overrides: Overrides;
  mode?: Mode;
  /** What is meant to be another one than was expected. */
  accept?: readonly Difference[];
  /** A run that is prepared already: it is shown at once. */
  run?: Run;
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** The terminal app. After it is left, the outcome, the evidence and the paths are on the ordinary screen. */
export async function openApp({
  profile,
  scenario,
  backup,
  overrides,
  mode = modeHere(),
  run: prepared,
  accept = [],
}: AppRequest): Promise<number> {
  if (lessonShell()?.predicted === false) throw questionsFirst();
  const { openScreens } = await loadScreens();
  const desk = new Desk(profile, overrides, mode, backup, scenario === undefined ? [] : [scenario], accept);
  desk.onEnded(writeReportsOf);
  if (prepared) void desk.show(async () => prepared);
  const { fault, how } = await openScreens(desk, scenario, outside(desk), isLinear()).then(
    (how) => ({ how, fault: undefined }),
    (error: unknown) => ({ how: 'left', fault: error ?? 'no reason given' }),
  );
  const run = desk.lastShown;
  const phase = run?.getSnapshot().phase;
  const code = run ? await endOf(run) : EXIT.recovered;
  if (fault !== undefined) throw brokenScreens(fault, profile.name, run, phase);
  return how === 'train' ? (await import('./train.js')).trainCommand(undefined, {}) : code;
}

/** The screens tell which runbook fits, and a lesson asks that first. */
const questionsFirst = (): Problem =>
  new Problem('This is the shell of a lesson whose questions are not answered yet: its screens come after them.', {
    exitCode: EXIT.refused,
    next: 'exit leads back to the lesson; what its cluster shows: novamem-runbook diagnose',
  });

/** Ends a run that is left, if it has not ended, and says what came of it. Answers the exit code. */
async function endOf(run: Run): Promise<number> {
  // Leaving while something runs ends it by the steps' own rules before this program ends, whatever signal comes meanwhile.
  const hold = () => {};
  for (const signal of SIGNALS) process.on(signal, hold);
  run.intend({ type: 'abort' });
  await run.finished;
  for (const signal of SIGNALS) process.off(signal, hold);
  const { lost } = run.getSnapshot();
  if (lost) {
    print(`STOPPED: ${lost}.`, ...run.getSnapshot().standing.map(standingLine));
    return exitCodeOf(run.getSnapshot());
  }
  const recorded = findRun(dirname(run.journalFile));
  const paths = writeReports(recorded);
  print(
    ...plainSummary(reportOf(recorded.events), { journal: run.journalFile, ...paths }, recorded.fault, printWidth()),
  );
  return exitCodeOf(run.getSnapshot());
}

/** The screens ended by a fault of this program. `phase`: where the run stood then. */
function brokenScreens(
  fault: unknown,
  cluster: string,
  run: Run | undefined,
  phase: RunSnapshot['phase'] | undefined,
): Problem {
  const [, where] = fault instanceof Error ? (fault.stack ?? '').split('\n    at ') : [];
  const id = run && basename(dirname(run.journalFile));
  const safe =
    phase === 'running'
      ? `The run ${id} was stopped by its steps' own rules: what is done stays done, and all of it is in its journal.`
      : phase === 'finished'
        ? `The run ${id} had ended before: its record is whole.`
        : 'Nothing was changed: no run had begun.';
  const next =
    phase === 'running'
      ? `novamem-runbook resume ${id}, or without the screens: novamem-runbook resume ${id} --headless --confirm ${cluster}`
      : phase === 'finished'
        ? `novamem-runbook report ${id}`
        : `novamem-runbook --profile ${cluster}, or without the screens: novamem-runbook run SCENARIO --headless --profile ${cluster} --confirm ${cluster}`;
  return new Problem(
    `The screens ended by an error that should not be: ${messageOf(fault)}${where ? ` (at ${where.trim()})` : ''}.`,
    { safe, next, exitCode: EXIT.stepFailed, cause: fault },
  );
}

/** What happens with the terminal while a person has it to themselves. */
function outside(desk: Desk) {
  const meanwhile = (does: string) => {
    const run = desk.lastShown;
    return run && run.getSnapshot().phase === 'running' ? ` The run ${does}.` : '';
  };
  return {
    async shell() {
      print(`A shell.${meanwhile('goes on')} exit comes back to novamem-runbook.`);
      await openShell(desk.lastShown ? dirname(desk.lastShown.journalFile) : process.cwd()).catch((error: unknown) =>
        print(`No shell could be started: ${messageOf(error)}.`),
      );
    },
    stop: () => stopHere(meanwhile('stands still, and others may take its lock')),
    read: readAlone,
    async kill() {
      const run = desk.lastShown;
      print(
        'Killed. What is done stays done; what was under way is unknown until it is asked for.',
        ...(run ? [`Next: novamem-runbook resume ${basename(dirname(run.journalFile))}`] : []),
      );
      process.exit(EXIT.aborted);
    },
  };
}
