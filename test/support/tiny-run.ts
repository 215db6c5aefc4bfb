import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { z } from 'zod';
import { profileSchema } from '../../src/config/profile.js';
import { ClusterLock } from '../../src/engine/cluster-lock.js';
import type { Difference } from '../../src/engine/differences.js';
import type { Guard } from '../../src/engine/guards.js';
import type { JournalEvent, Mode, RunOutcome } from '../../src/engine/journal.js';
import { JOURNAL_FILE, readJournal } from '../../src/engine/journal.js';
import { pastOf } from '../../src/engine/past.js';
import type { StepTime } from '../../src/engine/past-times.js';
import { Run } from '../../src/engine/run.js';
import { makeRunFolder } from '../../src/engine/runs.js';
import type { RunSnapshot, StepSnapshot } from '../../src/engine/snapshot.js';
import type { Runbook, RunbookStep } from '../../src/runbook/runbook.js';
import { type AnyStepKind, readingPlan, type StepKind } from '../../src/steps/step.js';
import { stepEvents } from '../../src/steps/step-events.js';
import type { BackupSet } from '../../src/stores/backup-set/backup-set.js';
import { equal } from '../../src/stores/check.js';
import { Cluster } from '../../src/stores/cluster.js';
import { eventually } from './eventually.js';
import { tempFolder } from './temp.js';

// Nothing of the developer's own is seen or touched, whatever a test does with the home folder itself.
process.env.NOVAMEM_RUNBOOK_HOME ??= tempFolder('home');

export interface TinyFacts {
  ran: boolean;
}

/** A cluster whose stores are nowhere: the engine must not need them. */
export function absentCluster(name = 'acme-test', production = false): Cluster {
  return new Cluster(
    profileSchema.parse({
      name,
      production,
      postgres: { url: 'postgres://novamem@127.0.0.1:1/novamem' },
      qdrant: { url: 'http://127.0.0.1:1' },
      falkordb: { url: 'redis://127.0.0.1:1' },
    }),
  );
}

/** A step kind that touches no store: it says that it ran, and one check proves it. */
export function tinyKind(kind: string, parts: Partial<StepKind<unknown, TinyFacts>> = {}): AnyStepKind {
  const whole: StepKind<unknown, TinyFacts> = {
    kind,
    effect: 'write',
    params: z.unknown(),
    plan: async () => readingPlan(`do ${kind}`, []),
    check: async () => [],
    run: () =>
      stepEvents<TinyFacts>(async (emit) => {
        emit.facts({ ran: true });
      }),
    verify: async (_p, _ctx, facts) => [equal('tiny step', 'ran', 'true', String(facts.ran))],
    probe: async () => 'unknown',
    ...parts,
  };
  return whole as AnyStepKind;
}

export const step = (id: string, kind: AnyStepKind, needs: string[] = []): RunbookStep => ({
  id,
  kind,
  needs,
  params: {},
  why: `because of ${id}`,
});

export interface TinyRun {
  run: Run;
  folder: string;
  events: JournalEvent[];
  stateOf(id: string): StepSnapshot['state'];
  stepOf(id: string): StepSnapshot;
  /** Resolves with the snapshot in which the step has that state. */
  until(id: string, state: StepSnapshot['state']): Promise<RunSnapshot>;
  /** Preflight and begin; does not wait for the end. */
  begin(): Promise<void>;
  /** The whole run, without a person. */
  toEnd(): Promise<RunOutcome>;
}

export function tinyRun(
  steps: RunbookStep[],
  {
    id = `tiny-${randomBytes(3).toString('hex')}`,
    mode = 'live',
    onFailure = 'ask',
    cluster = absentCluster(),
    backup,
    drillOf,
    runs,
    times,
    scenario = 'tiny',
    lockFolders,
  }: Partial<TinyRunOptions> = {},
): TinyRun {
  const folder = makeRunFolder(runs ?? tempFolder('runs'), id);
  const runbook: Runbook = { scenario, title: 'Tiny', when: 'now', outcome: 'done', steps, hash: '0' };
  const run = new Run({
    id,
    folder,
    mode,
    runbook,
    cluster,
    ...(backup ? { backup } : {}),
    ...(times ? { times } : {}),
    ...(lockFolders ? { lockFolders } : {}),
    ...(drillOf === undefined ? {} : { drillOf }),
    onFailure,
    versions: { test: '1' },
  });
  const events: JournalEvent[] = [];
  run.onEvent((event) => events.push(event));
  const stepOf = (name: string) => run.getSnapshot().steps.find((one) => one.id === name)!;
  return {
    run,
    folder,
    events,
    stepOf,
    stateOf: (name) => stepOf(name).state,
    until: (name, state) =>
      eventually(`${name} is ${state}`, () => (stepOf(name).state === state ? run.getSnapshot() : undefined)),
    async begin() {
      await run.preflight();
      run.intend({ type: 'begin' });
    },
    async toEnd() {
      await run.preflight();
      run.intend({ type: 'begin' });
      return run.finished;
    },
  };
}

/** A tiny run that has ended, as a later process takes it up to undo it: looked at, and under a lock in a folder of its own. */
export const laterUndo = ({ folder }: TinyRun, steps: RunbookStep[], more: Parameters<typeof laterRun>[2] = {}) =>
  laterRun(folder, steps, { purpose: 'undo', ...more });

/** The run of a folder, as a later process takes it up. */
export async function laterRun(
  folder: string,
  steps: RunbookStep[],
  {
    purpose = 'go on' as 'go on' | 'undo',
    cluster = absentCluster(),
    onFailure = 'ask' as 'ask' | 'stop',
    guards = [] as Guard[],
    accept = [] as Difference[],
  } = {},
): Promise<{ run: Run; locks: string }> {
  const locks = tempFolder('locks');
  const journal = readJournal(join(folder, JOURNAL_FILE));
  const { run: id } = journal.events[0]!;
  const later = new Run({
    id,
    folder,
    mode: 'live',
    purpose,
    runbook: { scenario: 'tiny', title: 'Tiny', when: 'now', outcome: 'done', steps, hash: '0' },
    cluster,
    past: {
      ...pastOf(journal.events),
      journal,
      differs: [],
      lock: await ClusterLock.take({
        cluster: cluster.name,
        run: id,
        operator: 'test',
        folders: [locks],
        takeOver: false,
      }),
    },
    guards,
    accept,
    onFailure,
    versions: { test: '1' },
  });
  await later.preflight();
  return { run: later, locks };
}

export interface TinyRunOptions {
  id: string;
  mode: Mode;
  onFailure: 'ask' | 'stop';
  cluster: Cluster;
  backup: BackupSet;
  drillOf: string;
  /** The folder in which the run's own is made. */
  runs: string;
  scenario: string;
  /** Where the cluster is locked; without them it is not. */
  lockFolders: readonly string[];
  /** How long its steps took in earlier runs. */
  times: readonly StepTime[];
}

const waitsFor = (run: Run, id: string, state: StepSnapshot['state']) =>
  eventually(
    `${id} is ${state}`,
    () => run.getSnapshot().steps.some((one) => one.id === id && one.state === state),
    60_000,
  );

/** Confirms a destructive step and waits until it has failed. */
export async function attempt(run: Run, id: string): Promise<void> {
  await waitsFor(run, id, 'asking');
  run.intend({ type: 'confirm', step: id, typed: run.getSnapshot().cluster });
  await waitsFor(run, id, 'deciding');
}

export async function retry(run: Run, id: string): Promise<void> {
  run.intend({ type: 'retry', step: id });
  await attempt(run, id);
}

export async function undo(run: Run, id: string): Promise<void> {
  run.intend({ type: 'undo', steps: [id], typed: run.getSnapshot().cluster });
  await waitsFor(run, id, 'deciding');
}

/** How each step ended, as the journal on disk tells: the last word counts. */
export function outcomesIn(run: Run): Record<string, string> {
  const { events, fault } = readJournal(run.journalFile);
  if (fault) throw new Error(fault);
  return Object.fromEntries(
    events.flatMap((event) => (event.type === 'step.finished' ? [[event.step, event.outcome]] : [])),
  );
}

/** A promise and the function that resolves it. */
export function gate(): { opened: Promise<void>; open: () => void } {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}
