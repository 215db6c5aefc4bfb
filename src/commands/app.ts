import { basename, dirname } from 'node:path';
import type { Profile } from '../config/profile.js';
import { Desk } from '../engine/desk.js';
import type { Difference } from '../engine/guards.js';
import type { Mode } from '../engine/journal.js';
import type { Run } from '../engine/run.js';
import { findRun } from '../engine/runs.js';
import type { RunSnapshot } from '../engine/snapshot.js';
import { standingLine } from '../engine/standing.js';
import { enterPressed, openShell, stopJob } from '../hosts/shell.js';
import { EXIT, Problem } from '../problem.js';
import { plainSummary } from '../reports/plain.js';
import { reportOf } from '../reports/run-report.js';
import { writeReports } from '../reports/write-reports.js';
import type { Overrides } from '../runbook/runbook.js';
import { messageOf } from '../words.js';
import { exitCodeOf } from './headless.js';
import { print, printWidth, say } from './print.js';

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
  mode = 'live',
  run: prepared,
  accept = [],
}: AppRequest): Promise<number> {
  if (isDumb())
    say(
      'This terminal can show plain lines only (TERM says so): the screens are told line by line, as with --screen-reader.',
    );
  // Ink's colours know FORCE_COLOR only, and read it when they are loaded.
  if (process.env.NO_COLOR) process.env.FORCE_COLOR = '0';
  // React's development build checks a lot at every frame.
  process.env.NODE_ENV ??= 'production';
  const { openScreens } = await import('../screens/open-screens.js');
  const desk = new Desk(profile, overrides, mode, backup, scenario, accept);
  if (prepared) void desk.show(async () => prepared);
  const fault = await openScreens(desk, scenario, outside(desk), isLinear()).then(
    () => undefined,
    (error: unknown) => error ?? 'no reason given',
  );
  const run = desk.lastShown;
  const phase = run?.getSnapshot().phase;
  const code = run ? await endOf(run) : EXIT.recovered;
  if (fault !== undefined) throw brokenScreens(fault, profile.name, run, phase);
  return code;
}

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

/** A terminal of which nothing is known, or that is known to do nothing but show lines. */
const isDumb = () => ['', 'dumb', undefined].includes(process.env.TERM);

/** Whether the screens are told line by line: asked for, or the terminal can do nothing else. */
function isLinear(): boolean {
  const asked = [process.env.NOVAMEM_RUNBOOK_SCREEN_READER, process.env.INK_SCREEN_READER];
  return isDumb() || asked.some((value) => value === '1' || value === 'true');
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
    async stop() {
      print(
        `novamem-runbook is stopped.${meanwhile('stands still, and others may take its lock')} fg goes on with it.`,
      );
      await stopJob();
    },
    async read(lines: readonly string[]) {
      print(...lines, '', 'enter comes back to novamem-runbook.');
      await enterPressed();
    },
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
