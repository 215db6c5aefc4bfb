import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { keepSecret } from '../../src/config/redact.js';
import { readJournal } from '../../src/engine/journal.js';
import { leftBy, reportOf } from '../../src/reports/run-report.js';
import { readingPlan, type StepContext } from '../../src/steps/step.js';
import { stepEvents } from '../../src/steps/step-events.js';
import { equal } from '../../src/stores/check.js';
import { eventually } from '../support/eventually.js';
import { gate, laterUndo, outcomesIn, step, type TinyFacts, tinyKind, tinyRun } from '../support/tiny-run.js';

const PASSED = [equal('tiny step', 'ran', 'yes', 'yes')];
const FAILED = [equal('tiny step', 'rows', 12, 11)];
const failing = (message = 'it broke') => ({
  run: () =>
    stepEvents<TinyFacts>(async () => {
      throw new Error(message);
    }),
});

describe('the order of steps', () => {
  test('a step begins only after every step that it needs has succeeded', async () => {
    const kind = tinyKind('tiny');
    const { toEnd, events } = tinyRun([
      step('first', kind),
      step('second', kind, ['first']),
      step('third', kind, ['first', 'second']),
    ]);
    expect(await toEnd()).toBe('recovered');
    const told = events.flatMap((event) =>
      event.type === 'step.started' || event.type === 'step.finished' ? [`${event.type} ${event.step}`] : [],
    );
    expect(told).toEqual(['first', 'second', 'third'].flatMap((id) => [`step.started ${id}`, `step.finished ${id}`]));
  });

  test('steps that do not need each other run side by side', async () => {
    const both = gate();
    let running = 0;
    const meeting = tinyKind('tiny.meeting', {
      run: () =>
        stepEvents<TinyFacts>(async (emit) => {
          running += 1;
          if (running === 2) both.open();
          await both.opened;
          emit.facts({ ran: true });
        }),
    });
    const { toEnd } = tinyRun([step('left', meeting), step('right', meeting)]);
    expect(await toEnd()).toBe('recovered');
    expect(running).toBe(2);
  });

  test('the facts of a step reach a later one, and only those of steps that succeeded', async () => {
    const seen: TinyFacts[][] = [];
    const kind = tinyKind('tiny.fact');
    const reader = tinyKind('tiny.reader', {
      run: (_p, ctx) =>
        stepEvents<TinyFacts>(async (emit) => {
          seen.push(ctx.factsOf(kind) as TinyFacts[]);
          emit.facts({ ran: true });
        }),
    });
    await tinyRun([step('early', reader), step('fact', kind, ['early']), step('late', reader, ['fact'])]).toEnd();
    expect(seen).toEqual([[], [{ ran: true }]]);
  });
});

describe('the confirmation of a step that destroys', () => {
  const destroying = (ran: string[]) =>
    tinyKind('tiny.destroy', {
      effect: 'destroy',
      plan: async () => readingPlan('destroy', [], { destroys: ['12 memories'] }),
      run: () =>
        stepEvents<TinyFacts>(async (emit) => {
          ran.push('ran');
          emit.facts({ ran: true });
        }),
    });

  test('a wrong name starts nothing; the right one does, and the journal says who typed it', async () => {
    const ran: string[] = [];
    const { run, begin, until, stateOf, events } = tinyRun([step('drop', destroying(ran))]);
    await begin();
    await until('drop', 'asking');
    expect(run.getSnapshot().attention).toEqual(['drop']);
    for (const typed of ['', 'acme', 'ACME-TEST', 'acme-test ', 'yes'])
      run.intend({ type: 'confirm', step: 'drop', typed });
    expect(stateOf('drop')).toBe('asking');
    expect(ran).toEqual([]);
    run.intend({ type: 'confirm', step: 'drop', typed: 'acme-test' });
    expect(await run.finished).toBe('recovered');
    expect(ran).toEqual(['ran']);
    const asked = events.filter((event) => event.type === 'confirm.asked' || event.type === 'confirm.given');
    expect(asked).toMatchObject([
      { type: 'confirm.asked', destroys: ['12 memories'] },
      { type: 'confirm.given', who: run.operator, typed: 'acme-test' },
    ]);
  });

  test('one confirmation is for one step, not for the next', async () => {
    const ran: string[] = [];
    const kind = destroying(ran);
    const { run, begin, until } = tinyRun([step('one', kind), step('two', kind)]);
    await begin();
    await until('one', 'asking');
    run.intend({ type: 'confirm', step: 'one', typed: 'acme-test' });
    await until('one', 'succeeded');
    const { attention } = await until('two', 'asking');
    expect(attention).toEqual(['two']);
    expect(ran).toHaveLength(1);
    run.intend({ type: 'abort' });
    await run.finished;
  });

  test('a step that is skipped instead does not run, and its dependents do not either', async () => {
    const ran: string[] = [];
    const { run, begin, until } = tinyRun([step('drop', destroying(ran)), step('after', tinyKind('tiny'), ['drop'])]);
    await begin();
    await until('drop', 'asking');
    run.intend({ type: 'skip', step: 'drop' });
    expect(await run.finished).toBe('failed');
    expect(ran).toEqual([]);
    expect(outcomesIn(run)).toEqual({ drop: 'skipped', after: 'skipped' });
  });
});

describe('the evidence of a step', () => {
  test('a step without checks has not succeeded', async () => {
    const { run, toEnd, stepOf } = tinyRun([step('silent', tinyKind('tiny', { verify: async () => [] }))], {
      onFailure: 'stop',
    });
    expect(await toEnd()).toBe('failed');
    expect(outcomesIn(run)).toEqual({ silent: 'failed' });
    expect(stepOf('silent').reason).toMatch(/nothing that proves it/);
  });

  test('a failed check fails the step, and says what was expected and found', async () => {
    const kind = tinyKind('tiny', { verify: async () => [...PASSED, ...FAILED] });
    const { run, toEnd, stepOf, events } = tinyRun([step('short', kind)], { onFailure: 'stop' });
    expect(await toEnd()).toBe('failed');
    expect(outcomesIn(run)).toEqual({ short: 'failed' });
    expect(stepOf('short').reason).toBe('1 of 2 checks failed; the first: tiny step, rows: expected 12, found 11');
    expect(events.filter((event) => event.type === 'step.check')).toHaveLength(2);
  });

  test('a verification that throws fails the step', async () => {
    const kind = tinyKind('tiny', {
      verify: async () => {
        throw new Error('the store is gone');
      },
    });
    const { run, toEnd } = tinyRun([step('blind', kind)], { onFailure: 'stop' });
    expect(await toEnd()).toBe('failed');
    expect(outcomesIn(run)).toEqual({ blind: 'failed' });
  });
});

describe('a step that failed', () => {
  test('waits for a person; a retry runs it again, counted as the second attempt', async () => {
    let attempts = 0;
    const kind = tinyKind('tiny', {
      run: () =>
        stepEvents<TinyFacts>(async (emit) => {
          attempts += 1;
          if (attempts === 1) throw new Error('the first time never works');
          emit.facts({ ran: true });
        }),
    });
    const { run, begin, until, events } = tinyRun([step('moody', kind)]);
    await begin();
    await until('moody', 'deciding');
    run.intend({ type: 'retry', step: 'moody' });
    expect(await run.finished).toBe('recovered');
    expect(events.filter((event) => event.type === 'step.started')).toMatchObject([{ attempt: 1 }, { attempt: 2 }]);
  });

  test('is not run again by a retry when reality says that it is done, but is still verified', async () => {
    let runs = 0;
    const kind = tinyKind('tiny', {
      run: () =>
        stepEvents<TinyFacts>(async (emit) => {
          runs += 1;
          emit.facts({ ran: true });
          throw new Error('the connection broke at the very end');
        }),
      probe: async () => 'done',
    });
    const { run, begin, until, events } = tinyRun([step('late', kind)]);
    await begin();
    await until('late', 'deciding');
    run.intend({ type: 'retry', step: 'late' });
    expect(await run.finished).toBe('recovered');
    expect(runs).toBe(1);
    expect(events.some((event) => event.type === 'step.check')).toBe(true);
  });

  test('and whose retry cannot begin took as long, and left what its plan said, as when it was last begun', async () => {
    let looks = 0;
    let down = false;
    const kind = tinyKind('tiny', {
      plan: async () => {
        looks += 1;
        return readingPlan('replace', [], { onAbort: down ? 'a store that is down' : 'half of it' });
      },
      check: async () => (down ? [{ level: 'blocking', message: 'the store is down', next: 'start it' }] : []),
      run: () =>
        stepEvents<TinyFacts>(async () => {
          down = true;
          throw new Error('the connection broke');
        }),
    });
    const steps = [step('broken', kind)];
    const tiny = tinyRun(steps);
    const { run, begin, until, events, stepOf } = tiny;
    await begin();
    await until('broken', 'deciding');
    const before = looks;
    run.intend({ type: 'retry', step: 'broken' });
    await eventually('it was looked at again', () => looks > before && run.getSnapshot().attention.length > 0);
    expect(stepOf('broken').plan!.onAbort).toBe('a store that is down');
    expect(stepOf('broken').tried!.onAbort).toBe('half of it');
    run.intend({ type: 'abort' });
    await run.finished;
    const ends = events.flatMap((event) => (event.type === 'step.finished' ? event.tookMs : []));
    expect(ends).toHaveLength(2);
    expect(ends[1]).toBe(ends[0]);
    expect(leftBy(reportOf(events).steps[0]!)[0]).toEqual(['Left', 'half of it']);
    const later = await laterUndo(tiny, steps);
    const [taken] = later.run.getSnapshot().steps;
    expect(taken!.tried!.onAbort).toBe('half of it');
    expect(taken!.finishedAt! - taken!.startedAt!).toBe(ends[0]);
    later.run.intend({ type: 'abort' });
    await later.run.finished;
  });

  test('when skipped leaves a run with exceptions, in which skipped is not done', async () => {
    const { run, begin, until } = tinyRun([
      step('broken', tinyKind('tiny', failing())),
      step('after', tinyKind('tiny'), ['broken']),
      step('beside', tinyKind('tiny')),
    ]);
    await begin();
    await until('broken', 'deciding');
    await until('beside', 'succeeded');
    run.intend({ type: 'skip', step: 'broken' });
    expect(await run.finished).toBe('recovered-with-exceptions');
    expect(outcomesIn(run)).toEqual({ broken: 'skipped', after: 'skipped', beside: 'succeeded' });
  });

  test('ends a run without a person: what needs it does not begin', async () => {
    const { run, toEnd } = tinyRun(
      [step('broken', tinyKind('tiny', failing())), step('after', tinyKind('tiny'), ['broken'])],
      { onFailure: 'stop' },
    );
    expect(await toEnd()).toBe('failed');
    expect(outcomesIn(run)).toEqual({ broken: 'failed', after: 'skipped' });
  });

  test('keeps a step beside it, which is still being looked at, from beginning in a run without a person', async () => {
    const looked = gate();
    const slow = tinyKind('tiny.slow', {
      check: async (_p, ctx) => {
        if (ctx.phase === 'ready') await looked.opened;
        return [];
      },
    });
    const { run, begin, until } = tinyRun([step('broken', tinyKind('tiny', failing())), step('beside', slow)], {
      onFailure: 'stop',
    });
    await begin();
    await until('broken', 'failed');
    looked.open();
    expect(await run.finished).toBe('failed');
    expect(outcomesIn(run)).toEqual({ broken: 'failed', beside: 'skipped' });
  });
});

describe('undo', () => {
  const undoable = (undo: () => void) =>
    tinyKind('tiny.undoable', {
      run: () =>
        stepEvents<TinyFacts>(async (emit) => {
          emit.facts({ ran: true });
          emit.safetyCopy('the old data', '/somewhere', 'read to its end');
          throw new Error('half-way');
        }),
      undo: () => stepEvents<TinyFacts>(async () => undo()),
    });

  test('runs for a failed step, is written down as undone, and lets it be tried again', async () => {
    let undone = 0;
    const { run, begin, until, stepOf, events } = tinyRun([
      step(
        'careful',
        undoable(() => {
          undone += 1;
        }),
      ),
    ]);
    await begin();
    await until('careful', 'deciding');
    expect(stepOf('careful').canUndo).toBe(true);
    run.intend({ type: 'undo', steps: ['careful'], typed: 'acme-test' });
    await eventually('undone', () =>
      events.some((event) => event.type === 'step.finished' && event.outcome === 'undone'),
    );
    await until('careful', 'deciding');
    expect(undone).toBe(1);
    run.intend({ type: 'retry', step: 'careful' });
    await eventually('started again', () => events.filter((event) => event.type === 'step.started').length === 2);
    await until('careful', 'deciding');
    run.intend({ type: 'abort' });
    expect(await run.finished).toBe('aborted');
  });

  test('is not offered for a step that has done nothing, nor for a kind that has none', async () => {
    const { run, begin, until, stepOf } = tinyRun([
      step('untouched', tinyKind('tiny', { ...failing(), undo: () => stepEvents(async () => {}) })),
      step('without', tinyKind('tiny', { verify: async () => FAILED })),
    ]);
    await begin();
    await until('untouched', 'deciding');
    await until('without', 'deciding');
    expect(stepOf('untouched').canUndo).toBe(false);
    expect(stepOf('without').canUndo).toBe(false);
    run.intend({ type: 'abort' });
    await run.finished;
  });

  test('that fails makes the run a failed one, whatever comes after', async () => {
    const { run, begin, until, stepOf } = tinyRun([
      step(
        'careful',
        undoable(() => {
          throw new Error('the safety copy cannot be read');
        }),
      ),
    ]);
    await begin();
    await until('careful', 'deciding');
    run.intend({ type: 'undo', steps: ['careful'], typed: 'acme-test' });
    await eventually('the undo failed', () => stepOf('careful').reason?.startsWith('THE UNDO FAILED'));
    run.intend({ type: 'skip', step: 'careful' });
    expect(await run.finished).toBe('failed');
  });
});

describe('abort', () => {
  const waiting = (probe: 'not-started' | 'partial' | 'done' | 'unknown') =>
    tinyKind('tiny.waiting', {
      run: (_p, _ctx, signal) =>
        stepEvents<TinyFacts>(async (emit) => {
          emit.facts({ ran: true });
          await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
        }),
      probe: async () => probe,
    });

  test.each([
    ['not-started', 'failed'],
    ['partial', 'unknown'],
    ['unknown', 'unknown'],
    ['done', 'succeeded'],
  ] as const)('of a step that runs asks reality: %s is written down as %s', async (probe, outcome) => {
    const { run, begin, until } = tinyRun([step('long', waiting(probe)), step('after', tinyKind('tiny'), ['long'])]);
    await begin();
    await until('long', 'running');
    run.intend({ type: 'abort' });
    expect(await run.finished).toBe('aborted');
    expect(outcomesIn(run)).toEqual({ long: outcome, after: 'skipped' });
  });

  test('before the beginning starts nothing', async () => {
    const { run, events } = tinyRun([step('one', tinyKind('tiny'))]);
    await run.preflight();
    run.intend({ type: 'abort' });
    expect(await run.finished).toBe('aborted');
    expect(events.some((event) => event.type === 'step.started')).toBe(false);
    run.intend({ type: 'begin' });
    expect(run.getSnapshot().phase).toBe('finished');
  });

  test('while a step waits for a confirmation does not run it', async () => {
    const { run, begin, until } = tinyRun([step('drop', tinyKind('tiny', { effect: 'destroy' }))]);
    await begin();
    await until('drop', 'asking');
    run.intend({ type: 'abort' });
    expect(await run.finished).toBe('aborted');
    expect(outcomesIn(run)).toEqual({ drop: 'skipped' });
  });

  test('during the preflight is final: the run does not come back to life when the preflight ends', async () => {
    const looked = gate();
    const slow = tinyKind('tiny.slow', {
      check: async () => {
        await looked.opened;
        return [];
      },
    });
    const { run, events } = tinyRun([step('slow', slow)]);
    const preflight = run.preflight();
    await eventually('the preflight has begun', () => events.some((event) => event.type === 'step.planned'));
    run.intend({ type: 'abort' });
    expect(await run.finished).toBe('aborted');
    looked.open();
    await preflight;
    expect(run.getSnapshot().phase).toBe('finished');
    expect(() => run.intend({ type: 'begin' })).not.toThrow();
    expect(run.getSnapshot().phase).toBe('finished');
  });
});

describe('the preflight', () => {
  const blocked = tinyKind('tiny.blocked', {
    check: async () => [{ level: 'blocking', message: 'the dump is not there', next: '--set <step>.dump=other' }],
  });

  test('stops a run without a person before anything, and names the step in what to type', async () => {
    const { run, toEnd, events, stepOf } = tinyRun([step('first', tinyKind('tiny')), step('second', blocked)], {
      onFailure: 'stop',
    });
    expect(await toEnd()).toBe('failed');
    expect(events.some((event) => event.type === 'step.started' || event.type === 'step.change')).toBe(false);
    expect(outcomesIn(run)).toEqual({ first: 'skipped', second: 'failed' });
    expect(stepOf('second').findings[0]?.next).toBe('--set second.dump=other');
  });

  test('a step that is blocked when its turn comes does not run', async () => {
    const { run, begin, until, events } = tinyRun([step('second', blocked)]);
    await begin();
    await until('second', 'deciding');
    expect(events.some((event) => event.type === 'step.started')).toBe(false);
    run.intend({ type: 'abort' });
    await run.finished;
  });

  test('a step that cannot be planned or checked is blocked, and the others are still looked at', async () => {
    const broken = tinyKind('tiny.broken', {
      plan: async () => {
        throw new Error('no plan');
      },
      check: async () => {
        throw new Error('no check');
      },
    });
    const { run, stepOf } = tinyRun([step('broken', broken), step('fine', tinyKind('tiny'))]);
    await run.preflight();
    expect(stepOf('broken').findings.map((finding) => finding.message)).toEqual([
      'it cannot be planned: no plan',
      'it cannot be checked: no check',
    ]);
    expect(stepOf('fine').plan?.summary).toBe('do tiny');
    run.intend({ type: 'abort' });
    await run.finished;
  });

  test('never gives plan and check an open gateway, not even in a live run', async () => {
    let acted = 0;
    const nosy = tinyKind('tiny.nosy', {
      check: async (_p, ctx) => {
        if (ctx.phase === 'preflight')
          await ctx.gateway.change({ channel: 'file', text: 'rm everything' }, async () => {
            acted += 1;
          });
        return [];
      },
    });
    const { run, stepOf } = tinyRun([step('nosy', nosy)]);
    await run.preflight();
    expect(acted).toBe(0);
    expect(stepOf('nosy').findings[0]?.message).toMatch(/a dry run changes nothing/);
    run.intend({ type: 'abort' });
    await run.finished;
  });

  test('says whether an earlier step starts a service', async () => {
    const asked: boolean[] = [];
    const asking = tinyKind('tiny.asking', {
      check: async (_p, ctx) => {
        if (ctx.phase === 'preflight') asked.push(ctx.startsEarlier('qdrant'));
        return [];
      },
    });
    const starting = { ...step('start', tinyKind('service.start')), params: { service: 'qdrant' } };
    const { run } = tinyRun([step('before', asking), starting, step('behind', asking)]);
    await run.preflight();
    expect(asked).toEqual([false, true]);
    run.intend({ type: 'abort' });
    await run.finished;
  });
});

describe('a dry run', () => {
  test('plans every step, runs none, and never opens the gateway', async () => {
    let acted = 0;
    const contexts: StepContext[] = [];
    const kind = tinyKind('tiny.writer', {
      plan: async (_p, ctx) => {
        contexts.push(ctx);
        return readingPlan('write', ['rm everything']);
      },
      run: () =>
        stepEvents<TinyFacts>(async () => {
          acted += 1;
        }),
    });
    const { run, toEnd, events } = tinyRun([step('a', kind), step('b', kind, ['a'])], { mode: 'dry-run' });
    await toEnd();
    expect(events.filter((event) => event.type === 'step.planned')).toHaveLength(2);
    expect(events.some((event) => event.type === 'step.started' || event.type === 'confirm.asked')).toBe(false);
    expect(outcomesIn(run)).toEqual({ a: 'simulated', b: 'simulated' });
    for (const ctx of contexts) {
      await expect(
        ctx.gateway.change({ channel: 'file', text: 'rm everything' }, async () => {
          acted += 1;
        }),
      ).rejects.toThrow(/a dry run changes nothing/);
    }
    expect(acted).toBe(0);
  });
});

describe('what a run tells', () => {
  test('a subscriber and a listener that throw break nothing', async () => {
    const { run, toEnd } = tinyRun([step('a', tinyKind('tiny')), step('b', tinyKind('tiny'), ['a'])]);
    run.subscribe(() => {
      throw new Error('a broken screen');
    });
    run.onEvent(() => {
      throw new Error('a broken printer');
    });
    expect(await toEnd()).toBe('recovered');
    expect(outcomesIn(run)).toEqual({ a: 'succeeded', b: 'succeeded' });
  });

  test('a snapshot that was published does not change afterwards', async () => {
    const { run, toEnd } = tinyRun([step('a', tinyKind('tiny'))]);
    await run.preflight();
    const planned = run.getSnapshot();
    const copy = structuredClone({ phase: planned.phase, steps: planned.steps, attention: planned.attention });
    await toEnd();
    expect({ phase: planned.phase, steps: planned.steps, attention: planned.attention }).toEqual(copy);
    expect(run.getSnapshot().phase).toBe('finished');
  });

  test('a change is in the journal before it is made', async () => {
    let seen = '';
    const { run, toEnd } = tinyRun([
      step(
        'writer',
        tinyKind('tiny', {
          run: (_p, ctx) =>
            stepEvents<TinyFacts>(async (emit) => {
              await ctx.gateway.change({ channel: 'sql', text: 'ANALYZE' }, async () => {
                seen = readFileSync(run.journalFile, 'utf8').trimEnd().split('\n').at(-1)!;
              });
              emit.facts({ ran: true });
            }),
        }),
      ),
    ]);
    expect(await toEnd()).toBe('recovered');
    expect(JSON.parse(seen)).toMatchObject({ type: 'step.change', step: 'writer', channel: 'sql', text: 'ANALYZE' });
  });

  test('no secret reaches the journal, the log of a step or a snapshot', async () => {
    const secret = 'hunter2-in-the-run';
    keepSecret(secret);
    const kind = tinyKind('tiny', {
      plan: async () => readingPlan(`connect with ${secret}`, [`psql postgres://u:${secret}@h/d`]),
      check: async () => [{ level: 'warning', message: `the password is ${secret}` }],
      run: () =>
        stepEvents<TinyFacts>(async (emit) => {
          emit.output(`using ${secret}`);
          emit.facts({ ran: true });
          throw new Error(`${secret} was refused`);
        }),
    });
    const { run, toEnd, stepOf } = tinyRun([step('leaky', kind)], { onFailure: 'stop' });
    await toEnd();
    expect(readFileSync(run.journalFile, 'utf8')).not.toContain(secret);
    expect(readFileSync(stepOf('leaky').logFile, 'utf8')).not.toContain(secret);
    expect(JSON.stringify(run.getSnapshot())).not.toContain(secret);
  });

  test('what is counted anew in a later phase, or at a retry, is told from where that began', async () => {
    const [restoring, retried] = [gate(), gate()];
    let attempts = 0;
    const kind = tinyKind('tiny.phases', {
      async *run() {
        attempts += 1;
        if (attempts === 2) await retried.opened;
        for (const done of [10, 900]) yield { type: 'progress', done, total: 900, unit: 'rows', text: 'reading' };
        for (const done of [3, 5]) yield { type: 'progress', done, total: 900, unit: 'rows', text: 'restoring' };
        await restoring.opened;
        throw new Error('it broke');
      },
    });
    const { run, begin, until, stepOf } = tinyRun([step('only', kind)]);
    await begin();
    const at = await eventually('it restores', () => {
      const { progress } = stepOf('only');
      return progress?.done === 5 ? progress.since.at : undefined;
    });
    expect(stepOf('only').progress!.since).toEqual({ at, done: 3 });
    expect(at).toBeGreaterThanOrEqual(stepOf('only').startedAt!);
    restoring.open();
    await until('only', 'deciding');
    run.intend({ type: 'retry', step: 'only' });
    await until('only', 'running');
    expect(stepOf('only').progress).toBeUndefined();
    retried.open();
    await until('only', 'deciding');
    run.intend({ type: 'abort' });
    await run.finished;
  });

  test('progress is in the journal at most once a second', async () => {
    const kind = tinyKind('tiny', {
      async *run() {
        for (let done = 0; done < 500; done += 1)
          yield { type: 'progress', done, total: 500, unit: 'rows', text: 'rows' };
        yield { type: 'facts', facts: { ran: true } };
      },
    });
    const { run, toEnd, events } = tinyRun([step('busy', kind)]);
    const began = Date.now();
    expect(await toEnd()).toBe('recovered');
    const told = events.filter((event) => event.type === 'step.progress').length;
    expect(told).toBeGreaterThan(0);
    expect(told).toBeLessThanOrEqual(1 + (Date.now() - began) / 1000);
    expect(run.getSnapshot().steps[0]?.progress?.done).toBe(499);
  });

  test('every line of a step is in its log, though a snapshot holds only the newest', async () => {
    const kind = tinyKind('tiny', {
      run: () =>
        stepEvents<TinyFacts>(async (emit) => {
          for (let index = 0; index < 20_000; index += 1) emit.output(`line ${index}`);
          emit.facts({ ran: true });
        }),
    });
    const { run, toEnd, stepOf } = tinyRun([step('chatty', kind)]);
    await toEnd();
    const lines = readFileSync(stepOf('chatty').logFile, 'utf8').trimEnd().split('\n');
    expect(lines.map((line) => line.split(' ').slice(1).join(' '))).toEqual(
      Array.from({ length: 20_000 }, (_, index) => `line ${index}`),
    );
    expect(run.getSnapshot().log.length).toBeLessThanOrEqual(500);
  });

  test('a step that has nothing to do here is skipped, and those that need it go on', async () => {
    const idle = tinyKind('tiny.idle', {
      plan: async () => readingPlan('nothing', [], { notApplicable: 'this cluster has no such thing' }),
    });
    const { run, toEnd, stepOf } = tinyRun([step('idle', idle), step('after', tinyKind('tiny'), ['idle'])]);
    expect(await toEnd()).toBe('recovered-with-exceptions');
    expect(outcomesIn(run)).toEqual({ idle: 'skipped', after: 'succeeded' });
    expect(stepOf('idle').reason).toBe('this cluster has no such thing');
  });

  test('a note is in the journal with who wrote it', async () => {
    const { run } = tinyRun([step('a', tinyKind('tiny'))]);
    await run.preflight();
    run.intend({ type: 'note', text: 'the disk was replaced at 3' });
    run.intend({ type: 'begin' });
    await run.finished;
    expect(readJournal(run.journalFile).events.filter((event) => event.type === 'note')).toMatchObject([
      { text: 'the disk was replaced at 3', who: run.operator },
    ]);
  });

  test('what is asked of a finished run, or of a step that does not exist, changes nothing', async () => {
    const { run, toEnd } = tinyRun([step('a', tinyKind('tiny'))]);
    await toEnd();
    const before = readFileSync(run.journalFile, 'utf8');
    run.intend({ type: 'note', text: 'too late' });
    run.intend({ type: 'abort' });
    run.intend({ type: 'retry', step: 'a' });
    run.intend({ type: 'skip', step: 'nowhere' });
    expect(readFileSync(run.journalFile, 'utf8')).toBe(before);
    expect(run.getSnapshot().outcome).toBe('recovered');
  });
});
