import { describe, expect, it } from 'vitest';
import type { CountedProgress } from '../../src/engine/counted.js';
import type { StepSnapshot } from '../../src/engine/snapshot.js';
import { planLines, progressLines, sideBySideLines, teachLines } from '../../src/screens/step-lines.js';
import { readingPlan } from '../../src/steps/step.js';

const STEP: StepSnapshot = {
  id: 'stop',
  uses: 'service.stop',
  why: 'writes would be lost',
  effect: 'write',
  needs: [],
  state: 'simulated',
  plan: readingPlan('Stop it', ['kill 1'], {
    wayBack: 'start it again',
    pointOfNoReturn: 'none',
    onAbort: 'stopped',
  }),
  findings: [],
  checks: [],
  safetyCopies: [],
  canUndo: false,
  undone: false,
  undoFailed: false,
  notChosen: false,
  logFile: '',
};

describe('what a step would do', () => {
  it('is told with its way back where it destroys; in a dry run for every step that changes anything', () => {
    expect(planLines(STEP, 80)).toEqual([
      'Why        writes would be lost',
      'On abort   stopped',
      'Will run   kill 1',
    ]);
    expect(planLines(STEP, 80, true)).toEqual([
      'Why        writes would be lost',
      'Destroys   nothing',
      'Way back   start it again',
      'No return  none',
      'On abort   stopped',
      'Would run  kill 1',
    ]);
  });

  it('is told as done where a resumed run has done it', () => {
    expect(planLines({ ...STEP, state: 'succeeded' }, 80).at(-1)).toBe('Has run    kill 1');
    expect(planLines({ ...STEP, state: 'waiting' }, 80).at(-1)).toBe('Will run   kill 1');
  });

  it('destroys nothing only where that was counted', () => {
    const destroys = { ...STEP, effect: 'destroy' as const };
    expect(planLines(destroys, 80)).toContain('Destroys   nothing: nothing is there');
    const lines = planLines({ ...destroys, plan: { ...STEP.plan!, uncounted: 'Qdrant does not answer' } }, 80, true);
    expect(lines.filter((line) => line.startsWith('Destroys'))).toEqual([
      'Destroys   not counted: Qdrant does not answer',
    ]);
  });

  it('says what a lesson asks and tells there in lines of their own', () => {
    const predict = {
      ask: 'Does /health stay green?',
      options: ['yes', 'no'],
      answer: 'yes',
      because: 'it asks no graph',
    };
    const taught = { ...STEP, teach: { predict, hints: ['search for something'] } };
    expect(planLines(taught, 80, true)).toEqual(planLines(STEP, 80, true));
    expect(teachLines(taught, 80)).toEqual([
      'Predict    Does /health stay green?',
      '           - yes',
      '           - no',
      'Answer     yes: it asks no graph',
      'Hint       search for something',
    ]);
  });
});

describe('how far a step is', () => {
  const after10s = (told: Omit<CountedProgress, 'since'>, since = { at: 0, done: 0 }) => {
    const progress = { ...told, since };
    const step: StepSnapshot = { ...STEP, state: 'running', startedAt: 0, progress };
    expect(sideBySideLines(step, 60, 10_000).slice(1, -1)).toHaveLength(progress.total ? 2 : 1);
    return progressLines(step, 60, 10_000).slice(2, -1);
  };

  it('is told with its rate and what is left, whatever is counted', () => {
    const filled = '████████████░░░░░░░░░░░░  50 %';
    expect(after10s({ done: 5_000, total: 10_000, unit: 'rows', text: 'x' })).toEqual([
      `${filled}  500 rows/s`,
      '5,000 rows of 10,000 rows',
      'left  about 10 s',
    ]);
    expect(after10s({ done: 2, total: 4, unit: 'items', text: 'x' })).toEqual([
      `${filled}  0.2/s`,
      '2 of 4',
      'left  about 10 s',
    ]);
    expect(after10s({ done: 10 * 1024, total: 20 * 1024, unit: 'bytes', text: 'x' })[0]).toBe(`${filled}  1.0 KiB/s`);
  });

  it('is told with the rate of what is counted now, not with the time of what was counted before it', () => {
    const restoring = { done: 5_000, total: 10_000, unit: 'rows', text: 'restoring' } as const;
    expect(after10s(restoring, { at: 8_000, done: 1_000 })).toEqual([
      '████████████░░░░░░░░░░░░  50 %  2,000 rows/s',
      '5,000 rows of 10,000 rows',
      'left  about 2.5 s',
    ]);
    const justBegun = progressLines(
      { ...STEP, state: 'running', startedAt: 0, progress: { ...restoring, since: { at: 9_500, done: 0 } } },
      60,
      10_000,
    );
    expect(justBegun.join(' ')).not.toMatch(/rows\/s|left/);
  });

  it('is told with its rate where nobody knows how much there is, and of waiting without one', () => {
    expect(after10s({ done: 12_345, unit: 'rows', text: 'x' })).toEqual(['12,345 rows  1,235 rows/s']);
    expect(after10s({ done: 10, unit: 'seconds', text: 'x' })).toEqual(['waited 10 s']);
  });
});
