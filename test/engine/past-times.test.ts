import { appendFileSync, cpSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeEach, describe, expect, test } from 'vitest';
import { homeSubfolder } from '../../src/config/home.js';
import { estimated } from '../../src/engine/estimates.js';
import { JOURNAL_FILE } from '../../src/engine/journal.js';
import { pastTimesOf } from '../../src/engine/past-times.js';
import { readingPlan, type Work } from '../../src/steps/step.js';
import { stepEvents } from '../../src/steps/step-events.js';
import { tempFolder } from '../support/temp.js';
import { absentCluster, attempt, step, type TinyFacts, tinyKind, tinyRun } from '../support/tiny-run.js';

const GUESS_MS = 60_000;

/** A kind whose run takes a while, and whose plan counts what there is to do. */
const moving = (work?: Work, parts: Parameters<typeof tinyKind>[1] = {}) =>
  tinyKind('tiny.moving', {
    plan: async () => readingPlan('move', [], { estimateMs: GUESS_MS, ...(work ? { work } : {}) }),
    run: () =>
      stepEvents<TinyFacts>(async (emit) => {
        await sleep(20);
        emit.facts({ ran: true });
      }),
    ...parts,
  });

const bytes = (amount: number): Work => ({ amount, unit: 'bytes' });
const ACME = absentCluster('acme');

beforeEach(() => {
  process.env.NOVAMEM_RUNBOOK_HOME = tempFolder('home');
});

const begun = (name: string, kind = moving(), options: Parameters<typeof tinyRun>[1] = {}) =>
  tinyRun([step('move', kind)], {
    runs: homeSubfolder('runs'),
    id: name,
    cluster: ACME,
    onFailure: 'stop',
    ...options,
  });

const journal = (run: string) => join(homeSubfolder('runs', run), JOURNAL_FILE);

/** A run that the engine itself has recorded; how long its step took. */
async function recorded(...args: Parameters<typeof begun>): Promise<number> {
  const tiny = begun(...args);
  await tiny.toEnd();
  return tiny.events.find((event) => event.type === 'step.finished')!.tookMs;
}

const plan = (work?: Work) => readingPlan('move', [], { estimateMs: GUESS_MS, ...(work ? { work } : {}) });
const estimateNow = (work?: Work) =>
  estimated(plan(work), { id: 'move', uses: 'tiny.moving', cluster: 'acme' }, pastTimesOf('tiny'));

describe('how long a step is expected to take', () => {
  test('is what it took in the newest run, and which one that was is said', async () => {
    await recorded('run-1');
    const tookMs = await recorded('run-2', moving(), { mode: 'drill' });
    expect(tookMs).toBeGreaterThan(10);
    expect(estimateNow()).toMatchObject({ estimateMs: tookMs, measured: { run: 'run-2', mode: 'drill', tookMs } });
    expect(estimateNow().measured).not.toHaveProperty('cluster');
  });

  test('goes up and down with what there is to do', async () => {
    const tookMs = await recorded('run-1', moving(bytes(1_000)));
    expect(estimateNow(bytes(3_000))).toMatchObject({ estimateMs: tookMs * 3, measured: { work: bytes(1_000) } });
    expect(estimateNow(bytes(500)).estimateMs).toBe(tookMs / 2);
    expect(estimateNow().estimateMs).toBe(tookMs);
    expect(estimateNow({ amount: 3_000, unit: 'rows' }).estimateMs).toBe(tookMs);
  });

  test('is never taken from a run with far less or far more to do: an older one may tell', async () => {
    const tookMs = await recorded('run-1', moving(bytes(1_000_000)));
    await recorded('run-2', moving(bytes(10)));
    await recorded('run-3', moving(bytes(0)));
    expect(estimateNow(bytes(2_000_000))).toMatchObject({ estimateMs: tookMs * 2, measured: { run: 'run-1' } });
    expect(estimateNow(bytes(1_000_000_000))).toEqual(plan(bytes(1_000_000_000)));
  });

  test('is taken from this cluster where it is known, however new the others are, and else said to be of another', async () => {
    const elsewhere = { cluster: absentCluster('practice') };
    await recorded('run-1', moving(), elsewhere);
    expect(estimateNow().measured).toMatchObject({ run: 'run-1', cluster: 'practice' });
    await recorded('run-2');
    await recorded('run-3', moving(), elsewhere);
    expect(estimateNow().measured).toMatchObject({ run: 'run-2' });
  });

  test('is what it has moved by its own word, where no plan could count it', async () => {
    const telling = moving(undefined, {
      run: () =>
        stepEvents<TinyFacts>(async (emit) => {
          emit.progress({ done: 10, total: 64, unit: 'bytes', text: 'moved' });
          emit.facts({ ran: true });
        }),
    });
    await recorded('run-1', telling);
    expect(estimateNow().measured).toMatchObject({ work: bytes(64) });
  });
});

describe('no time is taken from', () => {
  test('a step that failed, was only simulated, is of another kind or of another scenario', async () => {
    await recorded('run-1', moving(undefined, { verify: async () => [] }));
    await recorded('run-2', moving(), { mode: 'dry-run' });
    await recorded('run-3', tinyKind('tiny.other'));
    await recorded('run-4');
    expect(pastTimesOf('another')).toEqual([]);
    expect(pastTimesOf('tiny').map((time) => [time.run, time.uses])).toEqual([
      ['run-4', 'tiny.moving'],
      ['run-3', 'tiny.other'],
    ]);
  });

  test('an attempt after one that had failed: a part of it may have been done', async () => {
    let tries = 0;
    const kind = moving(undefined, {
      effect: 'destroy',
      run: () =>
        stepEvents<TinyFacts>(async (emit) => {
          tries += 1;
          if (tries === 1) throw new Error('half-way');
          emit.facts({ ran: true });
        }),
    });
    const tiny = begun('run-1', kind, { onFailure: 'ask' });
    await tiny.begin();
    await attempt(tiny.run, 'move');
    tiny.run.intend({ type: 'retry', step: 'move' });
    await tiny.until('move', 'asking');
    tiny.run.intend({ type: 'confirm', step: 'move', typed: 'acme' });
    expect(await tiny.run.finished).toBe('recovered');
    expect(pastTimesOf('tiny')).toEqual([]);
  });
});

test('a step that another process went on with tells nothing: it may have lain idle in between', async () => {
  await recorded('run-1');
  const lines = readFileSync(journal('run-1'), 'utf8').split('\n');
  const resumed = { ...JSON.parse(lines[0]!), type: 'run.resumed', cutOff: 0, accepted: [] };
  const at = lines.findIndex((line) => line.includes('"step.started"')) + 1;
  writeFileSync(journal('run-1'), lines.toSpliced(at, 0, JSON.stringify(resumed)).join('\n'));
  expect(pastTimesOf('tiny')).toEqual([]);
});

describe('a journal that is broken tells less, and stands in nobody’s way', () => {
  test('nothing of it can be read', async () => {
    const tookMs = await recorded('run-1');
    const whole = readFileSync(journal('run-1'), 'utf8');
    writeFileSync(journal('run-2'), Buffer.from([0, 255, 254, 10, 10]));
    writeFileSync(journal('run-3'), '');
    writeFileSync(journal('run-4'), 'null\n7\n[]\n');
    writeFileSync(journal('run-5'), whole.split('\n').slice(1).join('\n'));
    writeFileSync(journal('run-6'), `${JSON.stringify({ type: 'run.started', scenario: 'tiny', mode: 'live' })}\n`);
    writeFileSync(journal('run-7'), whole.replaceAll('"tookMs":', '"tookMs":"long","was":'));
    mkdirSync(journal('run-8'));
    expect(estimateNow()).toMatchObject({ estimateMs: tookMs, measured: { run: 'run-1' } });
  });

  test('what was written before the fault counts', async () => {
    await recorded('run-1');
    const { length } = readFileSync(journal('run-1'));
    truncateSync(journal('run-1'), length - 20);
    appendFileSync(journal('run-1'), '\n{"type":"step.finished"\n"type":"step.finished"\n');
    expect(estimateNow().measured).toMatchObject({ run: 'run-1' });
  });

  test('no more is read of them than the newest tell', async () => {
    await recorded('run-00');
    const folder = homeSubfolder('runs');
    await recorded('run-99', tinyKind('tiny.other'));
    for (let run = 10; run < 29; run += 1)
      cpSync(join(folder, 'run-99'), join(folder, `run-${run}`), { recursive: true });
    expect(pastTimesOf('tiny')).toHaveLength(20);
    expect(estimateNow()).toEqual(plan());
  });
});
