import { appendFileSync, cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { JOURNAL_FILE, type JournalEvent, readJournal } from '../../src/engine/journal.js';
import { RecordedLines } from '../../src/engine/recorded-lines.js';
import { Replay } from '../../src/engine/replay.js';
import { findRun, type RecordedRun } from '../../src/engine/runs.js';
import { recordedRun } from '../support/recorded-run.js';
import { tempFolder } from '../support/temp.js';

const PLAN = 'Read the plan, and begin as you would; → shows what was done.';
let recorded: RecordedRun;

beforeAll(async () => {
  recorded = await recordedRun();
});

/** The record with its events at other times: `ms` more before each event that fits. */
function slowed(ms: number, fits: (event: JournalEvent) => boolean): RecordedRun {
  let later = 0;
  const events = recorded.events.map((event) => {
    if (fits(event)) later += ms;
    return { ...event, ts: new Date(Date.parse(event.ts) + later).toISOString() };
  });
  return { ...recorded, events };
}

const placeOf = (replay: Replay) => {
  const { phase, steps } = replay.getSnapshot();
  return [phase, ...steps.map(({ id, state }) => `${id} ${state}`)].join(', ');
};

describe('a replay', () => {
  test('goes to its end, and stops wherever a person was asked: what they did then is told', () => {
    const replay = new Replay(recorded);
    const heard: string[] = [];
    const holdsAt = (state: string) => {
      for (let times = 0; times < 100 && !replay.getStatus().held; times += 1) replay.advance(100);
      expect(placeOf(replay)).toContain(state);
      // However long it is looked at.
      replay.advance(60_000);
      expect(placeOf(replay)).toContain(state);
    };
    holdsAt('planned, first waiting');
    replay.intend({ type: 'begin' });
    heard.push(replay.getStatus().said);
    holdsAt('first asking');
    replay.intend({ type: 'confirm', step: 'first', typed: 'acme-test' });
    heard.push(replay.getStatus().said);
    holdsAt('second deciding');
    replay.intend({ type: 'skip', step: 'second' });
    heard.push(replay.getStatus().said);
    holdsAt('second succeeded, third deciding');
    replay.intend({ type: 'abort' });
    heard.push(replay.getStatus().said);
    replay.advance(60_000);
    expect(placeOf(replay)).toBe('finished, first succeeded, second succeeded, third skipped');
    expect(replay.getStatus()).toMatchObject({ over: true, playing: false });
    const [began, typed, decided, ended] = heard;
    expect(began).toMatch(/^As then: begun at \d\d:\d\d:\d\d UTC, after .*\.$/);
    expect(typed).toMatch(/^As then: "acme-test" typed by \S+@\S+ at .*\.$/);
    expect(decided).toMatch(/^Then: retried at .* You: skipped\.$/);
    expect(ended).toMatch(/^Then: skipped at .* You: the run aborted\.$/);
    replay.close();
  });

  test('asks nothing of one who only watches, and shows each question for a while', () => {
    const replay = new Replay(recorded);
    replay.watch();
    const seen = new Set<string>();
    for (let times = 0; times < 200 && !replay.getStatus().over; times += 1) {
      replay.advance(100);
      seen.add(placeOf(replay));
    }
    expect(replay.getStatus().over).toBe(true);
    expect([...seen].filter((place) => /asking|deciding/.test(place))).toHaveLength(3);
    replay.close();
  });

  test('is stepped through forward and back, and is the same both ways', () => {
    const replay = new Replay(recorded, { speed: 0 });
    replay.advance(60_000);
    expect(replay.getStatus()).toMatchObject({ playing: false, taken: 1 });
    const forward: string[] = [];
    while (!replay.getStatus().over) {
      forward.push(JSON.stringify(replay.getSnapshot()));
      replay.next();
    }
    expect(forward.length).toBeGreaterThan(10);
    const back: string[] = [];
    while (replay.getStatus().taken > 1) {
      replay.previous();
      back.unshift(JSON.stringify(replay.getSnapshot()));
    }
    expect(back).toEqual(forward);
    replay.close();
  });

  test('goes from error to error, and to the step that is asked for', () => {
    const replay = new Replay(recorded);
    const at: string[] = [];
    for (let times = 0; times < 5; times += 1) {
      replay.nextError();
      at.push(placeOf(replay));
    }
    // Blocked in the first look; a check that differs (of two); failed by it; blocked when its turn came, and failed by that.
    expect(at.map((place) => place.replace(/first \w+, /, ''))).toEqual([
      'planned, second waiting, third waiting',
      'running, second verifying, third waiting',
      'running, second deciding, third waiting',
      'running, second succeeded, third checking',
      'running, second succeeded, third deciding',
    ]);
    replay.nextError();
    expect(replay.getStatus().said).toBe('No further error is on record.');
    replay.jump('first');
    expect(placeOf(replay)).toBe('running, first running, second waiting, third waiting');
    expect(replay.getStatus().playing).toBe(false);
    replay.close();
  });

  test('goes at the recorded pace times its speed, and shortens what nobody wants to wait for', () => {
    const inSecond = (event: JournalEvent) => event.type === 'step.facts' && event.step === 'second';
    const replay = new Replay(slowed(4_000, inSecond), { speed: 2 });
    replay.watch();
    replay.jump('second');
    replay.toggle();
    const { taken } = replay.getStatus();
    replay.advance(1_900);
    expect(replay.getStatus().taken).toBe(taken);
    replay.advance(3_000);
    expect(replay.getStatus().taken).toBeGreaterThan(taken);
    replay.close();
    const long = new Replay(slowed(3_600_000, inSecond));
    long.jump('second');
    long.toggle();
    // The step's own lines have kept their times.
    for (let times = 0; times < 50 && long.getStatus().said === ''; times += 1) long.advance(100);
    expect(long.getStatus().said).toMatch(/^For 1 h 00 min nothing was recorded: shortened\.$/);
    long.advance(5_000);
    expect(placeOf(long)).toContain('second deciding');
    long.close();
  });

  test('takes nothing of what would change anything', () => {
    const replay = new Replay(recorded, { speed: 0 });
    const before = JSON.stringify(replay.getSnapshot());
    const intents = [
      { type: 'undo', steps: ['first'], typed: 'acme-test' },
      { type: 'retry', step: 'first' },
      { type: 'abort' },
      { type: 'note', text: 'a note' },
      { type: 'begin' },
      { type: 'accept', difference: 'cluster' },
    ] as const;
    const journal = readFileSync(join(recorded.folder, JOURNAL_FILE), 'utf8');
    for (const intent of intents) {
      replay.intend(intent as Parameters<Replay['intend']>[0]);
      expect(replay.getStatus().said).toMatch(/REPLAY: nothing can be done/);
      expect(JSON.stringify(replay.getSnapshot())).toBe(before);
    }
    expect(readFileSync(join(recorded.folder, JOURNAL_FILE), 'utf8')).toBe(journal);
    replay.close();
  });

  test('shows the output of a moment, neither less nor more', () => {
    const replay = new Replay(recorded, { speed: 0 });
    while (!replay.getStatus().over) {
      const { at } = replay.getStatus();
      const files = ['first', 'second', 'third'].flatMap((name) =>
        readFileSync(join(recorded.folder, 'steps', `${name}.log`), 'utf8')
          .split('\n')
          .filter((line) => line !== '' && Date.parse(line.slice(0, 24)) <= at)
          .map((line) => `${name} ${line.slice(25)}`),
      );
      const shown = replay.getSnapshot().log.map(({ step, text }) => `${step} ${text}`);
      expect(shown.sort()).toEqual(files.sort());
      replay.next();
    }
    replay.close();
  });

  test('of a damaged record shows what is whole, and says what is missing', () => {
    const folder = join(tempFolder('copy'), basename(recorded.folder));
    cpSync(recorded.folder, folder, { recursive: true });
    const file = join(folder, JOURNAL_FILE);
    const lines = readFileSync(file, 'utf8').split('\n');
    const at = readJournal(file).events.findIndex((event) => event.type === 'confirm.given');
    lines[at - 1] = '{"type":"step.check","step":"first","ts":"2026-11-21T02:00:00.000Z"}';
    writeFileSync(file, lines.slice(0, at + 3).join('\n'));
    appendFileSync(file, '\n{"seq":1');
    rmSync(join(folder, 'steps', 'second.log'));
    const replay = new Replay(findRun(folder));
    for (let times = 0; times < 20; times += 1) replay.advance(100);
    // Still there beside the first question.
    expect(replay.getStatus()).toMatchObject({ held: true, said: `${replay.getStatus().damage}. ${PLAN}` });
    expect(replay.getStatus().damage).toMatch(
      /journal is not whole: line \d+ does not follow.*1 line of the journal cannot be read.*no output is there of second/,
    );
    while (!replay.getStatus().over) replay.next();
    expect(placeOf(replay)).toContain('first running');
    expect(replay.getStatus().said).toContain('without an end of the run');
    replay.close();
    writeFileSync(file, lines.slice(1).join('\n'));
    expect(() => new Replay(findRun(folder))).toThrow(/first line is missing/);
  });

  test('of 100,000 events is moved through at once', () => {
    const [started, ...rest] = recorded.events;
    const begin = rest.findIndex((event) => event.type === 'step.started');
    const many = Array.from({ length: 100_000 }, (_, done) => ({
      ...started!,
      type: 'step.progress',
      step: 'first',
      done,
      unit: 'rows',
      text: `row ${done}`,
      ts: new Date(Date.parse(rest[begin]!.ts) + done).toISOString(),
    })) as unknown as JournalEvent[];
    const events = [started!, ...rest.slice(0, begin + 1), ...many, ...rest.slice(begin + 1)];
    const replay = new Replay({ ...recorded, events });
    replay.watch();
    const timed = (work: () => void) => {
      const before = performance.now();
      work();
      return performance.now() - before;
    };
    replay.jump('first');
    replay.toggle();
    // A minute and more of it, in ticks as the screens have them; each from zero would take over a minute.
    expect(timed(() => Array.from({ length: 700 }, () => replay.advance(100)))).toBeLessThan(15_000);
    expect(replay.getSnapshot().steps[0]!.progress!.done).toBeGreaterThan(60_000);
    expect(timed(() => replay.jump('third'))).toBeLessThan(5_000);
    expect(timed(() => Array.from({ length: 3 }, () => replay.previous()))).toBeLessThan(5_000);
    replay.close();
  });
});

describe('recorded output', () => {
  test('of any size is found by its time, with lines of any length', () => {
    const folder = tempFolder('lines');
    mkdirSync(join(folder, 'steps'));
    const start = Date.parse('2026-11-21T02:00:00.000Z');
    const lines = Array.from({ length: 50_000 }, (_, at) => {
      const text = at % 997 === 0 ? 'ü'.repeat(9_000) : `line ${at}`;
      return `${new Date(start + at * 10).toISOString()} ${text}`;
    });
    lines[100] = 'no time here';
    writeFileSync(join(folder, 'steps', 'much.log'), `${lines.join('\n')}\n`);
    const recordedLines = new RecordedLines(folder, ['much', 'none', '../../etc/passwd']);
    expect(recordedLines.missing).toEqual(['none']);
    for (const place of [0, 1, 99, 100, 101, 996, 997, 998, 31_234, 49_999]) {
      const newest = recordedLines.newest(start + place * 10).at(-1)!;
      const expected = place === 100 ? 99 : place;
      expect([place, newest.at]).toEqual([place, start + expected * 10]);
      expect(newest.text).toBe(lines[expected]!.slice(25));
      const next = [49_999].includes(place) ? undefined : start + (place === 99 ? 101 : place + 1) * 10;
      expect(recordedLines.nextAfter(start + place * 10)).toBe(next);
    }
    expect(recordedLines.newest(start - 1)).toEqual([]);
    expect(recordedLines.newest(start + 400_000)).toHaveLength(500);
    recordedLines.close();
  });
});
