import { describe, expect, test } from 'vitest';
import { SERVICES } from '../../src/config/profile.js';
import { type JournalEvent, type RunOutcome, readJournal } from '../../src/engine/journal.js';
import { readingPlan, type StepKind } from '../../src/steps/step.js';
import { stepEvents } from '../../src/steps/step-events.js';
import { equal } from '../../src/stores/check.js';
import { eventually } from '../support/eventually.js';
import { gate, outcomesIn, step, type TinyFacts, type TinyRun, tinyKind, tinyRun } from '../support/tiny-run.js';

const GOOD = [equal('tiny step', 'rows', 12, 12)];
const BAD = [equal('tiny step', 'rows', 12, 11)];

const finishedIn = (events: readonly JournalEvent[], id: string) =>
  events.flatMap((event) => (event.type === 'step.finished' && event.step === id ? [event.outcome] : []));
const lastOf = (events: readonly JournalEvent[]) => {
  const last = events.at(-1)!;
  if (last.type !== 'run.finished') throw new Error(`the journal ends with ${last.type}`);
  return last;
};
const onDisk = ({ run }: TinyRun) => {
  const { events, fault } = readJournal(run.journalFile);
  expect(fault).toBe('');
  return events;
};

describe('an abort while a step runs that a look at reality finds done', () => {
  const endedHalfWay = (verify: StepKind<unknown, TinyFacts>['verify']) =>
    tinyKind('tiny.waiting', {
      run: (_p, _ctx, signal) =>
        stepEvents<TinyFacts>(async (emit) => {
          emit.facts({ ran: true });
          await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
        }),
      probe: async () => 'done',
      verify,
    });
  const aborted = async (verify: StepKind<unknown, TinyFacts>['verify']) => {
    const tiny = tinyRun([step('long', endedHalfWay(verify))]);
    await tiny.begin();
    await tiny.until('long', 'running');
    tiny.run.intend({ type: 'abort' });
    expect(await tiny.run.finished).toBe('aborted');
    return { events: onDisk(tiny), outcome: outcomesIn(tiny.run).long, state: tiny.stateOf('long') };
  };

  test('leaves it succeeded only with its checks in the journal before that', async () => {
    const { events, outcome, state } = await aborted(async () => GOOD);
    expect([outcome, state]).toEqual(['succeeded', 'succeeded']);
    const told = events.flatMap((event) =>
      event.type === 'step.check' || event.type === 'step.finished' ? [event.type] : [],
    );
    expect(told).toEqual(['step.check', 'step.finished']);
  });

  test.each([
    ['whose check fails', async () => BAD],
    ['with one good check and one that fails', async () => [...GOOD, ...BAD]],
    ['without any evidence', async () => []],
    [
      'whose verification throws',
      async () => {
        throw new Error('the store is gone');
      },
    ],
  ])('never leaves one succeeded %s', async (_, verify) => {
    const { events, outcome, state } = await aborted(verify);
    expect(['failed', 'unknown']).toContain(outcome);
    expect(state).toBe(outcome);
    expect(finishedIn(events, 'long')).toEqual([outcome]);
  });
});

describe('an abort before the preflight has written its first line', () => {
  test('still leaves a whole journal that says first which run it is, and last that it was aborted', async () => {
    let looked = 0;
    const kind = tinyKind('tiny', {
      check: async () => {
        looked += 1;
        return [];
      },
    });
    const tiny = tinyRun([step('one', kind), step('two', kind, ['one'])]);
    const preflight = tiny.run.preflight();
    expect(tiny.events).toEqual([]);
    tiny.run.intend({ type: 'abort' });
    expect(await tiny.run.finished).toBe('aborted');
    await preflight;
    const events = onDisk(tiny);
    expect(events[0]).toMatchObject({ type: 'run.started', scenario: 'tiny', profile: 'acme-test' });
    expect(events.filter((event) => event.type === 'run.started')).toHaveLength(1);
    expect(lastOf(events).outcome).toBe('aborted');
    expect(outcomesIn(tiny.run)).toEqual({ one: 'skipped', two: 'skipped' });
    expect(looked).toBe(0);
  });

  test('is heard also when it comes before the preflight itself', async () => {
    const tiny = tinyRun([step('one', tinyKind('tiny'))]);
    tiny.run.intend({ type: 'abort' });
    await tiny.run.preflight();
    expect(await tiny.run.finished).toBe('aborted');
    const events = onDisk(tiny);
    expect([events[0]!.type, lastOf(events).outcome]).toEqual(['run.started', 'aborted']);
  });
});

describe('a step that was undone', () => {
  const undoable = tinyKind('tiny.undoable', {
    run: () =>
      stepEvents<TinyFacts>(async (emit) => {
        emit.facts({ ran: true });
        throw new Error('half-way');
      }),
    undo: () => stepEvents<TinyFacts>(async () => {}),
  });

  test('is written down as undone once, and stays undone when the run is aborted then', async () => {
    const tiny = tinyRun([step('careful', undoable), step('after', tinyKind('tiny'), ['careful'])]);
    await tiny.begin();
    await tiny.until('careful', 'deciding');
    const failedFirst = onDisk(tiny).length;
    tiny.run.intend({ type: 'undo', steps: ['careful'], typed: 'acme-test' });
    await eventually('it is undone', () => finishedIn(tiny.events, 'careful').includes('undone'));
    await tiny.until('careful', 'deciding');
    tiny.run.intend({ type: 'abort' });
    expect(await tiny.run.finished).toBe('aborted');
    expect(tiny.stateOf('careful')).toBe('undone');
    expect(finishedIn(onDisk(tiny).slice(failedFirst), 'careful')).toEqual(['undone']);
    expect(outcomesIn(tiny.run)).toEqual({ careful: 'undone', after: 'skipped' });
  });

  test('ends a run that was aborted meanwhile: nobody is asked what now', async () => {
    const held = gate();
    const slow = { ...undoable, undo: () => stepEvents<TinyFacts>(() => held.opened) };
    const tiny = tinyRun([step('careful', slow), step('after', tinyKind('tiny'), ['careful'])]);
    await tiny.begin();
    await tiny.until('careful', 'deciding');
    tiny.run.intend({ type: 'undo', steps: ['careful'], typed: 'acme-test' });
    await tiny.until('careful', 'undoing');
    tiny.run.intend({ type: 'abort' });
    held.open();
    expect(await tiny.run.finished).toBe('aborted');
    expect(outcomesIn(tiny.run)).toEqual({ careful: 'undone', after: 'skipped' });
    expect([tiny.stateOf('careful'), tiny.run.getSnapshot().attention]).toEqual(['undone', []]);
  });

  test('is a failed one again when it was tried again and failed', async () => {
    const tiny = tinyRun([step('careful', undoable)]);
    await tiny.begin();
    await tiny.until('careful', 'deciding');
    tiny.run.intend({ type: 'undo', steps: ['careful'], typed: 'acme-test' });
    await eventually('it is undone', () => finishedIn(tiny.events, 'careful').includes('undone'));
    await tiny.until('careful', 'deciding');
    tiny.run.intend({ type: 'retry', step: 'careful' });
    await eventually('it failed again', () => finishedIn(tiny.events, 'careful').length === 3);
    await tiny.until('careful', 'deciding');
    tiny.run.intend({ type: 'abort' });
    await tiny.run.finished;
    expect(tiny.stateOf('careful')).toBe('failed');
    expect(finishedIn(onDisk(tiny), 'careful')).toEqual(['failed', 'undone', 'failed']);
  });
});

describe('looking again before a run has begun', () => {
  test('sees what has changed since, and then lets it begin', async () => {
    let fixed = false;
    const moody = tinyKind('tiny.moody', {
      plan: async () => readingPlan(fixed ? 'the second look' : 'the first look', []),
      check: async () =>
        fixed ? [] : [{ level: 'blocking' as const, message: 'the disk is not mounted', next: 'mount it' }],
    });
    const tiny = tinyRun([step('moody', moody)]);
    await tiny.run.preflight();
    expect(tiny.stepOf('moody').findings).toHaveLength(1);
    fixed = true;
    tiny.run.intend({ type: 'look' });
    expect(tiny.run.getSnapshot().phase).toBe('preflight');
    await eventually('it has looked', () => tiny.run.getSnapshot().phase === 'planned');
    expect(tiny.stepOf('moody').findings).toEqual([]);
    expect(tiny.stepOf('moody').plan?.summary).toBe('the second look');
    tiny.run.intend({ type: 'begin' });
    expect(await tiny.run.finished).toBe('recovered');
  });

  test('is ignored once it has begun', async () => {
    const held = gate();
    let looks = 0;
    const slow = tinyKind('tiny.slow', {
      check: async () => {
        looks += 1;
        return [];
      },
      run: () =>
        stepEvents<TinyFacts>(async (emit) => {
          await held.opened;
          emit.facts({ ran: true });
        }),
    });
    const tiny = tinyRun([step('slow', slow)]);
    await tiny.begin();
    await tiny.until('slow', 'running');
    const before = looks;
    tiny.run.intend({ type: 'look' });
    expect(tiny.run.getSnapshot().phase).toBe('running');
    held.open();
    expect(await tiny.run.finished).toBe('recovered');
    expect(looks).toBe(before);
  });

  test('that is aborted meanwhile does not bring the run back', async () => {
    const held = gate();
    let wait = false;
    const slow = tinyKind('tiny.slow', {
      check: async () => {
        if (wait) await held.opened;
        return [];
      },
    });
    const tiny = tinyRun([step('slow', slow)]);
    await tiny.run.preflight();
    wait = true;
    tiny.run.intend({ type: 'look' });
    tiny.run.intend({ type: 'abort' });
    expect(await tiny.run.finished).toBe('aborted');
    held.open();
    expect(tiny.run.getSnapshot().phase).toBe('finished');
    expect(lastOf(onDisk(tiny)).outcome).toBe('aborted');
  });
});

describe('the end of a run', () => {
  test('says of every service how it stands, in the journal and to those who look', async () => {
    const tiny = tinyRun([step('one', tinyKind('tiny'))]);
    await tiny.toEnd();
    const { standing } = lastOf(onDisk(tiny));
    // Nothing listens on port 1, and this profile names neither novamem nor a driver.
    expect(standing.map((one) => [one.service, one.answers])).toEqual(
      SERVICES.filter((service) => service !== 'novamem').map((service) => [service, false]),
    );
    for (const one of standing) expect(one.seen).not.toBe('');
    expect(tiny.run.getSnapshot().standing).toEqual(standing);
  });

  const backing = (skip: boolean) =>
    tinyKind('tiny.backup', {
      backupSet: 'writes',
      plan: async () => readingPlan('back up', [], skip ? { notApplicable: 'there is no such store' } : {}),
    });
  const restoring = (skip: boolean) =>
    tinyKind('tiny.restore', {
      backupSet: 'reads',
      plan: async () => readingPlan('restore', [], skip ? { notApplicable: 'there is no such store' } : {}),
    });
  const skippedByHand = (backupSet: 'reads' | 'writes') =>
    tinyKind('tiny.broken', {
      backupSet,
      run: () =>
        stepEvents<TinyFacts>(async () => {
          throw new Error('it broke');
        }),
    });

  /** Begins, skips by hand what fails, and answers how it ended. */
  async function skipping(tiny: TinyRun, id: string): Promise<RunOutcome> {
    await tiny.begin();
    await tiny.until(id, 'deciding');
    tiny.run.intend({ type: 'skip', step: id });
    return tiny.run.finished;
  }

  test('of a backup in which every step succeeded is a good one', async () => {
    expect(await tinyRun([step('one', backing(false)), step('two', backing(false))]).toEnd()).toBe('recovered');
  });

  test('of a backup with a step that was skipped is a failure: half a backup is none', async () => {
    const tiny = tinyRun([step('one', backing(false)), step('two', skippedByHand('writes'))]);
    expect(await skipping(tiny, 'two')).toBe('failed');
    expect(outcomesIn(tiny.run)).toEqual({ one: 'succeeded', two: 'skipped' });
  });

  test('of a restore in which nothing was restored is a failure, whatever else was done', async () => {
    const tiny = tinyRun([step('stop', tinyKind('tiny')), step('restore', skippedByHand('reads'), ['stop'])]);
    expect(await skipping(tiny, 'restore')).toBe('failed');
    expect(outcomesIn(tiny.run)).toEqual({ stop: 'succeeded', restore: 'skipped' });
  });

  test('of a restore in which something was restored and something skipped has exceptions', async () => {
    const tiny = tinyRun([step('postgres', restoring(false)), step('graph', skippedByHand('reads'))]);
    expect(await skipping(tiny, 'graph')).toBe('recovered-with-exceptions');
  });
});
