import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Profile } from '../config/profile.js';
import { profileWord } from '../config/profiles.js';
import type { Difference } from '../engine/differences.js';
import { drillOverrides } from '../engine/drill-overrides.js';
import { requireDrillable } from '../engine/drillable.js';
import { prepareRun } from '../engine/prepare-run.js';
import { findRun } from '../engine/runs.js';
import { EXIT, Problem } from '../problem.js';
import { junitProblem, junitReport } from '../reports/junit.js';
import { reportOf } from '../reports/run-report.js';
import { loadRunbook } from '../runbook/library.js';
import { drillSandbox } from '../sandbox/drill-sandbox.js';
import { sandboxDown, sandboxNames } from '../sandbox/sandbox.js';
import type { BackupSet } from '../stores/backup-set/backup-set.js';
import { findOwnSet } from '../stores/backup-set/find-backup-set.js';
import { durationOf, messageOf, sizeOf } from '../words.js';
import { findCluster } from './find-cluster.js';
import { runHeadless } from './headless.js';
import { readOverrides } from './overrides.js';
import { print, say } from './print.js';

export interface DrillOptions {
  profile?: string;
  scenario: string;
  backup: string;
  set: string[];
  accept: Difference[];
  junit?: string;
  json?: boolean;
  keep?: boolean;
}

/**
 * Restores a backup set of a cluster into a throw-away cluster by the scenario's own runbook, and proves what came back. The
 * cluster itself is not asked anything. Without a person by design; the exit code is that of the run.
 */
export async function drillCommand(options: DrillOptions): Promise<number> {
  const of = findCluster(options.profile);
  const { junit } = options;
  // What a drill that is killed leaves behind, and whether that file can be written at all.
  if (junit) writeJunit(junit, junitProblem(`Drill: ${of.name}`, 'the drill did not come to its end'));
  try {
    const { set, passedOver } = await provableSet(options.backup, of);
    return await drill(of, set, passedOver, options);
  } catch (error) {
    if (junit && error instanceof Problem)
      writeJunit(junit, junitProblem(`Drill: ${of.name}`, error.lines().join('\n')));
    throw error;
  }
}

function writeJunit(file: string, text: string): void {
  try {
    writeFileSync(file, text);
  } catch (error) {
    throw new Problem(`The JUnit file ${file} cannot be written: ${messageOf(error)}.`, {
      next: 'name another with --junit FILE',
    });
  }
}

/** The set that is meant, of those of this cluster; and what of the same folders was passed over although it may be newer. */
async function provableSet(
  backup: string,
  { backups, name, s3 }: Profile,
): Promise<{ set: BackupSet; passedOver: string[] }> {
  const { set, passedOver } = await findOwnSet(backup, backups, name, s3);
  if (set.kind === 'manifest' && set.inventory) return { set, passedOver };
  throw new Problem(
    `The backup set ${set.id} has no ${set.kind === 'manifest' ? 'inventory' : 'manifest'}: nothing says what it must hold, so that a drill could prove nothing.`,
    {
      exitCode: EXIT.stepFailed,
      safe: 'Nothing was begun.',
      next: `take one that can be proven: novamem-runbook backup --profile ${name}`,
    },
  );
}

async function drill(of: Profile, set: BackupSet, passedOver: string[], options: DrillOptions): Promise<number> {
  const { json = false, keep = false } = options;
  // What is wrong with them is told before anything is started.
  const overrides = drillOverrides(options.scenario, readOverrides(options.set));
  requireDrillable(loadRunbook(options.scenario, overrides), profileWord(of));
  const tell = json ? say : print;
  const name = `drill-${randomBytes(4).toString('hex')}`;
  const stop = () => void sandboxDown(name).then(() => process.exit(EXIT.aborted));
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  tell(
    `Drill of ${of.name}: backup set ${set.id}, ${sizeOf(set.bytes)}${set.takenAt ? `, taken ${durationOf(Date.now() - set.takenAt.getTime())} ago` : ''} (${set.folder})`,
    'A throw-away cluster is started; the cluster itself is not asked anything.',
  );
  for (const signal of signals) process.once(signal, stop);
  try {
    const { profile, notes } = await drillSandbox({ name, of, set, lives: keep ? 'on' : 'process' }, (line) =>
      tell(`   ${line}`),
    );
    const run = await prepareRun({
      scenario: options.scenario,
      profile,
      mode: 'drill',
      drillOf: of.name,
      notes: [...passedOver, ...notes],
      backup: set,
      overrides,
      onFailure: 'stop',
      accept: options.accept,
    });
    // From here on an abort belongs to the run.
    for (const signal of signals) process.off(signal, stop);
    const code = await runHeadless(run, { json, confirm: profile.name });
    if (options.junit) writeJunit(options.junit, junitReport(reportOf(findRun(dirname(run.journalFile)).events)));
    return code;
  } finally {
    for (const signal of signals) process.off(signal, stop);
    if (keep && sandboxNames().includes(name))
      tell(
        `The throw-away cluster stays up: novamem-runbook --profile ${name}; at the end: novamem-runbook sandbox down --name ${name}`,
      );
    else if (await sandboxDown(name))
      tell('', 'The throw-away cluster is taken down; the cluster itself was not asked anything.');
  }
}
