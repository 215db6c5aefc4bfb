import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { RunSnapshot, StepSnapshot } from '../../src/engine/snapshot.js';
import { LinearOutput, PASSING, PROMPT, SCREEN } from '../../src/screens/linear-output.js';
import { paced } from '../../src/screens/paced.js';
import { spoken } from '../../src/screens/spoken.js';
import { sideBySideLines, standingWords } from '../../src/screens/step-lines.js';

const STEP: StepSnapshot = {
  id: 'restore-postgres',
  uses: 'postgres.restore',
  why: 'it is the source of truth',
  effect: 'destroy',
  needs: [],
  state: 'running',
  findings: [],
  checks: [],
  safetyCopies: [],
  startedAt: 0,
  canUndo: false,
  undone: false,
  undoFailed: false,
  notChosen: false,
  logFile: '',
};

/** Where counting began. */
const START = { at: 0, done: 0 };

describe('a line of a screen', () => {
  it.each([
    [' ✔ restore-postgres     done           4 s  ', 'restore-postgres, done, 4 s'],
    ['✗ qdrant points: 590, expected 600', 'error: qdrant points: 590, expected 600'],
    ['✗ blocking: the disk is full', 'blocking: the disk is full'],
    [
      '! Broken off 4 s ago: Qdrant lost. r goes on with it',
      'warning: Broken off 4 s ago: Qdrant lost. r goes on with it',
    ],
    ['Way back   a safety copy · verified', 'Way back: a safety copy, verified'],
    ['████████░░░░  61 %  118 MiB/s', '61 percent, 118 MiB/s'],
    ['↑↓ choose', 'up and down choose'],
    ['→← event', 'right and left event'],
    ['Will run   kill -s TERM 812', 'Will run: kill -s TERM 812'],
    ['────────────────', ''],
  ])('%j is said as %j', (row, words) => expect(spoken(row)).toBe(words));
});

describe('where a step stands', () => {
  it('is said with how far it is and how long it will take', () => {
    const progress = { done: 61, total: 100, unit: 'bytes' as const, text: 'index idx_fts', since: START };
    expect(standingWords({ ...STEP, progress }, 61_000)).toBe(
      'restore-postgres: runs, 61 percent, about 39 s left, index idx_fts',
    );
  });

  it('is said of one that only waits without a share: waiting brings nothing nearer', () => {
    const text = 'waiting for Qdrant: refused';
    const progress = { done: 31, total: 180, unit: 'seconds' as const, text, since: START };
    const step = { ...STEP, progress };
    expect(standingWords(step, 31_000)).toBe('restore-postgres: runs, waiting for Qdrant: refused');
    expect(sideBySideLines(step, 60, 31_000)).toEqual([
      'restore-postgres · runs · 31 s',
      'waited 31 s, at most 3 min 00 s',
      'waiting for Qdrant: refused',
    ]);
    expect(sideBySideLines({ ...STEP, progress: { ...progress, unit: 'bytes' } }, 60, 31_000)).toEqual([
      'restore-postgres · runs · 31 s',
      '████░░░░░░░░░░░░░░░░░░░░  17 %  1 B/s',
      '31 B of 180 B · about 2 min 29 s left',
      'waiting for Qdrant: refused',
    ]);
  });

  it('is said with the evidence, or with the reason', () => {
    const checks = [{ subject: 'postgres', what: 'tables', expected: '17', actual: '17', ok: true }];
    expect(standingWords({ ...STEP, state: 'succeeded', finishedAt: 12_000, checks }, 20_000)).toBe(
      'restore-postgres: done, 12 s, 1 comparison, all equal',
    );
    expect(
      standingWords({ ...STEP, state: 'deciding', finishedAt: 12_000, reason: 'the server is gone' }, 20_000),
    ).toBe('restore-postgres: failed, 12 s, the server is gone');
  });
});

describe('lines that are never drawn over', () => {
  let written = '';
  const terminal = { columns: 40, write: (text: string) => (written += text) } as unknown as NodeJS.WriteStream;
  let output: LinearOutput;
  const tell = (...rows: string[]) => {
    written = '';
    output.write(rows.join('\n'));
    return written;
  };
  beforeEach(() => {
    output = new LinearOutput(terminal);
  });

  it('are only those that say something new', () => {
    expect(tell('one', 'two')).toBe('one\ntwo\n');
    expect(tell('one', 'two')).toBe('');
    expect(tell('one', 'three', 'two')).toBe('three\n');
  });

  it('do not come again because time passes', () => {
    tell(`acme${PASSING}RTO 0:04`, 'restore: runs, 4 s, 61 percent');
    expect(tell(`acme${PASSING}RTO 0:05`, 'restore: runs, 5 s, 61 percent')).toBe('');
    expect(tell(`acme${PASSING}RTO 0:06`, 'restore: runs, 6 s, 62 percent')).toBe('restore: runs, 6 s, 62 percent\n');
  });

  it('are all told where the screen is another one, or was left meanwhile', () => {
    tell(`${SCREEN}plan`, 'Destroys   600 memories');
    expect(tell(`${SCREEN}confirm`, 'Destroys   600 memories')).toBe('\nDestroys: 600 memories\n');
    output.forget();
    expect(tell(`${SCREEN}confirm`, 'Destroys   600 memories')).toBe('Destroys: 600 memories\n');
  });

  it('are broken between words where the window is narrow', () => {
    const lines = tell('a long line of many words that has no room in a window of forty columns').split('\n');
    expect(lines).toEqual(['a long line of many words that has no', 'room in a window of forty columns', '']);
  });

  it('keep what is typed behind its question, letter by letter, and say it again after news', () => {
    expect(tell('Step 3', `${PROMPT}Name: `)).toBe('Step 3\nName: ');
    expect(tell('Step 3', `${PROMPT}Name: a`)).toBe('a');
    expect(tell('Step 3', `${PROMPT}Name: ac`)).toBe('c');
    expect(tell('Step 3', `${PROMPT}Name: a`)).toBe('\b \b');
    expect(tell('Step 3', 'meanwhile: restore-qdrant', `${PROMPT}Name: a`)).toBe(
      '\nmeanwhile: restore-qdrant\nName: a',
    );
    expect(tell('Step 3', 'that is not it', `${PROMPT}Name: `)).toBe('\nthat is not it\nName: ');
  });
});

describe('what is heard of a run', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('is its progress every ten seconds, and a change of state at once', () => {
    let step = STEP;
    let change = () => {};
    const run = {
      getSnapshot: () => ({ phase: 'running', steps: [step], attention: [], guards: [] }) as unknown as RunSnapshot,
      subscribe: (onChange: () => void) => {
        change = onChange;
        return () => {};
      },
    };
    let heard = 0;
    paced(
      run,
      10_000,
    )(() => {
      heard += 1;
    });
    const progress = (done: number) => {
      step = { ...step, progress: { done, total: 300, unit: 'rows', text: '', since: START } };
      change();
      vi.advanceTimersByTime(100);
    };
    for (let done = 0; done < 250; done += 1) progress(done);
    expect(heard).toBe(2);
    step = { ...step, state: 'succeeded' };
    change();
    expect(heard).toBe(3);
  });
});
