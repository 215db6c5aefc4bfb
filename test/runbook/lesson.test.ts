import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { DIFFERENCES } from '../../src/engine/differences.js';
import { ownRunbooks, readLesson } from '../../src/runbook/lesson.js';
import { scenarios } from '../../src/runbook/library.js';
import { DISASTERS, findDisaster } from '../../src/sandbox/disasters.js';
import { filesIn, knownTo, LESSON_FOLDER } from '../../src/sandbox/lessons.js';
import { tempFolder } from '../support/temp.js';

const known = knownTo(DIFFERENCES);

const LESSON = `title: Test
level: hard
minutes: 10
disaster: qdrant-lost
scene: It is night.
predict:
  - id: one
    ask: Which?
    options: [this, that]
    answer: this
    because: so
  - { id: two, ask: When?, options: [now, later], answer: later, because: so }
hints: [a, b, c]
right:
  path:
    - run: qdrant-lost
      set: { way: { answer: queue } }
wrong:
  path:
    - run: whole-cluster-lost
    - shell: echo lost
  loses: { memories: 3 }
  costs: Three memories.
unsafe:
  - when: { scenario: whole-cluster-lost }
    because: Postgres was well.
remember: [that]
`;

function read(text: string) {
  const file = join(tempFolder('lesson'), 'mine.yaml');
  writeFileSync(file, text);
  const { lesson, faults } = readLesson(file, known);
  return { lesson, faults: faults.map((fault) => `${fault.line}:${fault.column}: ${fault.message}`) };
}

test('a lesson has its file for an id, and loses nothing but what it says', () => {
  const { lesson, faults } = read(LESSON);
  expect(faults).toEqual([]);
  expect(lesson).toMatchObject({ id: 'mine', symptoms: {}, right: { loses: { memories: 0, nodes: 0 } } });
  expect(lesson?.wrong.loses).toMatchObject({ memories: 3, strange: 0 });
  expect(lesson?.wrong.path).toMatchObject([{ run: 'whole-cluster-lost', backup: 'latest' }, { shell: 'echo lost' }]);
});

test('one wrong answer is one fault', () => {
  expect(read(LESSON.replace('answer: queue', 'answer: pray')).faults).toHaveLength(1);
});

describe('a lesson with a disaster and a runbook of its own', () => {
  const RUNBOOK = 'title: Mine\nwhen: now\noutcome: well\nsteps:\n  - { id: look, uses: novamem.health, why: so }\n';
  const OWN = LESSON.replace(
    'disaster: qdrant-lost',
    'disaster: { title: A, before: [backup], shell: "true", did: [b], pager: c, users: d }',
  )
    .replace('run: qdrant-lost\n      set: { way: { answer: queue } }', 'run: my-book.yaml')
    .replace('{ scenario: whole-cluster-lost }', '{ scenario: my-book, skipped: look }');
  const beside = (runbook: string, text = OWN, name = 'my-book.yaml') => {
    const folder = tempFolder('own');
    writeFileSync(join(folder, 'mine.yaml'), text);
    writeFileSync(join(folder, name), runbook);
    const { lesson, faults } = readLesson(join(folder, 'mine.yaml'), known);
    return { folder, lesson, faults: faults.map((fault) => `${fault.line}:${fault.column}: ${fault.message}`) };
  };

  test('finds the runbook from wherever the program is started, and has another hash with another runbook', () => {
    const { folder, lesson, faults } = beside(RUNBOOK);
    expect(faults).toEqual([]);
    expect(ownRunbooks(lesson!)).toEqual([join(folder, 'my-book.yaml')]);
    expect(lesson).toMatchObject({
      disaster: { title: 'A', before: ['backup'] },
      unsafe: [{ when: { scenario: 'my-book' } }],
    });
    expect(beside(RUNBOOK.replace('now', 'then')).lesson!.hash).not.toBe(lesson!.hash);
  });

  test('is refused with the fault of the runbook, and where it is called as one of the program', () => {
    expect(beside(RUNBOOK.replace('uses: novamem.health', 'uses: luck')).faults).toEqual([
      expect.stringMatching(/^16:12: .*my-book\.yaml:5:.*unknown step kind/),
    ]);
    expect(beside(RUNBOOK, OWN.replace('run: my-book', 'run: drill'), 'drill.yaml').faults).toContainEqual(
      expect.stringMatching(/^16:12: the program has a runbook "drill" itself/),
    );
    expect(beside(RUNBOOK, OWN.replace('did: [b], ', '')).faults).toHaveLength(1);
  });
});

test('what only the shell of a lesson knows is not checked before', () => {
  const moved = (target: string) =>
    LESSON.replace(
      'run: qdrant-lost\n      set: { way: { answer: queue } }',
      `run: postgres-point-in-time\n      set: { point-in-time: { target: "${target}" } }`,
    );
  expect(read(moved('before $(echo 7)')).faults).toEqual([]);
  expect(read(moved('a while ago')).faults).toEqual([expect.stringMatching(/^17:12: .*no moment/)]);
});

describe('a faulty lesson is refused with line and column:', () => {
  test.each([
    ['an unknown key', 'scene:', 'seen:', '5:1: unknown key "seen"'],
    ['an unknown key in a move', 'shell: echo', 'shel: echo', '21:7: '],
    [
      'an unknown disaster',
      'disaster: qdrant-lost',
      'disaster: flood',
      '4:11: there is no disaster "flood"; known: ',
    ],
    ['an answer that is no option', 'answer: this', 'answer: these', '10:13: "these" is none of the options'],
    ['an id that is used twice', 'id: two', 'id: one', '12:11: the id "one" is used twice'],
    ['an unknown scenario', 'run: whole-cluster-lost', 'run: all-lost', '20:12: there is no scenario "all-lost"'],
    ['a step that its runbook does not have', '{ way: {', '{ weg: {', '17:12: '],
    ['a parameter that its step does not have', '{ answer: queue', '{ anser: queue', '17:12: '],
    ['an answer that its question does not have', 'answer: queue', 'answer: pray', '17:12: '],
    ['a backup that nobody knows', '- shell: echo lost', '- { run: drill, backup: best }', '21:'],
    [
      'an unsafe choice of an unknown scenario',
      '{ scenario: whole',
      '{ scenario: hole',
      '25:23: there is no scenario ',
    ],
    [
      'an unsafe answer of no step',
      '{ scenario: whole-cluster-lost }',
      '{ answer: { x: y } }',
      '25:11: none of its ',
    ],
    [
      'an unsafe choice without a condition',
      '{ scenario: whole-cluster-lost }',
      '{}',
      '25:11: at least one condition',
    ],
    [
      'a guard that there is not',
      '{ scenario: whole-cluster-lost }',
      '{ accepted: luck }',
      '25:23: one of cluster, ',
    ],
    [
      'an unsafe answer that its question does not have',
      '{ scenario: whole-cluster-lost }',
      '{ answer: { way: emty } }',
      '25:28: "way" cannot be answered with emty; its answers: ',
    ],
    [
      'an unsafe answer of a step that asks nothing',
      '{ scenario: whole-cluster-lost }',
      '{ answer: { stop-novamem: yes } }',
      '25:',
    ],
    ['a wrong way that costs nothing', 'loses: { memories: 3 }', 'loses: {}', '22:10: the wrong way loses nothing'],
    [
      'a wrong way that costs what the right one does',
      'answer: queue } }',
      'answer: queue } }\n  loses: { memories: 3 }',
      '23:10: the wrong way loses nothing',
    ],
    ['a runbook that is not beside it', 'run: whole-cluster-lost', 'run: absent.yaml', '20:12: Cannot read '],
    ['two hints', '[a, b, c]', '[a, b]', '13:8: '],
  ])('%s', (_what, good, bad, fault) => {
    expect(LESSON).toContain(good);
    const { lesson, faults } = read(LESSON.replace(good, bad));
    expect(lesson).toBeUndefined();
    expect(faults).toContainEqual(expect.stringContaining(fault));
  });
});

describe('the lessons that come with the program', () => {
  const all = filesIn(LESSON_FOLDER).map((file) => readLesson(file, known));
  const lessons = all.flatMap(({ lesson }) => (lesson ? [lesson] : []));

  test('are valid, every one', () => {
    expect(all.flatMap(({ faults }) => faults)).toEqual([]);
  });

  test('answer each scenario of the handbook, and each disaster', () => {
    const handbook = lessons.filter(({ level }) => level !== 'hard');
    expect(handbook.map(({ disaster }) => findDisaster(disaster as string).scenario).sort()).toEqual(
      scenarios()
        .filter((scenario) => !['cross-check', 'backup', 'drill'].includes(scenario))
        .sort(),
    );
    expect(lessons.map(({ disaster }) => disaster).sort()).toEqual(DISASTERS.map(({ id }) => id).sort());
  });

  test('do not give the cause away by their names', () => {
    const causes = [...scenarios(), ...DISASTERS.map(({ id }) => id)];
    expect(lessons.filter(({ id }) => causes.includes(id))).toEqual([]);
  });
});
