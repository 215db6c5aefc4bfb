import { profileWord } from '../config/profiles.js';
import { requireConfirmation } from '../engine/confirmation.js';
import type { Difference } from '../engine/differences.js';
import { prepareRun } from '../engine/prepare-run.js';
import { loadRunbook } from '../runbook/library.js';
import { findCluster, modeHere } from './find-cluster.js';
import { runHeadless } from './headless.js';
import { readOverrides } from './overrides.js';

export interface RunOptions {
  profile?: string;
  headless?: boolean;
  confirm?: string;
  backup: string;
  set: string[];
  accept?: Difference[];
  takeOver?: boolean;
  json?: boolean;
}

/** `run SCENARIO`: without a person when asked for, or when there is no terminal; else in the terminal app. */
export async function runCommand(scenario: string, options: RunOptions): Promise<number> {
  const profile = findCluster(options.profile);
  const overrides = readOverrides(options.set);
  const headless = options.headless || options.json || !process.stdout.isTTY || !process.stdin.isTTY;
  if (!headless) {
    const { openApp } = await import('./app.js');
    return openApp({ profile, scenario, backup: options.backup, overrides, accept: options.accept ?? [] });
  }
  requireConfirmation(loadRunbook(scenario, overrides), profile.name, options.confirm, profileWord(profile));
  const run = await prepareRun({
    scenario,
    profile,
    mode: modeHere(),
    backup: options.backup,
    overrides,
    onFailure: 'stop',
    accept: options.accept ?? [],
  });
  return runHeadless(run, {
    json: options.json ?? false,
    confirm: options.confirm,
    takeOver: options.takeOver ?? false,
  });
}
