import { cpSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { readJournal } from '../../src/engine/journal.js';
import { outlineOf } from '../../src/engine/replay-outline.js';
import { further, replayedFrom, snapshotOf } from '../../src/engine/replay-state.js';
import type { Run } from '../../src/engine/run.js';
import { findRun } from '../../src/engine/runs.js';
import type { RunSnapshot } from '../../src/engine/snapshot.js';
import { operatorChoose } from '../../src/steps/operator/choose.js';
import { type AnyStepKind, readingPlan, type StepKind } from '../../src/steps/step.js';
import { stepEvents } from '../../src/steps/step-events.js';
import { equal } from '../../src/stores/check.js';
import { eventually } from '../support/eventually.js';
import { tempFolder } from '../support/temp.js';
import {
  gate,
  laterRun,
  laterUndo,
  step,
  type TinyFacts,
  type TinyRun,
  tinyKind,
  tinyRun,
} from '../support/tiny-run.js';

// What a run showed while it was at work, against what its journal alone gives back.

/** All of a snapshot that screens draw, but for the moments, which two clocks took. */
function shown({ log: _, folder: __, startedAt, finishedAt, undoing, outcomeText: ___, ...run }: RunSnapshot) {
  return {
    ...run,
    ended: finishedAt !== undefined,
    undoing: undoing?.steps,
    began: startedAt > 0,
    steps: run.steps.map(({ startedAt, finishedAt, undoPlan: _, safetyCopies, logFile: __, progress, ...one }) => ({
      ...one,
      progress: progress && { ...progress, since: progress.since.done },
      started: startedAt !== undefined,
      finished: finishedAt !== undefined,
      safetyCopies: safetyCopies.map(({ takenAt: _, ...copy }) => copy),
    })),
  };
}

/** The journal of a run after some of its events; all of them where no number is given. */
function replayed({ journalFile }: Run, kinds: readonly AnyStepKind[], taken?: number): RunSnapshot {
  const { events } = readJournal(journalFile);
  const undoable = (uses: string) => kinds.find(({ kind }) => kind === uses)?.undo !== undefined;
  const { run: id } = events[0]!;
  const first = replayedFrom({ id, folder: '', events }, undoable);
  return snapshotOf(further(first, events, taken ?? events.length, outlineOf(events)), []);
}

/** Keeps what a run shows whenever it waits for a person, with how many events were on record then. */
function witness({ run, events }: TinyRun) {
  const waits: { taken: number; snapshot: RunSnapshot }[] = [];
  run.subscribe(() => {
    const snapshot = run.getSnapshot();
    const before = waits.at(-1)?.snapshot.attention.join();
    const now = snapshot.attention.join();
    if (now !== '' && now !== before) waits.push({ taken: events.length, snapshot });
    else if (now === '') waits.push({ taken: events.length, snapshot });
  });
  return {
    /** Each moment at which it waited, and its end, as they were and as the journal tells them. */
    expectSame(kinds: readonly AnyStepKind[], asked: number) {
      const asking = waits.filter(({ snapshot }) => snapshot.attention.length > 0);
      expect(asking).toHaveLength(asked);
      for (const { taken, snapshot } of asking) expect(shown(replayed(run, kinds, taken))).toEqual(shown(snapshot));
      expect(shown(replayed(run, kinds))).toEqual(shown(run.getSnapshot()));
    },
  };
}

const rich = (more: Partial<StepKind<unknown, TinyFacts>> = {}) =>
  tinyKind('tiny.rich', {
    effect: 'destroy',
    plan: async () => ({
      ...readingPlan('replace all', ['cp a b']),
      destroys: ['12 memories'],
      estimateMs: 4_000,
    }),
    check: async () => [
      { level: 'warning', message: 'the disk is nearly full', next: 'make room' },
      { level: 'info', message: 'twelve are there' },
    ],
    run: (_p, ctx) =>
      stepEvents<TinyFacts>(async (emit) => {
        emit.safetyCopy('the data', '/safe/copy', 'read to its end');
        emit.progress({ done: 3, total: 12, unit: 'rows', text: 'a third' });
        await ctx.gateway.change({ channel: 'file', text: 'cp a b' }, async () => {});
        emit.output('twelve rows copied');
        emit.facts({ ran: true });
      }),
    undo: () => stepEvents<TinyFacts>(async () => {}),
    verifyUndo: async () => [equal('tiny step', 'rows of before', 12, 12)],
    conclusion: () => ({ text: 'twelve came back', exception: false }),
    ...more,
  });

/** A kind whose first proof fails. */
function moody(name: string): AnyStepKind {
  let attempts = 0;
  return rich({
    kind: name,
    effect: 'write',
    verify: async () => {
      attempts += 1;
      return [equal('tiny step', 'rows', 2, attempts)];
    },
  });
}

const confirm = (tiny: TinyRun, id: string) => tiny.run.intend({ type: 'confirm', step: id, typed: 'acme-test' });

describe('what a journal alone gives back is what was on the screen, of a run that', () => {
  test('succeeded, with all that it showed', async () => {
    const kinds = [rich(), tinyKind('tiny.plain')];
    const tiny = tinyRun([step('first', kinds[1]!), step('replace', kinds[0]!, ['first'])]);
    const { expectSame } = witness(tiny);
    await tiny.begin();
    await tiny.until('replace', 'asking');
    confirm(tiny, 'replace');
    expect(await tiny.run.finished).toBe('recovered');
    expectSame(kinds, 1);
  });

  test('failed, was tried again, and was skipped in the end with what needs it', async () => {
    const kinds = [
      moody('tiny.moody'),
      tinyKind('tiny.bad', { check: async () => [{ level: 'blocking', message: 'no', next: 'look' }] }),
    ];
    const tiny = tinyRun([
      step('moody', kinds[0]!),
      step('bad', kinds[1]!, ['moody']),
      step('after', tinyKind('tiny.plain'), ['bad']),
    ]);
    const { expectSame } = witness(tiny);
    await tiny.begin();
    await tiny.until('moody', 'deciding');
    tiny.run.intend({ type: 'retry', step: 'moody' });
    await tiny.until('bad', 'deciding');
    tiny.run.intend({ type: 'skip', step: 'bad' });
    expect(await tiny.run.finished).toBe('recovered-with-exceptions');
    expectSame(kinds, 2);
  });

  test('failed with nobody there', async () => {
    const kinds = [tinyKind('tiny.bad', { verify: async () => [equal('tiny step', 'rows', 12, 11)] })];
    const tiny = tinyRun([step('bad', kinds[0]!), step('after', tinyKind('tiny.plain'), ['bad'])], {
      onFailure: 'stop',
    });
    const { expectSame } = witness(tiny);
    expect(await tiny.toEnd()).toBe('failed');
    expectSame(kinds, 0);
  });

  test('was blocked before it began, or only looked', async () => {
    const kinds = [tinyKind('tiny.bad', { plan: () => Promise.reject(new Error('nothing answers')) })];
    for (const [mode, outcome] of [
      ['live', 'failed'],
      ['dry-run', 'simulated'],
    ] as const) {
      const tiny = tinyRun([step('bad', kinds[0]!), step('good', rich())], { onFailure: 'stop', mode });
      const { expectSame } = witness(tiny);
      await tiny.run.preflight();
      expect(await tiny.run.finished).toBe(outcome);
      expectSame([...kinds, rich()], 0);
    }
  });

  test('chose one of two ways, and left out what does not apply', async () => {
    const options = ['a', 'b'].map((choice) => ({ choice, title: choice, because: `for ${choice}` }));
    const way = operatorChoose as unknown as AnyStepKind;
    const idle = tinyKind('tiny.idle', {
      plan: async () => readingPlan('nothing', [], { notApplicable: 'nothing is there' }),
    });
    const unasked = tinyKind('tiny.unasked', {
      plan: async () => readingPlan('nothing', [], { notAskedFor: 'nobody asked: --set <step>.take=true' }),
    });
    const kinds = [way, idle, unasked];
    const tiny = tinyRun([
      { ...step('way', way), params: way.params.parse({ question: 'Which?', options }) },
      { ...step('a', tinyKind('tiny.a'), ['way']), only: { step: 'way', choices: ['a'] } },
      { ...step('b', tinyKind('tiny.b'), ['way']), only: { step: 'way', choices: ['b'] } },
      step('idle', idle, ['a', 'b']),
      step('unasked', unasked, ['idle']),
    ]);
    const { expectSame } = witness(tiny);
    await tiny.begin();
    await tiny.until('way', 'asking');
    tiny.run.intend({ type: 'answer', step: 'way', answer: 'b' });
    await tiny.run.finished;
    expectSame(kinds, 1);
  });

  test('had one failed step undone and tried again', async () => {
    const kinds = [moody('tiny.moody')];
    const tiny = tinyRun([step('moody', kinds[0]!)]);
    const { expectSame } = witness(tiny);
    await tiny.begin();
    await tiny.until('moody', 'deciding');
    tiny.run.intend({ type: 'undo', steps: ['moody'], typed: 'acme-test' });
    const failed = tiny.stepOf('moody').reason;
    await eventually('it is undone', () => tiny.stepOf('moody').undone);
    expect(tiny.stepOf('moody').reason).toContain(failed);
    tiny.run.intend({ type: 'retry', step: 'moody' });
    expect(await tiny.run.finished).toBe('recovered');
    expectSame(kinds, 2);
  });

  test('was undone as a whole, and one whose undo failed', async () => {
    for (const undo of [
      () => stepEvents<TinyFacts>(async () => {}),
      () => stepEvents<TinyFacts>(() => Promise.reject(new Error('the copy is gone'))),
    ]) {
      const kinds = [
        rich({ kind: 'tiny.first', effect: 'write', undo }),
        tinyKind('tiny.bad', { verify: async () => [equal('tiny step', 'rows', 12, 11)] }),
      ];
      const tiny = tinyRun([step('first', kinds[0]!), step('bad', kinds[1]!, ['first'])]);
      const { expectSame } = witness(tiny);
      await tiny.begin();
      await tiny.until('bad', 'deciding');
      tiny.run.intend({ type: 'undo', steps: ['first'], typed: 'acme-test' });
      await tiny.run.finished;
      expectSame(kinds, 1);
    }
  });

  test('was undone by a later process', async () => {
    const kinds = [rich({ effect: 'write' })];
    const steps = [step('first', kinds[0]!), step('second', kinds[0]!, ['first'])];
    const tiny = tinyRun(steps);
    expect(await tiny.toEnd()).toBe('recovered');
    const { run } = await laterUndo(tiny, steps);
    run.intend({ type: 'undo', steps: ['first'], typed: 'acme-test' });
    expect(await run.finished).toBe('aborted');
    // What an undo would put back is looked at for the screen, and is not on record.
    const then = run.getSnapshot();
    const asRecorded = then.steps.map((one) => ({ ...one, reason: 'as it was before this step' }));
    expect(shown(replayed(run, kinds))).toEqual(shown({ ...then, steps: asRecorded }));
  });

  test('was broken off, and gone on with by a later process', async () => {
    const { opened, open } = gate();
    const slow = rich({
      kind: 'tiny.slow',
      effect: 'write',
      run: () =>
        stepEvents<TinyFacts>(async (emit) => {
          emit.safetyCopy('the data', '/safe/copy', 'read to its end');
          emit.facts({ ran: true });
          await opened;
        }),
    });
    const kinds = [rich({ effect: 'write' }), slow];
    const steps = [step('first', kinds[0]!), step('slow', slow, ['first']), step('after', kinds[0]!, ['slow'])];
    const tiny = tinyRun(steps);
    await tiny.begin();
    await tiny.until('slow', 'running');
    await eventually('its facts are on record', () =>
      tiny.events.some((one) => one.type === 'step.facts' && one.step === 'slow'),
    );
    const folder = tempFolder('copy');
    cpSync(tiny.folder, folder, { recursive: true });
    open();
    await tiny.run.finished;
    const { run } = await laterRun(folder, steps);
    expect(shown(replayed(run, kinds))).toEqual(shown(run.getSnapshot()));
    run.intend({ type: 'begin' });
    expect(await run.finished).toBe('recovered');
    expect(shown(replayed(run, kinds))).toEqual(shown(run.getSnapshot()));
  });

  test('was aborted while steps were at work and asked', async () => {
    const { opened, open } = gate();
    const slow = tinyKind('tiny.slow', {
      run: () =>
        stepEvents<TinyFacts>(async (emit) => {
          emit.facts({ ran: true });
          await opened;
        }),
    });
    const kinds = [slow, rich()];
    const tiny = tinyRun([step('slow', slow), step('replace', kinds[1]!), step('after', slow, ['slow'])]);
    const { expectSame } = witness(tiny);
    await tiny.begin();
    await tiny.until('replace', 'asking');
    await tiny.until('slow', 'running');
    tiny.run.intend({ type: 'abort' });
    open();
    expect(await tiny.run.finished).toBe('aborted');
    expectSame(kinds, 1);
  });

  test('was aborted before it began, or at a failed step', async () => {
    const kinds = [tinyKind('tiny.bad', { verify: async () => [equal('tiny step', 'rows', 12, 11)] })];
    const steps = [step('bad', kinds[0]!), step('after', tinyKind('tiny.plain'), ['bad'])];
    const before = tinyRun(steps);
    const first = witness(before);
    await before.run.preflight();
    before.run.intend({ type: 'abort' });
    expect(await before.run.finished).toBe('aborted');
    first.expectSame(kinds, 0);
    const tiny = tinyRun(steps);
    const second = witness(tiny);
    await tiny.begin();
    await tiny.until('bad', 'deciding');
    tiny.run.intend({ type: 'abort' });
    expect(await tiny.run.finished).toBe('aborted');
    second.expectSame(kinds, 1);
  });
});

test('taking events in one by one, in leaps and from the middle gives the same', async () => {
  const kinds = [moody('tiny.moody')];
  const tiny = tinyRun([step('moody', kinds[0]!)]);
  await tiny.begin();
  await tiny.until('moody', 'deciding');
  tiny.run.intend({ type: 'retry', step: 'moody' });
  await tiny.run.finished;
  const recorded = findRun(tiny.folder);
  const outline = outlineOf(recorded.events);
  const first = replayedFrom(recorded);
  const leap = (from: typeof first, to: number) => further(from, recorded.events, to, outline);
  let slow = first;
  for (let taken = 1; taken <= recorded.events.length; taken += 1) {
    const before = JSON.stringify(snapshotOf(slow, []));
    const next = leap(slow, taken);
    expect(JSON.stringify(snapshotOf(slow, []))).toBe(before);
    slow = next;
    expect(snapshotOf(slow, [])).toEqual(snapshotOf(leap(first, taken), []));
  }
});
