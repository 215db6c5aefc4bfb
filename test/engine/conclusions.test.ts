import { dirname } from 'node:path';
import { describe, expect, test } from 'vitest';
import { findRun } from '../../src/engine/runs.js';
import { plainSummary } from '../../src/reports/plain.js';
import { obstaclesIn, reportOf } from '../../src/reports/run-report.js';
import type { RunbookStep } from '../../src/runbook/runbook.js';
import { operatorChoose } from '../../src/steps/operator/choose.js';
import type { AnyStepKind } from '../../src/steps/step.js';
import { step, type TinyRun, tinyKind, tinyRun } from '../support/tiny-run.js';

const concluding = (text: string, exception: boolean) =>
  tinyKind('tiny.concluding', { conclusion: (facts) => (facts.ran ? { text, exception } : undefined) });

const reportOfRun = ({ run }: TinyRun) => reportOf(findRun(dirname(run.journalFile)).events);

describe('what came of a step', () => {
  test('is on record with its end, and told at the end of the run', async () => {
    const tiny = tinyRun([step('look', concluding('12 rows found', false))]);
    expect(await tiny.toEnd()).toBe('recovered');
    const report = reportOfRun(tiny);
    expect(report.steps[0]).toMatchObject({ outcome: 'succeeded', reason: '12 rows found' });
    const lines = plainSummary(report, { journal: 'j', markdown: 'm', html: 'h' }, '', 80);
    expect(lines).toContain('  look: 12 rows found');
  });

  test('that is an exception makes the run one that recovered with exceptions, and no worse', async () => {
    const some = [step('look', concluding('fine', false)), step('lose', concluding('3 memories are lost', true))];
    expect(await tinyRun(some).toEnd()).toBe('recovered-with-exceptions');
    const failing = tinyKind('tiny.failing', { verify: async () => [] });
    const worse = tinyRun([...some, step('fail', failing)], { onFailure: 'stop' });
    expect(await worse.toEnd()).toBe('failed');
  });
});

describe('what would keep a run from going through', () => {
  const blocked = tinyKind('tiny.blocked', {
    check: async () => [{ level: 'blocking', message: 'cannot be', next: 'look' }],
  });
  const options = ['one', 'two'].map((choice) => ({ choice, title: choice, because: choice }));
  const choose: RunbookStep = {
    ...step('way', operatorChoose as unknown as AnyStepKind),
    params: operatorChoose.params.parse({ question: 'Which?', options }),
  };
  const way = (id: string, kind: AnyStepKind): RunbookStep => ({
    ...step(id, kind),
    needs: ['way'],
    only: { step: 'way', choices: [id] },
  });
  const obstacles = async (one: AnyStepKind, two: AnyStepKind) => {
    const tiny = tinyRun([choose, way('one', one), way('two', two)], { mode: 'dry-run' });
    await tiny.run.preflight();
    await tiny.run.finished;
    return obstaclesIn(reportOfRun(tiny)).length;
  };

  test('is nothing while one of the ways is open, and everything once all of them are closed', async () => {
    expect(await obstacles(blocked, tinyKind('tiny.open'))).toBe(0);
    expect(await obstacles(blocked, blocked)).toBe(2);
  });
});
