import { describe, expect, test } from 'vitest';
import type { TrainingRecord } from '../../src/engine/training/record.js';
import { certificate } from '../../src/reports/certificate.js';
import { debriefLines } from '../../src/reports/debrief.js';
import { progressLines, standingIn } from '../../src/reports/progress.js';
import type { Lesson } from '../../src/runbook/lesson.js';
import type { Loss } from '../../src/stores/loss.js';
import { flawlessLesson, lossOf } from '../support/taken-lesson.js';

const MINUTE = 60_000;

const debrief = (change: Partial<TrainingRecord> = {}) => debriefLines({ ...flawlessLesson, ...change }).join('\n');
const losing = (loss: Partial<Loss>, change: Partial<TrainingRecord> = {}) =>
  /## What was lost\n\n([\s\S]*?)\n\n## /.exec(debrief({ loss: lossOf(loss), ...change }))![1]!;

describe('what was lost', () => {
  test('nothing, where nothing differs', () => {
    expect(losing({})).toMatch(/^Nothing: all 600 memories/);
  });

  test('rows of other tables by their keys, never as nothing', () => {
    const tables = { user_tokens: { rows: 7, keys: ['t1', 't2'] }, settings: { rows: 1, keys: [] } };
    const said = losing({ rows: 8, tables });
    expect(said).toMatch(/^Missing afterwards, of 600 memories: 8 rows of other tables\.$/m);
    expect(said).toContain('- user_tokens: t1, t2 and 5 more');
    expect(said).toContain('- settings: 1 row');
    expect(said).toContain('Without need: 8 rows of other tables.');
    expect(said).not.toContain('Nothing');
  });

  test('what the better path loses as well, as far as it was lost', () => {
    const unavoidable = { ...lossOf(), memories: 3 };
    expect(losing({ memories: 2, examples: ['a', 'b'] }, { unavoidable })).toMatch(
      /2 memories\.\n\n- "a"\n- "b"\n\nThe better path loses that as well\.$/,
    );
    expect(losing({}, { unavoidable })).toMatch(/^Nothing/);
    expect(losing({ memories: 5 }, { unavoidable })).toContain(
      'Without need: 2 memories. The better path loses as well: 3 memories.',
    );
  });

  test('what is left over is no loss, and is said with what takes it away', () => {
    const said = losing({ leftOver: { vectors: 3, nodes: 1, doubles: 0 } });
    expect(said).toMatch(/^Nothing: all 600/);
    expect(said).toMatch(/^Left over: 3 vectors and 1 node of memories that are not there\./m);
    expect(said).toContain('(cross-check) deletes');
    expect(losing({ leftOver: { vectors: 0, nodes: 0, doubles: 2 } })).not.toContain('cross-check');
    const comeBack = losing({ memories: 3, leftOver: { vectors: 3, nodes: 3, doubles: 0 } });
    expect(comeBack).toContain('it is right to keep them');
    expect(comeBack).not.toContain('cross-check');
  });

  test('what could not be read is said beside what counts as missing by it', () => {
    expect(losing({ nodes: 600, silent: ['FalkorDB'] })).toContain(
      'What could not be read counts as missing: FalkorDB.',
    );
  });

  test('memories that cannot be read are neither lost nor kept', () => {
    expect(losing({ unread: 'invalid page' })).toBe('The memories cannot be read, so nobody knows: invalid page');
  });

  test('what the wrong way costs, to whoever has taken it', () => {
    expect(losing({ memories: 3 }, { wrongWayCost: 'They were nowhere else.' })).toContain('They were nowhere else.');
  });
});

test('the timeline has the clock of a run’s own report: from the opening of its plan', () => {
  const run = {
    ...{ id: 'r1', scenario: 'qdrant-lost', title: 'Qdrant lost', outcome: 'recovered', isRepair: true },
    ...{ openedAt: MINUTE, begunAt: 3 * MINUTE, endedAt: 5 * MINUTE, tookMs: 4 * MINUTE },
  };
  const said = debrief({ runs: [run] });
  expect(said).toContain('+1:00 qdrant-lost: its plan is opened (run r1)');
  expect(said).toContain('+3:00 qdrant-lost: it begins');
  expect(said).toContain('+5:00 qdrant-lost: recovered in 4 min 00 s');
});

describe('progress over time', () => {
  const taken = [
    flawlessLesson,
    { ...flawlessLesson, score: { parts: [], total: 40 }, recoveredAt: null },
    { ...flawlessLesson, score: { parts: [], total: 7 }, givenUp: true },
  ];

  test('is a chart with titles, and no line but a title’s is wider than 80 columns', () => {
    const lines = progressLines(taken, 'ana');
    expect(lines[0]).toBe('ana: taken 3 times, 1 lesson of the list');
    expect(lines.slice(2, 5)).toEqual([
      '1970-01-01  ██████████ 100  10 min 00 s  A lesson',
      '1970-01-01  ████░░░░░░  40  never        A lesson',
      '1970-01-01  █░░░░░░░░░   7  given up     A lesson',
    ]);
    expect(lines.at(-1)).toMatch(/^ {12}─{7}┴ 70 pass/);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThan(80);
  });

  test('one that was left has no marks, and the certificate says what was told in it', () => {
    const { score: _, loss: __, ...unfinished } = flawlessLesson;
    const left = { ...unfinished, leftAt: MINUTE, hints: [{ text: 'a', costs: 3, at: 0 }] };
    const all = [left, flawlessLesson];
    expect(progressLines(all, 'ana').slice(0, 3)).toEqual([
      'ana: taken once, left once, 1 lesson of the list',
      '',
      '1970-01-01               –  left, 1 hint  A lesson',
    ]);
    expect(standingIn({ id: 'a-lesson' }, [left])).toBe('left');
    expect(standingIn({ id: 'a-lesson' }, all)).toBe('100, passed (2nd)');
    const lesson = { ...flawlessLesson.lesson } as Lesson;
    expect(certificate([lesson], all, 'ana').join('\n')).toContain('| 100 | yes | 2nd (1 left, 1 hint before) |');
    expect(certificate([lesson], [left], 'ana').join('\n')).toContain('| no | – | never taken |');
  });

  test('the best of all times is how somebody stands in a lesson', () => {
    expect(standingIn({ id: 'a-lesson' }, taken)).toBe('100, passed');
    expect(standingIn({ id: 'a-lesson' }, taken.slice(1))).toBe('40, not passed');
    expect(standingIn({ id: 'another' }, taken)).toBe('never taken');
  });
});
