import { describe, expect, it } from 'vitest';
import type { StepSnapshot } from '../../src/engine/snapshot.js';
import { planLines } from '../../src/screens/step-lines.js';
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

  it('destroys nothing only where that was counted', () => {
    const destroys = { ...STEP, effect: 'destroy' as const };
    expect(planLines(destroys, 80)).toContain('Destroys   nothing: nothing is there');
    const lines = planLines({ ...destroys, plan: { ...STEP.plan!, uncounted: 'Qdrant does not answer' } }, 80, true);
    expect(lines.filter((line) => line.startsWith('Destroys'))).toEqual([
      'Destroys   not counted: Qdrant does not answer',
    ]);
  });

  it('is explained in a dry run with what a lesson asks and tells, and nowhere else', () => {
    const predict = {
      ask: 'Does /health stay green?',
      options: ['yes', 'no'],
      answer: 'yes',
      because: 'it asks no graph',
    };
    const taught = { ...STEP, teach: { predict, hints: ['search for something'] } };
    expect(planLines(taught, 80)).toEqual(planLines(STEP, 80));
    expect(planLines(taught, 80, true).slice(-5)).toEqual([
      'Predict    Does /health stay green?',
      '           - yes',
      '           - no',
      'Answer     yes: it asks no graph',
      'Hint       search for something',
    ]);
  });
});
