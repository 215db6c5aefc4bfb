import { describe, expect, test } from 'vitest';
import { expectedOf, timeAtWork } from '../../src/engine/estimates.js';
import type { StepTime } from '../../src/engine/past-times.js';
import { rtoClock } from '../../src/engine/rto-clock.js';
import type { RunSnapshot, StepSnapshot } from '../../src/engine/snapshot.js';
import { expectedText, takesText } from '../../src/reports/estimate-words.js';
import { reportOf } from '../../src/reports/run-report.js';
import { readingPlan, type StepPlan } from '../../src/steps/step.js';
import { stepEvents } from '../../src/steps/step-events.js';
import { gate, step, type TinyFacts, tinyKind, tinyRun } from '../support/tiny-run.js';

const AT = '2026-11-02T02:00:00.000Z';
const GIB = 1024 ** 3;
const measured = { run: 'run-1', mode: 'drill', at: AT, tookMs: 252_000 };

const planned = (id: string, estimateMs: number | undefined, more: Partial<StepPlan> = {}, needs: string[] = []) => ({
  id,
  needs,
  plan: readingPlan(id, [], { ...(estimateMs === undefined ? {} : { estimateMs }), ...more }),
  leftOut: false,
});

describe('a whole run', () => {
  test('is expected to take as long as the longest chain of what it will do', () => {
    const steps = [
      planned('stop', 1_000, { measured }),
      planned('long', 10_000, { measured }, ['stop']),
      planned('short', 4_000, {}, ['stop']),
      planned('nothing to do', 90_000, { notApplicable: 'there is none' }, ['long']),
      { ...planned('other way', 90_000, {}, ['stop']), leftOut: true },
      planned('end', undefined, {}, ['long', 'short', 'nothing to do']),
    ];
    expect(expectedOf(steps)).toEqual({ ms: 11_000, steps: 4, measured: 2 });
    expect(expectedText(expectedOf(steps))).toBe('about 11 s (2 steps never measured)');
  });

  test('whose steps were never done is a guess, and one of which nothing is known is not spoken of', () => {
    expect(expectedText(expectedOf([planned('one', 2_000)]))).toBe('roughly 2.0 s, a guess');
    expect(expectedText(expectedOf([planned('one', 2_000, { measured })]))).toBe('about 2.0 s, by earlier runs');
    expect(expectedText(expectedOf([planned('one', undefined)]))).toBe('');
  });

  test('is at work while any of its steps is, counted once', () => {
    const spans = [{ startedAt: 100, finishedAt: 200 }, { startedAt: 150, finishedAt: 180 }, {}, { startedAt: 190 }];
    expect(timeAtWork(spans, 300)).toBe(200);
    expect(timeAtWork([...spans, { startedAt: 1_000, finishedAt: 1_100 }], 300)).toBe(300);
    expect(timeAtWork([], 300)).toBe(0);
  });
});

describe('its clock', () => {
  const at = (steps: Partial<StepSnapshot>[], expected: RunSnapshot['expected'], now: number) =>
    rtoClock({ startedAt: 0, steps, expected } as RunSnapshot, now);
  const known = { ms: 20_000, steps: 1, measured: 1 };

  test('does not call a run late for the time in which a person was waited for', () => {
    expect(at([], known, 60_000)).toEqual({ elapsed: 60_000, expected: 80_000, guessed: false, late: 0 });
    expect(at([{ startedAt: 60_000 }], known, 70_000)).toMatchObject({ expected: 80_000, late: 0 });
    expect(at([{ startedAt: 60_000, finishedAt: 70_000 }], known, 90_000)).toMatchObject({
      expected: 100_000,
      late: 0,
    });
  });

  test('says by how much it is late, unless that would be held against a guess', () => {
    expect(at([{ startedAt: 60_000 }], known, 85_000)).toMatchObject({
      elapsed: 85_000,
      expected: 80_000,
      late: 5_000,
    });
    const guess = { ...known, measured: 0 };
    expect(at([{ startedAt: 60_000 }], guess, 85_000)).toMatchObject({ guessed: true, late: 0 });
    expect(at([], { ms: 0, steps: 1, measured: 0 }, 85_000)).not.toHaveProperty('expected');
  });
});

describe('where an estimate comes from', () => {
  const says = (more: Partial<StepPlan>) => takesText(readingPlan('move', [], { estimateMs: 252_000, ...more }));

  test('is said with it', () => {
    const then = { ...measured, work: { amount: 61 * GIB, unit: 'bytes' as const } };
    expect(says({ measured: then })).toBe('4 min 12 s in the drill of 2026-11-02, for 61.0 GiB');
    expect(says({ measured: then, estimateMs: 504_000, work: { amount: 122 * GIB, unit: 'bytes' } })).toBe(
      'about 8 min 24 s for 122 GiB; it was 4 min 12 s in the drill of 2026-11-02, for 61.0 GiB',
    );
    expect(says({ measured: { ...measured, mode: 'live', cluster: 'practice' } })).toBe(
      '4 min 12 s in the run of 2026-11-02 on practice',
    );
  });

  test('a guess is said to be one', () => {
    expect(says({})).toBe('roughly 4 min 12 s, a guess: no comparable run is on record');
    expect(takesText(readingPlan('move', []))).toBeUndefined();
  });
});

test('a run takes its estimates from earlier times, and its journal and report say so', async () => {
  const times: StepTime[] = [{ step: 'slow', uses: 'tiny.slow', cluster: 'acme-test', ...measured }];
  const { opened, open } = gate();
  const slow = tinyKind('tiny.slow', {
    run: () =>
      stepEvents<TinyFacts>(async (emit) => {
        await opened;
        emit.facts({ ran: true });
      }),
  });
  const tiny = tinyRun([step('slow', slow), step('new', tinyKind('tiny.new'), ['slow'])], { times });
  await tiny.begin();
  const { expected } = await tiny.until('slow', 'running');
  expect(expected).toEqual({ ms: 252_000, steps: 2, measured: 1 });
  open();
  await tiny.run.finished;
  const plans = tiny.events.flatMap((event) =>
    event.type === 'step.planned' && event.step === 'slow' ? event.plan : [],
  );
  expect(plans.at(-1)).toMatchObject({ estimateMs: 252_000, measured });
  const report = reportOf(tiny.events);
  expect(report.expected).toEqual(expected);
  expect(report.workMs).toBeLessThanOrEqual(report.finished!.rtoMs);
});
