import { afterEach, beforeAll, expect, test } from 'vitest';
import { DIFFERENCES } from '../../src/engine/differences.js';
import type { School } from '../../src/engine/training/school.js';
import { type Stage, Training } from '../../src/engine/training/training.js';
import { driverFor } from '../../src/hosts/services/drivers.js';
import type { RunbookStep } from '../../src/runbook/runbook.js';
import { findLesson, knownTo, lessons } from '../../src/sandbox/lessons.js';
import { remember } from '../../src/sandbox/remember.js';
import { TrainApp } from '../../src/screens/lessons/train-app.js';
import { stepEvents } from '../../src/steps/step-events.js';
import { eventually } from '../support/eventually.js';
import { open, type RealCluster, realCluster } from '../support/sandbox.js';
import { KEYS, type TestScreen, testScreen } from '../support/screen.js';
import { gate, step, type TinyFacts, tinyKind, tinyRun } from '../support/tiny-run.js';

// A lesson on its screens, on a real cluster that is made once: each test really stops its Qdrant, and it is started again afterwards.

const CTRL_T = '\u0014';
const known = knownTo(DIFFERENCES);
const first = findLesson('first-night', known);

let real: RealCluster;
let screen: TestScreen;
let training: Training | undefined;
const qdrant = () => driverFor('qdrant', real.cluster.profile.services.qdrant!);

beforeAll(async () => {
  real = await realCluster();
});

afterEach(async () => {
  screen.close();
  await training?.close();
  training = undefined;
  await qdrant().start(open, { onLine: () => {} });
  await eventually('Qdrant answers', async () => (await real.cluster.answering('qdrant')).answers);
});

const stage = (): Stage => ({
  open: async () => real.cluster.profile,
  async strike(_takeBackup, onPrepared) {
    await onPrepared();
    await qdrant().stop(open, { onLine: () => {} });
    return {
      id: 'some',
      title: 'Qdrant is down',
      did: ['Qdrant was stopped'],
      pager: 'it is red',
      users: 'nothing is found',
    };
  },
  predicted() {},
  remember: () => remember(real.cluster.profile, ['what is written in the end']),
  close: async () => {},
});

const school = (): School => ({
  trainee: 'ana',
  lessons: lessons(known).lessons,
  faulty: [],
  standingIn: () => 'never taken',
  progress: () => [],
  take(lesson) {
    training = new Training(lesson, 'ana', stage());
    return training;
  },
});

/** The lesson from its beginning to the page. */
async function paged(size = { columns: 80, rows: 24 }): Promise<string> {
  screen = testScreen(<TrainApp school={school()} first={first} />, size);
  await screen.shows('enter start');
  screen.press(KEYS.enter);
  return screen.shows('The pager');
}

/** The same, and on to the tools. */
async function recovering(): Promise<void> {
  await paged();
  for (const { id, answer } of first.predict) training!.predict(id, answer);
  await screen.shows('What happened?');
}

/** A run that is as harmless as no runbook is, on the lesson's own desk; it asks for the cluster's name. */
async function asking(more: Partial<RunbookStep> = {}): Promise<void> {
  const wipes = { ...step('wipes', tinyKind('tiny.wipes', { effect: 'destroy' })), ...more };
  void training!.desk!.show(async () => tinyRun([wipes], { mode: 'train', cluster: real.cluster }).run);
  await screen.shows('enter begin');
  screen.press(KEYS.enter);
}

test('the page says what the pager, the users and the stores say, and not what it means; a hint and the help lead back to it', async () => {
  const page = await paged();
  expect(page).toMatch(/it is red[\s\S]*nothing is found/);
  expect(page).not.toContain('qdrant-lost');
  screen.press('?');
  await screen.shows('any key: back');
  screen.press('x');
  await screen.shows('enter predict');
  screen.press(CTRL_T);
  await screen.shows('A nudge costs 3');
  screen.press(KEYS.enter);
  const given = await screen.shows('A nudge (-3)');
  expect(given.replace(/\s+/g, ' ')).toContain(first.hints[0]);
  screen.press(KEYS.enter);
  await screen.shows('enter predict');
});

test('what was chosen among the predictions is chosen still after a hint and the help', async () => {
  await paged();
  screen.press(KEYS.enter);
  const { options } = training!.getSnapshot().asked!;
  const second = await screen.shows('prediction 1 of 3').then(() => options[1]!);
  screen.press(KEYS.down);
  await screen.shows(new RegExp(`❯ [^\\n]*${second}`));
  screen.press(CTRL_T);
  await screen.shows('A nudge costs 3');
  // An arrow that is meant for the hint moves nothing behind it.
  screen.press(KEYS.down);
  screen.press('?');
  await screen.shows('any key: back');
  screen.press('x');
  await screen.shows('A nudge costs 3');
  screen.press(KEYS.escape);
  await screen.shows(new RegExp(`❯ [^\\n]*${second}`));
  expect(training!.getSnapshot().record!.hints).toEqual([]);
});

test('a name that was typed by half is there after a hint, and goes on', async () => {
  await recovering();
  await asking();
  const { name } = real.cluster;
  await screen.shows('Type the cluster');
  screen.press(name.slice(0, 5));
  await screen.shows(`: ${name.slice(0, 5)}`);
  screen.press(CTRL_T);
  await screen.shows('A nudge costs 3');
  screen.press('zz');
  screen.press(KEYS.escape);
  await screen.shows(new RegExp(`: ${name.slice(0, 5)} *$`, 'm'));
  screen.press(`${name.slice(5)}${KEYS.enter}`);
  await screen.shows('esc runbooks');
});

test('a name that was typed by half to put something back is there after a hint', async () => {
  await recovering();
  const kind = tinyKind('tiny.half', {
    run: () =>
      stepEvents<TinyFacts>(async (emit) => {
        emit.facts({ ran: true });
        throw new Error('the disk is full');
      }),
    undo: () => stepEvents<TinyFacts>(async () => {}),
    planUndo: async () => ({ putsBack: 'what was there before', replaces: [] }),
  });
  void training!.desk!.show(async () => tinyRun([step('half', kind)], { mode: 'train', cluster: real.cluster }).run);
  await screen.shows('enter begin');
  screen.press(KEYS.enter);
  await screen.shows('r retry');
  screen.press('u');
  const { name } = real.cluster;
  await screen.shows('Type the cluster');
  screen.press(name.slice(0, 5));
  await screen.shows(`: ${name.slice(0, 5)}`);
  screen.press(CTRL_T);
  await screen.shows('A nudge costs 3');
  screen.press(KEYS.escape);
  await screen.shows(new RegExp(`: ${name.slice(0, 5)} *$`, 'm'));
});

test('why a prediction at a step was right or wrong is there after a hint', async () => {
  await recovering();
  const predict = { ask: 'Which first?', options: ['this', 'that'], answer: 'this', because: 'It is so.' };
  await asking({ teach: { predict, hints: [] } });
  await screen.shows('Which first?');
  screen.press('?');
  await screen.shows('any key: back');
  screen.press('x');
  await screen.shows('enter predict');
  screen.press(KEYS.enter);
  await screen.shows('It is so.');
  screen.press(CTRL_T);
  await screen.shows('A nudge costs 3');
  screen.press(KEYS.escape);
  await screen.shows('It is so.');
});

test('what a step has to teach is told once it is over, and not before', async () => {
  await recovering();
  const teaches = (id: string, ...more: Parameters<typeof tinyKind>) => ({
    ...step(id, tinyKind(...more)),
    teach: { hints: [`so much for ${id}`] },
  });
  const { opened, open: letOn } = gate();
  const works = teaches('works', 'tiny.works', { run: () => stepEvents(() => opened) });
  const steps = [teaches('looks', 'tiny.looks'), { ...works, needs: ['looks'] }];
  void training!.desk!.show(async () => tinyRun(steps, { mode: 'train', cluster: real.cluster }).run);
  await screen.shows('enter begin');
  screen.press(KEYS.enter);
  try {
    expect(await screen.shows('works')).not.toContain('so much for works');
    screen.press(KEYS.up);
    expect(await screen.shows('so much for looks')).not.toContain('so much for works');
  } finally {
    letOn();
  }
});

test('given up, it is counted and debriefed; space scrolls, and esc leads back to the lesson in the list', async () => {
  await recovering();
  screen.press('q');
  await screen.shows('not yet: go on');
  screen.press(KEYS.escape);
  await screen.shows('What happened?');
  screen.press('q');
  await screen.shows('not yet: go on');
  screen.press(KEYS.down + KEYS.down);
  await screen.shows('❯ I give up');
  screen.press(KEYS.enter);
  const debrief = await screen.shows('DEBRIEF');
  expect(debrief).toMatch(/not passed \(given up\)/);
  const more = /(\d+) more lines/.exec(debrief)![0];
  screen.press(' ');
  await screen.shows(new RegExp(`^(?![\\s\\S]*${more})`));
  screen.press(KEYS.escape);
  await screen.shows('enter take it');
  expect(await screen.shows('❯')).toMatch(new RegExp(`❯ ${first.title}`));
});
