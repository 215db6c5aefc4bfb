import { dirname } from 'node:path';
import type { Profile } from '../config/profile.js';
import { Desk } from '../engine/desk.js';
import type { Difference } from '../engine/guards.js';
import type { Mode } from '../engine/journal.js';
import type { Run } from '../engine/run.js';
import { findRun } from '../engine/runs.js';
import { standingLine } from '../engine/standing.js';
import { openShell, stopJob } from '../hosts/shell.js';
import { EXIT } from '../problem.js';
import { plainSummary } from '../reports/plain.js';
import { reportOf } from '../reports/run-report.js';
import { writeReports } from '../reports/write-reports.js';
import type { Overrides } from '../runbook/runbook.js';
import { messageOf } from '../words.js';
import { exitCodeOf } from './headless.js';
import { print, printWidth } from './print.js';

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
  // Ink's colours know FORCE_COLOR only, and read it when they are loaded.
  if (process.env.NO_COLOR || process.env.TERM === 'dumb') process.env.FORCE_COLOR = '0';
  // React's development build checks a lot at every frame.
  process.env.NODE_ENV ??= 'production';
  const { openScreens } = await import('../screens/open-screens.js');
  const desk = new Desk(profile, overrides, mode, backup, scenario, accept);
  if (prepared) void desk.show(async () => prepared);
  await openScreens(desk, scenario, outside(desk));
  const run = desk.lastShown;
  if (!run) return EXIT.recovered;
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
  };
}
