import { once } from 'node:events';
import { afterEach, describe, expect, test } from 'vitest';
import { ClusterLock } from '../../src/engine/cluster-lock.js';
import { bringsBack } from '../../src/engine/rto-clock.js';
import { RunScreen } from '../../src/screens/run-screen.js';
import { operatorChoose } from '../../src/steps/operator/choose.js';
import { type AnyStepKind, readingPlan } from '../../src/steps/step.js';
import { stepEvents } from '../../src/steps/step-events.js';
import { KEYS, type TestScreen, testScreen } from '../support/screen.js';
import { tempFolder } from '../support/temp.js';
import { gate, laterUndo, step, type TinyFacts, type TinyRun, tinyKind, tinyRun } from '../support/tiny-run.js';

const BACKUP = { id: 'a-set', takenAt: null, kind: 'manifest' as const, unproven: [] };

let screen: TestScreen;
afterEach(() => screen.close());

function shown({ run }: Pick<TinyRun, 'run'>, size?: { columns: number; rows: number }): TestScreen {
  const never = () => {
    throw new Error('it was not asked for');
  };
  screen = testScreen(<RunScreen run={run} onBack={never} onUndo={never} onQuit={never} />, size);
  return screen;
}

test('a run that was kept out begins with enter once the other one is over, whatever is blocked', async () => {
  const locks = [tempFolder('locks')];
  const request = { cluster: 'acme-test', run: 'another', operator: 'somebody', folders: locks, takeOver: false };
  const other = await ClusterLock.take(request);
  const blocked = tinyKind('tiny.blocked', {
    check: async () => [{ level: 'blocking', message: 'no dump', next: 'find it' }],
  });
  const tiny = tinyRun([step('only', blocked)], { lockFolders: locks });
  await tiny.run.preflight();
  shown(tiny);
  await screen.shows('b begin all the same');
  screen.press('b');
  await screen.shows('enter try again');
  await other.release();
  screen.press(KEYS.enter);
  await tiny.until('only', 'deciding');
  tiny.run.intend({ type: 'abort' });
  expect(await tiny.run.finished).toBe('aborted');
});

test.each([
  ['', 'This run has nothing that can be put back.', false],
  ['what was there before', 'put it back', true],
])('the keys of an undo that puts %j back promise what can be done', async (putsBack, said, possible) => {
  const undoable = [
    step(
      'only',
      tinyKind('tiny.undoable', {
        undo: () => stepEvents<TinyFacts>(async () => {}),
        planUndo: async () => ({ putsBack, replaces: [] }),
      }),
    ),
  ];
  const tiny = tinyRun(undoable);
  await tiny.toEnd();
  const { run } = await laterUndo(tiny, undoable);
  shown({ run });
  const text = await screen.shows(said);
  expect(text.includes('enter put back')).toBe(possible);
  run.intend({ type: 'abort' });
  await run.finished;
});

describe('a question that is shown', () => {
  const asks = tinyKind('tiny.asks', { effect: 'destroy' });

  /** A step that fails once it is told to. */
  function failing() {
    const { opened, open } = gate();
    const fail = async () => {
      await opened;
      throw new Error('the disk is full');
    };
    return { kind: tinyKind('tiny.fails', { run: () => stepEvents<TinyFacts>(fail) }), fail: open };
  }

  async function end({ run }: TinyRun): Promise<void> {
    run.intend({ type: 'abort' });
    await run.finished;
  }

  test('stays while the name is typed, though the step that was looked at fails', async () => {
    const { kind, fail } = failing();
    const tiny = tinyRun([step('works', kind), step('wipes', asks)]);
    await tiny.begin();
    await tiny.until('wipes', 'asking');
    shown(tiny);
    await screen.shows('Type the cluster');
    screen.press(KEYS.escape);
    await screen.shows('c answer (1)');
    screen.press('c');
    await screen.shows('to go on:');
    screen.press('acme-te');
    await screen.shows('to go on: acme-te');
    fail();
    await tiny.until('works', 'deciding');
    await screen.shows('question 1 of 2: wipes');
    screen.press('s');
    await screen.shows('to go on: acme-tes');
    screen.press(`t${KEYS.enter}`);
    await tiny.until('wipes', 'succeeded');
    await screen.shows('r retry');
    await end(tiny);
  });

  test('stays when the one that was answered before it comes back as a failure', async () => {
    const { kind, fail } = failing();
    const tiny = tinyRun([step('first', { ...kind, effect: 'destroy' }), step('second', asks)]);
    await tiny.begin();
    await tiny.until('second', 'asking');
    shown(tiny);
    await screen.shows(/question 1 of 2: first/);
    screen.press(KEYS.escape);
    await screen.shows('c answer (2)');
    screen.press('c');
    await screen.shows(/question 1 of 2: first/);
    screen.press(`acme-test${KEYS.enter}`);
    await screen.shows(/question 2 of 2: second/);
    screen.press('acme-te');
    await screen.shows('to go on: acme-te');
    fail();
    await tiny.until('first', 'deciding');
    screen.press('s');
    await screen.shows('to go on: acme-tes');
    expect(tiny.stateOf('first')).toBe('deciding');
    await end(tiny);
  });
});

test('arrows that arrive together move as far as if each had been waited for', async () => {
  const undoable = ['one', 'two', 'three', 'four'].map((id) =>
    step(
      id,
      tinyKind(`tiny.${id}`, {
        undo: () => stepEvents<TinyFacts>(async () => {}),
        planUndo: async () => ({ putsBack: 'what was there before', replaces: [] }),
      }),
    ),
  );
  const tiny = tinyRun(undoable);
  await tiny.toEnd();
  const { run } = await laterUndo(tiny, undoable);
  shown({ run });
  await screen.shows(/>↶ all of it/);
  screen.press(KEYS.down.repeat(4));
  const [, last] = /↶ (\S+) +what was there before\n─/.exec(screen.text())!;
  await screen.shows(new RegExp(`>↶ ${last} `));
  run.intend({ type: 'abort' });
  await run.finished;
});

describe('what is asked while a run comes to its end', () => {
  async function endsWhile(key: string, asked: string, typed = ''): Promise<void> {
    const { opened, open } = gate();
    const slow = tinyKind('tiny.slow', {
      run: () =>
        stepEvents<TinyFacts>(async (emit) => {
          await opened;
          emit.facts({ ran: true });
        }),
    });
    const tiny = tinyRun([step('only', slow)]);
    await tiny.begin();
    await tiny.until('only', 'running');
    shown(tiny);
    await screen.shows('? help');
    screen.press(key);
    await screen.shows(asked);
    screen.press(typed);
    await screen.shows(typed);
    open();
    expect(await tiny.run.finished).toBe('recovered');
  }

  test('is no more whether to stop it: its report is shown', async () => {
    await endsWhile('\u0003', '❯ keep running');
    await screen.shows(/Complete in[\s\S]*q quit/);
  });

  test('is said to come too late of a note, which stays on the screen', async () => {
    await endsWhile('n', 'enter keep it', 'Qdrant was slow');
    await screen.shows(/takes no note any more[\s\S]*Qdrant was slow/);
    screen.press(KEYS.enter);
    await screen.shows(/Complete in[\s\S]*q quit/);
  });
});

test('what a step that was ended half-way has left is told whole in the report', async () => {
  const slow = tinyKind('tiny.slow', {
    plan: async () => ({
      ...readingPlan('do it', []),
      onAbort: 'half of the rows may be there, and a retry replaces them',
    }),
    run: (_p, _ctx, signal) =>
      stepEvents<TinyFacts>(async () => {
        await once(signal, 'abort');
        throw new Error('ended');
      }),
  });
  const tiny = tinyRun([step('only', slow)]);
  await tiny.begin();
  await tiny.until('only', 'running');
  shown(tiny, { columns: 80, rows: 24 });
  tiny.run.intend({ type: 'abort' });
  const report = await screen.shows(/Aborted in [\s\S]*q quit/);
  expect(report.replace(/\s+/g, ' ')).toContain(
    'only: aborted; a look at it says: unknown. half of the rows may be there, and a retry replaces them',
  );
});

test('a plan says before anything is begun that no way of a question is possible, why, and what to do', async () => {
  const options = ['beside', 'in-place'].map((choice) => ({ choice, title: choice, because: 'it is a way' }));
  const asking = { ...step('way', operatorChoose), params: { question: 'Which way?', options } };
  const damaged = tinyKind('tiny.damaged', {
    check: async () => [{ level: 'blocking', message: 'the dump is damaged', next: 'take --backup of-monday' }],
  });
  const wayOf = (choice: string, kind: AnyStepKind) => ({
    ...step(choice, kind, ['way']),
    only: { step: 'way', choices: [choice] },
  });
  const closed = tinyRun([asking, wayOf('beside', damaged), wayOf('in-place', damaged)]);
  await closed.run.preflight();
  shown(closed, { columns: 80, rows: 24 });
  const plan = await screen.shows('1 step would be blocked');
  expect(plan).toMatch(
    /✗ way: none of its ways is possible now\.\s+the dump is damaged\s+next: take --backup of-monday/,
  );
  expect(plan).toContain('b begin all the same');
  screen.close();
  const open = tinyRun([asking, wayOf('beside', damaged), wayOf('in-place', tinyKind('tiny.good'))]);
  await open.run.preflight();
  shown(open, { columns: 80, rows: 24 });
  expect(await screen.shows('enter begin')).not.toContain('none of its ways');
});

describe('in a window of 60 columns and 16 rows', () => {
  const SMALL = { columns: 60, rows: 16 };
  const NAMES = ['restore-postgres', 'restore-qdrant', 'restore-falkordb', 'start-novamem'];
  const long = (what: string) =>
    `${what} ${'so many words that no row of this window is long enough '.repeat(2)}${what}.`;

  /** Goes down page by page: what is asked stays on the screen, and every line was on it once. */
  async function readsToItsEnd(page: string, stays: RegExp, ...lines: string[]): Promise<void> {
    const seen: string[] = [];
    for (;;) {
      const text = await screen.shows(stays);
      expect(text.split('\n').length).toBeLessThanOrEqual(SMALL.rows);
      seen.push(text);
      const [more] = / \d+ more lines?: /.exec(text) ?? [];
      if (more === undefined) break;
      screen.press(page);
      await screen.shows(new RegExp(`^(?![\\s\\S]*${more})`));
    }
    expect(seen.length).toBeGreaterThan(1);
    for (const line of lines) expect(seen.join('\n')).toContain(line);
  }

  test('every answer to ctrl-c can be read and reached, however much runs', async () => {
    const { opened, open } = gate();
    const slow = (name: string) =>
      tinyKind(`tiny.${name}`, {
        plan: async () => ({ ...readingPlan(`do ${name}`, []), onAbort: long(name) }),
        run: () => stepEvents<TinyFacts>(async () => opened),
      });
    const tiny = tinyRun(NAMES.map((name) => step(name, slow(name))));
    await tiny.begin();
    await tiny.until('start-novamem', 'running');
    shown(tiny, SMALL);
    await screen.shows('? help');
    screen.press('\u0003');
    const answers =
      /Stop this run\?[\s\S]*❯ keep running[\s\S]* {2}stop: end what runs, start nothing further\n[\s\S]* {2}kill: end this program and all that it started, now\n/;
    await readsToItsEnd(' ', answers, ...NAMES.map((name) => `  ${name}: `), 'start-novamem.');
    screen.press(KEYS.down);
    await screen.shows('❯ stop');
    screen.press(KEYS.down);
    await screen.shows('❯ kill');
    screen.press(KEYS.up);
    await screen.shows('❯ stop');
    screen.press(KEYS.enter);
    open();
    expect(await tiny.run.finished).toBe('aborted');
  });

  test('what is destroyed is read above the name that is typed', async () => {
    const wipes = tinyKind('tiny.wipes', {
      effect: 'destroy',
      plan: async () => ({ ...readingPlan(long('wipe'), [long('rm')]), destroys: ['412,031 memories'] }),
    });
    const tiny = tinyRun([step('only', wipes)]);
    await tiny.begin();
    await tiny.until('only', 'asking');
    shown(tiny, SMALL);
    await screen.shows(/Destroys +412,031 memories[\s\S]* name \(acme-test\) to go on:/);
    screen.press('acme-te');
    await readsToItsEnd('\u001b[6~', / to go on: acme-te\b/, 'Destroys', 'rm.');
    screen.press(`st${KEYS.enter}`);
    expect(await tiny.run.finished).toBe('recovered');
  });

  test('what a way means is read from its beginning, whatever was read of another', async () => {
    const options = NAMES.map((choice) => ({
      choice,
      title: `Way ${long(choice)}`,
      because: long(choice).repeat(2),
    }));
    const asking = { ...step('way', operatorChoose), params: { question: long('Which way?'), options } };
    const blocked = tinyKind('tiny.blocked', {
      check: async () => [{ level: 'blocking', message: 'no snapshot', next: 'find one' }],
    });
    const only = { step: 'way', choices: ['restore-falkordb'] };
    const tiny = tinyRun([asking, { ...step('fill', blocked, ['way']), only }]);
    await tiny.begin();
    await tiny.until('way', 'asking');
    shown(tiny, SMALL);
    await readsToItsEnd(
      ' ',
      /Which way\?[\s\S]*❯ Way restore-postgres[\s\S]*… \(not possible now\)\n[\s\S]* Way start-novamem/,
      'restore-postgres.',
    );
    screen.press(KEYS.down);
    await screen.shows(/❯ Way restore-qdrant[\s\S]*─\n restore-qdrant so many words/);
    screen.press(KEYS.enter);
    expect(await tiny.run.finished).toBe('recovered');
  });
});

describe('the clock of a run', () => {
  const CLOCK = /(RTO|time) \d/;

  test('says nothing before the run has begun, and of a run that brings no backup back it is no RTO', async () => {
    const { opened, open } = gate();
    const slow = tinyKind('tiny.slow', {
      run: () =>
        stepEvents<TinyFacts>(async (emit) => {
          await opened;
          emit.facts({ ran: true });
        }),
    });
    const tiny = tinyRun([step('only', slow)]);
    await tiny.run.preflight();
    shown(tiny);
    await screen.shows('? help');
    screen.press('?');
    expect(await screen.shows('any key: back')).not.toMatch(CLOCK);
    screen.press('x');
    await screen.shows('enter begin');
    screen.press(KEYS.enter);
    await screen.shows(/ time 0:0\d/);
    open();
    await screen.shows(/Complete in [\s\S]*q quit/);
    expect(screen.text()).toMatch(/ time [\d.]+ m?s/);
  });

  test('says nothing in the report of a run that was left at its plan', async () => {
    const tiny = tinyRun([step('only', tinyKind('tiny.good'))]);
    await tiny.run.preflight();
    tiny.run.intend({ type: 'abort' });
    shown(tiny);
    expect(await screen.shows('Not begun')).not.toMatch(CLOCK);
  });

  test.each([
    ['postgres.restore', BACKUP, true],
    ['postgres.restore', null, false],
    ['backup.drill', BACKUP, false],
    ['cluster.crosscheck', BACKUP, false],
  ])('is that of a recovery for %s from %j: %j', async (uses, backup, isRecovery) => {
    const { run } = tinyRun([step('only', tinyKind(uses))]);
    expect(bringsBack({ ...run.getSnapshot(), backup })).toBe(isRecovery);
  });
});
