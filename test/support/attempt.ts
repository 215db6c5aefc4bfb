import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { EXIT_OF } from '../../src/commands/headless.js';
import type { Profile } from '../../src/config/profile.js';
import { endOf, type JournalEvent, type Mode, type RunOutcome, readJournal } from '../../src/engine/journal.js';
import { prepareRun } from '../../src/engine/prepare-run.js';
import { Problem } from '../../src/problem.js';
import type { Overrides } from '../../src/runbook/runbook.js';
import type { RealCluster } from './sandbox.js';
import { tempFolder } from './temp.js';

/** How a run ended that nobody attended, as `run … --headless --confirm` would have done it. */
export interface Attempt {
  /** `refused`: it was not even prepared. */
  outcome: RunOutcome | 'refused';
  exitCode: number;
  /** Blocking findings, and why steps failed or were skipped, a line each. */
  said: string;
  /** Every finding, with its level before it. */
  findings: string[];
  events: JournalEvent[];
  /** The journal as it lies on disk; empty for one that was refused. */
  journal: string;
  changes: string[];
  took: number;
}

export interface Attempting {
  scenario?: string;
  backup?: string;
  overrides?: Overrides;
  mode?: Mode;
  /** Told of each event after it was written: the moment at which a fault begins. */
  onEvent?: (event: JournalEvent) => void;
}

export async function attempt(profile: Profile, asked: Attempting = {}): Promise<Attempt> {
  const begun = Date.now();
  const { scenario = 'whole-cluster-lost', backup = 'latest', overrides = {}, mode = 'live' } = asked;
  let run: Awaited<ReturnType<typeof prepareRun>>;
  try {
    // Behind a proxy a store is elsewhere than it was.
    run = await prepareRun({ scenario, profile, mode, backup, overrides, onFailure: 'stop', accept: ['cluster'] });
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    const said = error.lines().join('\n');
    const { exitCode } = error;
    return { outcome: 'refused', exitCode, said, findings: [], events: [], journal: '', changes: [], took: 0 };
  }
  if (asked.onEvent) run.onEvent(asked.onEvent);
  run.subscribe(() => {
    for (const step of run.getSnapshot().attention)
      queueMicrotask(() => run.intend({ type: 'confirm', step, typed: profile.name }));
  });
  await run.preflight();
  run.intend({ type: 'begin' });
  const outcome = await run.finished;
  const { steps, lost } = run.getSnapshot();
  const recorded = readJournal(run.journalFile);
  expect(recorded.fault).toBe('');
  // A record that a full disk cut off has no end; every other tells the one that was seen.
  if (!lost) expect(endOf(recorded.events)?.outcome).toBe(outcome);
  for (const step of steps.filter(({ state }) => state === 'failed')) {
    expect(step.reason, `why ${step.id} failed`).toBeTruthy();
    if (step.plan) expect([step.plan.onAbort, step.plan.wayBack], `what ${step.id} leaves`).not.toContain('');
  }
  const blocking = steps.flatMap((step) => step.findings.filter(({ level }) => level === 'blocking'));
  return {
    outcome,
    exitCode: EXIT_OF[outcome],
    said: [...blocking.map((one) => one.message), ...steps.map((step) => step.reason ?? ''), lost ?? ''].join('\n'),
    findings: steps.flatMap((step) => step.findings.map(({ level, message }) => `${level}: ${message}`)),
    events: recorded.events,
    journal: readFileSync(run.journalFile, 'utf8'),
    changes: recorded.events.flatMap((event) => (event.type === 'step.change' ? [event.text] : [])),
    took: Date.now() - begun,
  };
}

/** None of a sandbox's secrets stands in a text. */
export function expectNoSecret(real: RealCluster, text: string): void {
  for (const name of ['postgres', 'qdrant', 'falkordb', 'novamem'])
    expect(text.includes(readFileSync(real.places.secret(name), 'utf8').trim()), `the secret of ${name}`).toBe(false);
}

/** Nothing in a text can steer the terminal that it is printed on. */
export function expectHarmless(text: string): void {
  expect(text).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/);
}

/** Runbooks with one step each that restores one store: the faults of the others stay out of it. */
export const RESTORES = Object.fromEntries(
  Object.entries({
    postgres: 'uses: postgres.restore',
    qdrant: 'uses: qdrant.restore',
    qdrantByUpload: 'uses: qdrant.restore, with: { upload: true }',
    falkordb: 'uses: falkordb.restore',
  }).map(([name, step]) => {
    const file = join(tempFolder('runbook'), `${name}.yaml`);
    writeFileSync(
      file,
      `title: Only ${name}\nwhen: It is gone.\noutcome: It is back.\nsteps:\n  - { id: restore, ${step}, why: It is gone. }\n`,
    );
    return [name, file];
  }),
) as Record<'postgres' | 'qdrant' | 'qdrantByUpload' | 'falkordb', string>;
