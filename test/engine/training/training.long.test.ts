import { existsSync } from 'node:fs';
import { afterEach, expect, test } from 'vitest';
import { DIFFERENCES } from '../../../src/engine/differences.js';
import { trainingFolder, trainings } from '../../../src/engine/training/record.js';
import { isPassed } from '../../../src/engine/training/score.js';
import { Training } from '../../../src/engine/training/training.js';
import { loadRunbook } from '../../../src/runbook/library.js';
import { Classroom } from '../../../src/sandbox/classroom.js';
import { findLesson, knownTo } from '../../../src/sandbox/lessons.js';
import { listRecords } from '../../../src/sandbox/registry.js';
import { tempFolder } from '../../support/temp.js';

process.env.NOVAMEM_RUNBOOK_HOME = tempFolder('home');

let training: Training;
afterEach(() => training.close());

/** A lesson on a real cluster of its own; `shell` is its shell. */
function lesson(id: string) {
  const of = findLesson(id, knownTo(DIFFERENCES));
  const classroom = new Classroom(of.disaster);
  training = new Training(of, 'ana', classroom);
  return { of, shell: (command: string) => classroom.shell(command) };
}

/** As somebody predicts who is right in everything. */
const predictRight = () => {
  for (const { id, answer } of training.lesson.predict) training.predict(id, answer);
};

const phase = () => training.getSnapshot().phase;
const clusters = () => listRecords().filter(({ name }) => name.startsWith('lesson-'));

test('what is done with the program in the shell is part of the lesson, and so is what it costs', async () => {
  const { of, shell } = lesson('first-night');
  await training.start();
  predictRight();
  await shell('novamem-runbook run whole-cluster-lost --headless --confirm "$CLUSTER" --profile "$CLUSTER"');
  await training.finish('recovered');
  const { record } = training.getSnapshot();
  expect(record!.runs).toMatchObject([{ scenario: 'whole-cluster-lost', outcome: 'recovered', isRepair: true }]);
  expect(record!.loss).toMatchObject({ memories: 3, vectors: 0, nodes: 0, rows: 0 });
  expect(record!.wrongWayCost).toBe(of.wrong.costs);
  expect(record!.unsafe.map(({ what }) => what)).toEqual(['began whole-cluster-lost']);
  expect(record!.predictions.slice(of.predict.length).map(({ id, given }) => [id, given])).toEqual([
    ['whole-cluster-lost.restore-postgres', null],
    ['whole-cluster-lost.restore-qdrant', null],
    ['whole-cluster-lost.restore-falkordb', null],
  ]);
  expect(record!.recoveredAt).toBeNull();
  expect(isPassed(record!)).toBe(false);
  expect(trainings('ana').map((one) => one.id)).toEqual([record!.id]);
}, 240_000);

test('to look at the prediction of a step changes nothing; nothing is written before the lesson is over', async () => {
  lesson('first-night');
  await training.start();
  predictRight();
  const recorded = () => training.getSnapshot().record!;
  const before = recorded().predictions.length;
  const step = loadRunbook('qdrant-lost').steps.find(({ teach }) => teach?.predict)!;
  const asked = training.predictionAt('qdrant-lost', step)!;
  expect(asked).toMatchObject({ given: null, answer: step.teach!.predict!.answer });
  expect(training.predictionAt('qdrant-lost', step)).toEqual(asked);
  training.noteShell();
  expect(recorded().predictions).toHaveLength(before);
  training.predictAt('qdrant-lost', step, asked.answer);
  training.predictAt('qdrant-lost', step, 'another answer, too late');
  expect(recorded().predictions.slice(before)).toMatchObject([{ id: asked.id, given: asked.answer }]);
  expect(existsSync(trainingFolder(recorded().id))).toBe(false);
}, 240_000);

test('what still cannot be read is no recovered cluster, whatever else is well', async () => {
  lesson('some-searches-fail');
  await training.start();
  training.noteShell();
  predictRight();
  training.noteShell();
  await training.finish('recovered');
  const { record } = training.getSnapshot();
  expect(record!.loss!.unread).toMatch(/invalid page/);
  expect(record!.checks.filter(({ ok }) => !ok)).toMatchObject([{ what: 'memories that can be read' }]);
  // A shell after the predictions is where it was decided to mend it by hand, and nothing came of it.
  expect(record!.decidedAt).toBe(record!.shells[1]);
  expect(record!.recoveredAt).toBeNull();
  expect(isPassed(record!)).toBe(false);
}, 240_000);

test('whoever leaves while it is counted has no marks, and is known to have left', async () => {
  lesson('first-night');
  await training.start();
  predictRight();
  const before = trainings('ana').length;
  training.hint();
  expect(trainings('ana').at(-1)).toMatchObject({ hints: [{ costs: 3 }], leftAt: expect.any(Number) });
  const counting = training.finish('given up');
  expect(phase()).toBe('proving');
  await Promise.all([training.close(), counting]);
  expect(training.getSnapshot().record!.score).toBeUndefined();
  expect(trainings('ana').slice(before)).toMatchObject([{ leftAt: expect.any(Number) }]);
  expect(trainings('ana').at(-1)!.score).toBeUndefined();
  expect(clusters()).toEqual([]);
}, 240_000);

test('whoever leaves while it is prepared leaves no cluster behind', async () => {
  lesson('first-night');
  void training.start();
  await training.close();
  expect(phase()).toBe('preparing');
  expect(clusters()).toEqual([]);
}, 240_000);
