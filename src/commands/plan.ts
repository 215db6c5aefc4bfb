import { dirname } from 'node:path';
import { jobManifest } from '../engine/job-manifest.js';
import { prepareRun } from '../engine/prepare-run.js';
import { findRun } from '../engine/runs.js';
import { EXIT } from '../problem.js';
import { planLines } from '../reports/plan.js';
import { obstaclesIn, reportOf } from '../reports/run-report.js';
import { loadRunbook, runbookFile as runbookFileOf } from '../runbook/library.js';
import { jsonLine } from '../words.js';
import { findCluster } from './find-cluster.js';
import { readOverrides } from './overrides.js';
import { print } from './print.js';
import type { RunOptions } from './run.js';

export interface PlanOptions extends RunOptions {
  format?: 'text' | 'job';
  image: string;
}

/**
 * `plan SCENARIO`: the same engine, every step planned and checked, nothing touched. Exit 1 when something would
 * block the run. With `--format job` only what runs it inside Kubernetes is printed: from here the stores may not even be reached.
 */
export async function planCommand(scenario: string, options: PlanOptions): Promise<number> {
  const profile = findCluster(options.profile);
  if (options.format === 'job') {
    const runbook = loadRunbook(scenario, readOverrides(options.set));
    const runbookFile = /\.ya?ml$/.test(scenario) ? scenario : runbookFileOf(scenario);
    const { image, backup, set } = options;
    process.stdout.write(jobManifest({ scenario, runbook, runbookFile, profile, image, backup, set }));
    return EXIT.recovered;
  }
  const run = await prepareRun({
    scenario,
    profile,
    mode: 'dry-run',
    backup: options.backup,
    overrides: readOverrides(options.set),
    onFailure: 'stop',
  });
  if (options.json) run.onEvent((event) => process.stdout.write(`${jsonLine(event)}\n`));
  await run.preflight();
  await run.finished;
  const report = reportOf(findRun(dirname(run.journalFile)).events);
  if (!options.json) print(...planLines(report));
  return obstaclesIn(report).length > 0 ? EXIT.stepFailed : EXIT.recovered;
}
