import { describe, expect, test } from 'vitest';
import { DIFFERENCES } from '../../src/engine/differences.js';
import { lossWords } from '../../src/engine/training/score.js';
import { findDisaster } from '../../src/sandbox/disasters.js';
import { filesIn, findLesson, knownTo, LESSON_FOLDER } from '../../src/sandbox/lessons.js';
import { runProgram } from '../support/program.js';
import { tempFolder } from '../support/temp.js';

// Each lesson on a real cluster that is really broken: its right way leaves nothing to be wished for, its wrong one costs what it says.

const PATIENCE = 400_000;

const play = (lesson: string, way: 'right' | 'wrong') =>
  runProgram(['train', lesson, '--play', way], {
    environment: { NOVAMEM_RUNBOOK_HOME: tempFolder(`lesson-${way}`) },
    timeoutMs: PATIENCE,
  });

const lessons = filesIn(LESSON_FOLDER).map((file) => findLesson(file, knownTo(DIFFERENCES)));

describe.each(lessons.map((lesson) => [lesson.id, lesson] as const))('%s', (id, {
  disaster,
  right: rightWay,
  wrong,
}) => {
  const why = findDisaster(disaster as string).impossible?.();
  const told = (words: string, none: string) =>
    new RegExp(words === '' ? none : `^Missing afterwards, of \\d+ memories: ${words}\\.$`, 'm');
  test.skipIf(why)(
    `the right way has full marks, the wrong one costs ${lossWords(wrong.loses)}${why ? ` (not here: ${why})` : ''}`,
    { timeout: PATIENCE },
    async () => {
      const [right, hurt] = await Promise.all([play(id, 'right'), play(id, 'wrong')]);
      expect(right.exitCode, right.stdout.slice(-6_000) + right.stderr).toBe(0);
      expect(right.stdout).toContain('100 of 100: passed');
      expect(right.stdout).toMatch(told(lossWords(rightWay.loses), '^Nothing: all \\d+ memories are there'));
      expect(right.stdout).not.toContain('Left over');
      expect(hurt.exitCode, hurt.stdout.slice(-6_000) + hurt.stderr).toBe(0);
      expect(hurt.stdout).toMatch(/· \d?\d of 100: not passed/);
      // Everything was predicted rightly: the marks are for what was done.
      expect(hurt.stdout).toMatch(/^- Predicted +30 of 30 /m);
      expect(hurt.stdout).toMatch(/^- Recovered in time +0 of 10 /m);
      expect(hurt.stdout).toMatch(/^- Nothing lost that could be kept +1?\d of 30 /m);
      expect(hurt.stdout).toMatch(told(lossWords(wrong.loses), 'it loses something'));
      expect(hurt.stdout).toContain(wrong.costs);
    },
  );
});
