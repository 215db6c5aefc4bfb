import { afterEach, expect, test } from 'vitest';
import { DIFFERENCES } from '../../src/engine/differences.js';
import type { School } from '../../src/engine/training/school.js';
import { Training } from '../../src/engine/training/training.js';
import { Problem } from '../../src/problem.js';
import { knownTo, lessons } from '../../src/sandbox/lessons.js';
import { PredictView, Revealed } from '../../src/screens/lessons/predict-view.js';
import { TrainApp } from '../../src/screens/lessons/train-app.js';
import { KEYS, type TestScreen, testScreen } from '../support/screen.js';

const all = lessons(knownTo(DIFFERENCES)).lessons;
const first = all.find(({ level }) => level === 'first')!;

let screen: TestScreen;
afterEach(() => screen.close());

/** A school whose classroom cannot be made; `closed` counts how often one was taken down. */
function school(): School & { closed: number } {
  const made: School & { closed: number } = {
    closed: 0,
    trainee: 'ana',
    lessons: all,
    faulty: ['mine.yaml:3:1: unknown key "tittle"'],
    standingIn: () => 'never taken',
    progress: () => ['ana: 2 lessons taken'],
    take: (lesson) =>
      new Training(lesson, 'ana', {
        open: async () => {
          throw new Problem('There is no Postgres here.', { next: 'install it' });
        },
        strike: async () => {
          throw new Error('it was never opened');
        },
        predicted() {},
        remember: async () => {
          throw new Error('it was never opened');
        },
        close: async () => {
          made.closed += 1;
        },
      }),
  };
  return made;
}

/** The end of what is told before a lesson. */
const END = /and\s+hurt\./;

const shown = (of = school(), size = { columns: 80, rows: 24 }) => {
  screen = testScreen(<TrainApp school={of} />, size);
  return screen;
};

test('the list gives no cause away, names the faulty lesson of one’s own, and shows what was done so far', async () => {
  const listed = await shown(school(), { columns: 100, rows: 40 }).shows('enter take it');
  for (const { title, disaster } of all) {
    expect(listed).toContain(title);
    expect(listed).not.toContain(disaster);
  }
  expect(listed).toContain('mine.yaml:3:1: unknown key "tittle"');
  screen.press('h');
  await screen.shows('ana: 2 lessons taken');
});

test('a lesson for which there is no cluster says why, what to do, and leads back to the list', async () => {
  const of = school();
  await shown(of).shows('enter take it');
  screen.press(KEYS.enter);
  expect(await screen.shows('enter start')).toContain(first.title);
  screen.press(KEYS.enter);
  expect(await screen.shows('could not be prepared')).toMatch(/There is no Postgres here\.[\s\S]*Next: install it/);
  expect(of.closed).toBe(1);
  screen.press(KEYS.escape);
  await screen.shows('enter take it');
});

test.each([
  { columns: 80, rows: 24 },
  { columns: 60, rows: 16 },
])('what a lesson asks of one can be read to its end in $columns×$rows', async (size) => {
  await shown(school(), size).shows('enter take it');
  screen.press(KEYS.enter);
  await screen.shows('enter start');
  for (let page = 0; page < 10 && !END.test(screen.text()); page += 1) {
    screen.press('\u001b[6~');
    await screen.shows(/./);
  }
  await screen.shows(END);
});

test('a prediction is answered by its option, and told with its reason', async () => {
  let given = '';
  screen = testScreen(
    <PredictView ask="Which first?" options={['this', 'that']} onAnswer={(one) => (given = one)} onBack={() => {}} />,
  );
  await screen.shows('❯ this');
  screen.press(KEYS.down);
  await screen.shows('❯ that');
  screen.press(KEYS.enter);
  await expect.poll(() => given).toBe('that');
  screen.close();
  screen = testScreen(
    <Revealed ask="Which first?" given="that" answer="this" because="It is so." onGoOn={() => {}} />,
  );
  expect(await screen.shows('It is so.')).toMatch(/✗ you said: that[\s\S]*it is: this/);
});

test('keys that arrive together each go to the view that the one before has led to', async () => {
  await shown().shows('enter take it');
  screen.press(`${KEYS.down}${KEYS.enter}${KEYS.escape}${KEYS.down}${KEYS.enter}`);
  const third = all[2]!.title;
  expect(await screen.shows('enter start')).not.toContain(first.title);
  await screen.shows(new RegExp(`${third}[\\s\\S]*enter start`));
});
