import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { changedTrainings, keepTraining, trainings } from '../../../src/engine/training/record.js';
import { flawlessLesson } from '../../support/taken-lesson.js';
import { tempFolder } from '../../support/temp.js';

beforeEach(() => {
  process.env.NOVAMEM_RUNBOOK_HOME = tempFolder('home');
});

test('a record is read as it was kept', () => {
  keepTraining(flawlessLesson);
  expect(trainings('ana')).toEqual([flawlessLesson]);
  expect(trainings('bob')).toEqual([]);
  expect(changedTrainings()).toEqual([]);
});

test('one that was changed by hand does not count, and is named', () => {
  const file = join(keepTraining({ ...flawlessLesson, score: { parts: [], total: 12 } }), 'training.json');
  writeFileSync(file, readFileSync(file, 'utf8').replace('"total": 12', '"total": 99'));
  expect(trainings('ana')).toEqual([]);
  expect(changedTrainings()).toEqual([`${file} was changed since it was written, and does not count`]);
});

test('one that was left is kept until the same one is taken to its end', () => {
  const { score: _, loss: __, ...unfinished } = flawlessLesson;
  keepTraining({ ...unfinished, leftAt: 5 });
  expect(trainings('ana')).toMatchObject([{ leftAt: 5 }]);
  keepTraining(flawlessLesson);
  expect(trainings('ana')).toEqual([flawlessLesson]);
});
