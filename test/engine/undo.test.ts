import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { exitCodeOf } from '../../src/commands/headless.js';
import { homeSubfolder } from '../../src/config/home.js';
import { Journal, readJournal } from '../../src/engine/journal.js';
import { newerRunGuards, newestUndoable } from '../../src/engine/newer-runs.js';
import { findResumable } from '../../src/engine/prepare-resume.js';
import { makeRunFolder } from '../../src/engine/runs.js';
import type { StepSnapshot } from '../../src/engine/snapshot.js';
import { undoOrder } from '../../src/engine/undo-choice.js';
import { EXIT } from '../../src/problem.js';
import { outcomeWords } from '../../src/reports/markdown.js';
import { reportOf } from '../../src/reports/run-report.js';
import { stepKinds } from '../../src/steps/registry.js';
import type { StepKind } from '../../src/steps/step.js';
import { stepEvents } from '../../src/steps/step-events.js';
import { equal } from '../../src/stores/check.js';
import { eventually } from '../support/eventually.js';
import {
  absentCluster,
  gate,
  laterUndo,
  outcomesIn,
  step,
  type TinyFacts,
  type TinyRun,
  tinyKind,
  tinyRun,
} from '../support/tiny-run.js';

const NAME = 'acme-test';

/** A kind that keeps a copy and can be undone; which are undone is told in their order. */
function careful(undone: string[], name: string, more: Partial<StepKind<unknown, TinyFacts>> = {}) {
  return tinyKind('tiny.careful', {
    run: () =>
      stepEvents<TinyFacts>(async (emit) => {
        emit.safetyCopy(`data of ${name}`, `/copies/${name}`, 'read to its end');
        emit.facts({ ran: true });
      }),
    undo: () => stepEvents<TinyFacts>(async () => void undone.push(name)),
    planUndo: async () => ({ putsBack: `data of ${name}`, replaces: ['12 rows'] }),
    verifyUndo: async () => [equal('tiny step', 'rows of before', 12, 12)],
    ...more,
  });
}

const failing = tinyKind('tiny.failing', { verify: async () => [equal('tiny step', 'rows', 12, 11)] });

const typesOf = ({ run }: Pick<TinyRun, 'run'>) => readJournal(run.journalFile).events.map((event) => event.type);

/** first ← second ← third, of which the third fails; the run waits for a person. */
async function pausedAtThird(undone: string[], second: Partial<StepKind<unknown, TinyFacts>> = {}): Promise<TinyRun> {
  const tiny = tinyRun([
    step('first', careful(undone, 'first')),
    step('second', careful(undone, 'second', second), ['first']),
    step('third', failing, ['second']),
  ]);
  await tiny.begin();
  await tiny.until('third', 'deciding');
  return tiny;
}

describe('steps that have succeeded, while a later one has failed', () => {
  test('are undone in the opposite order, each proved and on record, and the run ends', async () => {
    const undone: string[] = [];
    const tiny = await pausedAtThird(undone);
    tiny.run.intend({ type: 'undo', steps: ['first', 'second'], typed: NAME });
    expect(await tiny.run.finished).toBe('aborted');
    expect(undone).toEqual(['second', 'first']);
    expect(outcomesIn(tiny.run)).toEqual({ first: 'undone', second: 'undone', third: 'failed' });
    const { events } = readJournal(tiny.run.journalFile);
    expect(events.filter((event) => event.type === 'confirm.given')).toMatchObject([
      { step: 'second', typed: NAME, undo: true },
      { step: 'first', typed: NAME, undo: true },
    ]);
    const report = reportOf(events);
    expect(report.steps.map((one) => one.checks.map((check) => check.what))).toEqual([
      ['rows of before'],
      ['rows of before'],
      [],
    ]);
    expect(outcomeWords(report)).toBe('undone: what it had replaced was put back');
    expect(report.finished!.rpoMs).toBeNull();
  });

  test('take along what builds on them; the others stay as they are, and that is said', async () => {
    const undone: string[] = [];
    const alone = careful(undone, 'alone');
    const tiny = tinyRun([
      step('first', careful(undone, 'first')),
      step('second', careful(undone, 'second'), ['first']),
      step('alone', alone),
      step('last', failing, ['second', 'alone']),
    ]);
    await tiny.begin();
    await tiny.until('last', 'deciding');
    tiny.run.intend({ type: 'undo', steps: ['first'], typed: NAME });
    await tiny.run.finished;
    expect(undone).toEqual(['second', 'first']);
    expect(tiny.stateOf('alone')).toBe('succeeded');
    expect(outcomeWords(reportOf(tiny.events))).toBe('undone in part (not: alone)');
  });

  test('stay as they are when another name is typed', async () => {
    const undone: string[] = [];
    const tiny = await pausedAtThird(undone);
    const before = typesOf(tiny);
    for (const typed of ['acme-tes', '', 'ACME-TEST', 'acme-test '])
      tiny.run.intend({ type: 'undo', steps: ['first'], typed });
    expect(typesOf(tiny)).toEqual(before);
    expect([undone, tiny.stateOf('third')]).toEqual([[], 'deciding']);
    tiny.run.intend({ type: 'abort' });
    await tiny.run.finished;
  });

  test('are not undone while anything is at work', async () => {
    const undone: string[] = [];
    const held = gate();
    const slow = tinyKind('tiny.slow', {
      run: () =>
        stepEvents<TinyFacts>(async (emit) => {
          await held.opened;
          emit.facts({ ran: true });
        }),
    });
    const tiny = tinyRun([
      step('first', careful(undone, 'first')),
      step('beside', slow),
      step('last', failing, ['first']),
    ]);
    await tiny.begin();
    await tiny.until('last', 'deciding');
    tiny.run.intend({ type: 'undo', steps: ['first'], typed: NAME });
    expect(typesOf(tiny)).not.toContain('step.undoing');
    held.open();
    await tiny.until('beside', 'succeeded');
    tiny.run.intend({ type: 'undo', steps: ['first'], typed: NAME });
    expect(await tiny.run.finished).toBe('aborted');
    expect(undone).toEqual(['first']);
  });
});

describe('an undo that fails', () => {
  const throws = {
    undo: () =>
      stepEvents<TinyFacts>(async () => {
        throw new Error('the copy cannot be read');
      }),
  };

  test('stops there, makes the run a failed one, and says where the copies are and what to type next', async () => {
    const undone: string[] = [];
    const tiny = await pausedAtThird(undone, throws);
    tiny.run.intend({ type: 'undo', steps: ['first', 'second'], typed: NAME });
    expect(await tiny.run.finished).toBe('failed');
    expect(exitCodeOf(tiny.run.getSnapshot())).toBe(EXIT.stepFailed);
    expect(undone).toEqual([]);
    expect(tiny.stepOf('second')).toMatchObject({
      state: 'failed',
      undoFailed: true,
      canUndo: true,
      reason:
        'THE UNDO FAILED: the copy cannot be read. The safety copies are still there: data of second: /copies/second',
    });
    const report = reportOf(tiny.events);
    expect(outcomeWords(report)).toBe('FAILED: THE UNDO OF second DID NOT COME TO ITS END');
  });

  test('is one whose proof does not hold, whatever it said of itself', async () => {
    const tiny = await pausedAtThird([], { verifyUndo: async () => [equal('tiny step', 'rows of before', 12, 11)] });
    tiny.run.intend({ type: 'undo', steps: ['second'], typed: NAME });
    expect(await tiny.run.finished).toBe('failed');
    expect(tiny.stepOf('second').reason).toMatch(/THE UNDO FAILED: 1 of 1 checks failed.*expected 12, found 11/);
  });

  test('can be begun again by a later process', async () => {
    const undone: string[] = [];
    const tiny = await pausedAtThird(undone, throws);
    tiny.run.intend({ type: 'undo', steps: ['first', 'second'], typed: NAME });
    await tiny.run.finished;
    const { run } = await laterUndo(tiny, [
      step('first', careful(undone, 'first')),
      step('second', careful(undone, 'second'), ['first']),
      step('third', failing, ['second']),
    ]);
    run.intend({ type: 'undo', steps: ['first'], typed: NAME });
    expect(await run.finished).toBe('aborted');
    expect(undone).toEqual(['second', 'first']);
    expect(exitCodeOf(run.getSnapshot())).toBe(EXIT.recovered);
  });
});

describe('a later process', () => {
  const two = (undone: string[], first: Partial<StepKind<unknown, TinyFacts>> = {}) => [
    step('first', careful(undone, 'first')),
    step('second', careful(undone, 'second', first), ['first']),
  ];
  const ended = async (undone: string[]) => {
    const tiny = tinyRun(two(undone));
    expect(await tiny.toEnd()).toBe('recovered');
    return tiny;
  };
  const filesOf = (folder: string) =>
    ['journal.jsonl', 'journal.seal'].map((name) => readFileSync(join(folder, name), 'utf8'));

  test('that only looks says what would be put back and lost, and leaves run and lock as they were', async () => {
    const tiny = await ended([]);
    const before = filesOf(tiny.folder);
    const { run, locks } = await laterUndo(tiny, two([]));
    const { steps, phase } = run.getSnapshot();
    expect(phase).toBe('planned');
    expect(steps[0]!.undoPlan).toMatchObject({
      putsBack: 'data of first',
      replaces: ['12 rows'],
      copies: [{ at: '/copies/first', gone: true }],
    });
    run.intend({ type: 'undo', steps: ['first'], typed: 'another' });
    run.intend({ type: 'abort' });
    expect(await run.finished).toBe('recovered');
    expect([filesOf(tiny.folder), readdirSync(locks)]).toEqual([before, []]);
  });

  test('that is aborted meanwhile ends the undo that runs, begins no other, and has not recovered', async () => {
    const undone: string[] = [];
    const held = gate();
    const tiny = await ended(undone);
    const slow = {
      undo: () =>
        stepEvents<TinyFacts>(async () => {
          await held.opened;
          undone.push('second');
        }),
    };
    const { run } = await laterUndo(tiny, two(undone, slow));
    run.intend({ type: 'undo', steps: ['first'], typed: NAME });
    await eventually('it undoes', () => run.getSnapshot().steps[1]!.state === 'undoing');
    run.intend({ type: 'abort' });
    held.open();
    expect(await run.finished).toBe('aborted');
    expect([undone, exitCodeOf(run.getSnapshot())]).toEqual([['second'], EXIT.aborted]);
  });

  test('that is kept from it by a guard does nothing before that is accepted', async () => {
    const undone: string[] = [];
    const tiny = await ended(undone);
    const { run } = await laterUndo(tiny, two(undone), { guards: [{ difference: 'run', said: 'a newer one' }] });
    run.intend({ type: 'undo', steps: ['first'], typed: NAME });
    await eventually('it waits', () => run.getSnapshot().phase === 'planned');
    expect([undone, run.getSnapshot().guards]).toEqual([[], [{ difference: 'run', said: 'a newer one' }]]);
    run.intend({ type: 'accept', difference: 'run' });
    run.intend({ type: 'undo', steps: ['first'], typed: NAME });
    expect(await run.finished).toBe('aborted');
    const types = typesOf({ run });
    expect(types.slice(types.indexOf('run.resumed'))).toEqual(
      expect.arrayContaining(['run.resumed', 'run.locked', 'guard.raised', 'guard.accepted', 'step.undoing']),
    );
  });

  test('that was told beforehand that it is meant so is kept by no guard, and that is on record', async () => {
    const undone: string[] = [];
    const tiny = await ended(undone);
    const guards = [{ difference: 'run' as const, said: 'a newer one' }];
    const { run } = await laterUndo(tiny, two(undone), { guards, accept: ['run'], onFailure: 'stop' });
    run.intend({ type: 'undo', steps: ['first'], typed: NAME });
    expect(await run.finished).toBe('aborted');
    expect(undone).toEqual(['second', 'first']);
    expect(typesOf({ run }).filter((type) => type.startsWith('guard.'))).toEqual(['guard.raised', 'guard.accepted']);
  });

  test('that cannot end what an earlier one left undoes nothing, has failed, and gives the cluster free', async () => {
    const undone: string[] = [];
    const tiny = await ended(undone);
    // There is a database to ask in, and then no answer.
    const cluster = absentCluster();
    cluster.postgres.maintenanceDatabase = async () => 'postgres';
    const { run, locks } = await laterUndo(tiny, two(undone), { cluster });
    expect(readdirSync(locks)).toHaveLength(1);
    run.intend({ type: 'undo', steps: ['first'], typed: NAME });
    expect(await run.finished).toBe('failed');
    expect([undone, readdirSync(locks)]).toEqual([[], []]);
    expect(run.getSnapshot().halted).toMatch(/^nothing was put back: .*ECONNREFUSED/);
    expect(readJournal(run.journalFile)).toMatchObject({ fault: '' });
    expect(typesOf({ run })).not.toContain('step.undoing');
  });

  test('that was killed in the middle of an undo has left a step that is no longer taken for done', async () => {
    const tiny = await ended([]);
    const journal = Journal.goOn('tiny', tiny.folder, readJournal(tiny.run.journalFile));
    journal.append({ type: 'step.undoing', step: 'second' });
    journal.close();
    const { run } = await laterUndo(tiny, two([]));
    expect(run.getSnapshot().steps.map((one) => [one.state, one.canUndo])).toEqual([
      ['succeeded', true],
      ['waiting', true],
    ]);
    run.intend({ type: 'abort' });
    await run.finished;
  });
});

describe('what is undone first', () => {
  const snapshot = (id: string, startedAt: number, needs: string[] = [], canUndo = true) =>
    ({ id, startedAt, needs, canUndo }) as StepSnapshot;
  const idsOf = (steps: StepSnapshot[], wanted?: string[]) => undoOrder(steps, wanted).map((one) => one.id);

  test('is what builds on a step, also when that step was begun again after it', () => {
    const steps = [snapshot('a', 9), snapshot('b', 2, ['a']), snapshot('c', 5)];
    expect(idsOf(steps)).toEqual(['c', 'b', 'a']);
    expect(idsOf(steps, ['a'])).toEqual(['b', 'a']);
    expect(idsOf(steps, ['c'])).toEqual(['c']);
  });

  test('is found through steps that have nothing to undo themselves', () => {
    const steps = [snapshot('a', 1), snapshot('look', 2, ['a'], false), snapshot('b', 3, ['look'])];
    expect(idsOf(steps, ['a'])).toEqual(['b', 'a']);
    expect(idsOf(steps, ['look'])).toEqual(['b']);
  });
});

test('every kind that can be undone says beforehand what that would do', () => {
  expect(stepKinds().filter((kind) => kind.undo && !kind.planUndo)).toEqual([]);
});

describe('runs of before', () => {
  const recordRun = (id: string, undone: boolean) => {
    const journal = Journal.begin(id, makeRunFolder(homeSubfolder('runs'), id));
    journal.append({
      type: 'run.started',
      mode: 'live',
      scenario: 'tiny',
      title: `Tiny ${id}`,
      profile: NAME,
      production: false,
      fingerprint: {} as never,
      runbook: '0',
      backup: null,
      newBackup: null,
      drillOf: null,
      runbookFile: null,
      operator: 'test',
      versions: {},
      steps: [{ id: 'restore', uses: 'postgres.restore', needs: [], params: {} }],
    });
    journal.append({ type: 'step.started', step: 'restore', attempt: 1 });
    journal.append({ type: 'step.facts', step: 'restore', facts: { before: 'populated' } });
    if (undone) journal.append({ type: 'step.finished', step: 'restore', outcome: 'undone', tookMs: 1 });
    journal.append({ type: 'run.finished', outcome: 'aborted', standing: [], rtoMs: 1, rpoMs: null });
    journal.close();
  };

  test('stand in the way of an older one until they are undone, and are offered newest first', () => {
    recordRun('20261101T000000Z', false);
    expect(newerRunGuards('20261101T000000Z', NAME)).toEqual([]);
    recordRun('20261102T000000Z', false);
    expect(newerRunGuards('20261101T000000Z', NAME)).toMatchObject([
      { difference: 'run', said: expect.stringMatching(/^run 20261102T000000Z \(Tiny .*undo 20261102T000000Z$/) },
    ]);
    expect(newerRunGuards('20261101T000000Z', 'another')).toEqual([]);
    expect(newestUndoable(NAME)?.id).toBe('20261102T000000Z');
    expect(newestUndoable('another')).toBeUndefined();
    recordRun('20261103T000000Z', true);
    expect(newestUndoable(NAME)?.id).toBe('20261102T000000Z');
    // Of one that was undone nothing is left to go on with.
    expect(findResumable(NAME)?.id).toBe('20261102T000000Z');
  });
});
