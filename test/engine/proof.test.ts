import { cpSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { JOURNAL_FILE, type Mode } from '../../src/engine/journal.js';
import { proofOf } from '../../src/engine/proof.js';
import { stepEvents } from '../../src/steps/step-events.js';
import { type RecordedAs, recordRun } from '../support/record-run.js';
import { tempFolder } from '../support/temp.js';
import { absentCluster, step, type TinyFacts, tinyKind } from '../support/tiny-run.js';

const CLUSTER = 'acme-prod';
const fails = {
  verify: async () => [{ subject: 'tiny', what: 'rows', expected: '1', actual: '0', ok: false }],
};
const excepted = { conclusion: () => ({ text: 'one was left out', exception: true }) };
const restoring = (...stores: string[]) => stores.map((store) => step(store, tinyKind(`${store}.restore`)));
const WHOLE = ['postgres', 'qdrant', 'falkordb'];
/** A run, whatever ran before it, on the sandbox `throw-away` that proves the backup of `acme-prod`. */
const drill = (id: string, how: RecordedAs = {}) =>
  recordRun(id, restoring(...WHOLE), {
    mode: 'drill',
    cluster: absentCluster('throw-away'),
    drillOf: CLUSTER,
    ...how,
  });
const live = (id: string, stores: string[], mode: Mode = 'live') =>
  recordRun(id, stores.length === 0 ? [step('look', tinyKind('tiny.look'))] : restoring(...stores), {
    mode,
    cluster: absentCluster(CLUSTER),
  });
const failing = (id: string) =>
  recordRun(id, [step('health', tinyKind('tiny.health', fails))], {
    mode: 'drill',
    cluster: absentCluster('throw-away'),
    drillOf: CLUSTER,
  });

let runs: string;

beforeEach(() => {
  const home = tempFolder('home');
  process.env.NOVAMEM_RUNBOOK_HOME = home;
  runs = join(home, 'runs');
  mkdirSync(runs);
});

describe('what is proven of a backup', () => {
  test('is nothing where nothing is recorded', () => {
    expect(proofOf(CLUSTER)).toEqual({ proven: null, unproven: [], drills: [], failedDrill: null, unread: [] });
  });

  test('is a drill of it that recovered, with what it took and from which backup', async () => {
    await drill('20260801T020000Z-00001', { rtoMs: 252_000, endedAt: '2026-08-01T02:04:12.000Z' });
    const { proven, unproven, drills } = proofOf(CLUSTER);
    expect(proven).toEqual({
      run: '20260801T020000Z-00001',
      by: 'drill',
      at: new Date('2026-08-01T02:04:12.000Z'),
      rtoMs: 252_000,
      rpoMs: null,
      backup: null,
      recallUnproven: 'nothing was searched for',
    });
    expect(unproven).toEqual([]);
    expect(drills).toMatchObject([{ outcome: 'recovered', rtoMs: 252_000, slowerMs: null }]);
  });

  test.each([
    ['', null],
    ['a stand-in answers', 'a stand-in answers'],
  ])('says whether what novamem finds was proven with it: incomparable because of %j', async (incomparable, said) => {
    const searching = tinyKind('novamem.search', {
      run: () => stepEvents<TinyFacts>(async (emit) => emit.facts(Object.assign({ ran: true }, { incomparable }))),
    });
    await recordRun('20260801T020000Z-00001', [...restoring(...WHOLE), step('recall', searching)], {
      mode: 'drill',
      cluster: absentCluster('throw-away'),
      drillOf: CLUSTER,
    });
    expect(proofOf(CLUSTER).proven).toMatchObject({ recallUnproven: said });
  });

  test('is a drill that another machine has recorded, once its folder is copied here', async () => {
    const here = process.env.NOVAMEM_RUNBOOK_HOME;
    process.env.NOVAMEM_RUNBOOK_HOME = tempFolder('backup-host');
    const folder = await drill('20260801T020000Z-00001');
    process.env.NOVAMEM_RUNBOOK_HOME = here;
    expect(proofOf(CLUSTER).proven).toBeNull();
    const copy = join(runs, basename(folder));
    cpSync(folder, copy, { recursive: true });
    expect(proofOf(CLUSTER)).toMatchObject({ proven: { by: 'drill', run: '20260801T020000Z-00001' }, unread: [] });
    // As a copy stands that is still under way.
    truncateSync(join(copy, JOURNAL_FILE), 2_000);
    expect(proofOf(CLUSTER)).toMatchObject({ proven: null, drills: [{ outcome: 'unfinished' }], unread: [] });
  });

  test('is not a drill of another cluster, nor one that only ran on a sandbox of that name', async () => {
    await drill('20260801T020000Z-00001', { drillOf: 'another' });
    await drill('20260802T020000Z-00001', { drillOf: 'another', cluster: absentCluster(CLUSTER) });
    expect(proofOf(CLUSTER)).toMatchObject({ proven: null, drills: [] });
    expect(proofOf('throw-away')).toMatchObject({ proven: null, drills: [] });
  });

  test('is a recovery that put all three stores back', async () => {
    await live('20260801T020000Z-00001', WHOLE);
    expect(proofOf(CLUSTER).proven).toMatchObject({ run: '20260801T020000Z-00001', by: 'recovery' });
  });

  test.each([
    [['postgres'], 'it restored no qdrant and no falkordb'],
    [['postgres', 'falkordb'], 'it restored no qdrant'],
  ])('is not a recovery of %j alone, which says so', async (stores, why) => {
    await live('20260801T020000Z-00001', stores);
    expect(proofOf(CLUSTER)).toMatchObject({ proven: null, unproven: [{ by: 'recovery', why }], drills: [] });
  });

  test('is not a drill by a runbook for one store', async () => {
    const steps = restoring('qdrant');
    await recordRun('20260801T020000Z-00001', steps, {
      mode: 'drill',
      cluster: absentCluster('x'),
      drillOf: CLUSTER,
    });
    expect(proofOf(CLUSTER)).toMatchObject({
      proven: null,
      unproven: [{ by: 'drill', why: 'it restored no postgres and no falkordb' }],
      drills: [{ outcome: 'recovered' }],
      failedDrill: null,
    });
  });

  test.each(['dry-run', 'train'] as const)('is not what was done as %s', async (mode) => {
    await live('20260801T020000Z-00001', WHOLE, mode);
    expect(proofOf(CLUSTER)).toMatchObject({ proven: null, unproven: [], drills: [] });
  });

  test('is not a run that restores nothing, however well it went', async () => {
    await live('20260801T020000Z-00001', []);
    expect(proofOf(CLUSTER)).toMatchObject({ proven: null, unproven: [] });
  });

  test('is not a drill with exceptions: it is told beside the older proof', async () => {
    await drill('20260801T020000Z-00001');
    const steps = [...restoring('postgres', 'qdrant'), step('falkordb', tinyKind('falkordb.restore', excepted))];
    await recordRun('20260901T020000Z-00001', steps, {
      mode: 'drill',
      cluster: absentCluster('x'),
      drillOf: CLUSTER,
    });
    expect(proofOf(CLUSTER)).toMatchObject({
      proven: { run: '20260801T020000Z-00001' },
      unproven: [{ run: '20260901T020000Z-00001', by: 'drill', why: 'it recovered with exceptions' }],
      failedDrill: null,
    });
  });
});

describe('a drill that failed', () => {
  test('is told until something is proven after it; one that was broken off or restored a part says nothing', async () => {
    await drill('20260801T020000Z-00001');
    await failing('20260901T020000Z-00001');
    expect(proofOf(CLUSTER)).toMatchObject({
      proven: { run: '20260801T020000Z-00001' },
      failedDrill: '20260901T020000Z-00001',
    });
    const brokenOff = join(await drill('20260902T020000Z-00001'), JOURNAL_FILE);
    truncateSync(brokenOff, readFileSync(brokenOff, 'utf8').indexOf('"type":"run.finished"'));
    const { failedDrill, drills } = proofOf(CLUSTER);
    expect(failedDrill).toBe('20260901T020000Z-00001');
    expect(drills.map(({ outcome, rtoMs }) => [outcome, rtoMs === null])).toEqual([
      ['unfinished', true],
      ['failed', true],
      ['recovered', false],
    ]);
    await recordRun('20260902T030000Z-00001', restoring('qdrant'), {
      mode: 'drill',
      cluster: absentCluster('throw-away'),
      drillOf: CLUSTER,
    });
    expect(proofOf(CLUSTER)).toMatchObject({
      failedDrill: '20260901T020000Z-00001',
      unproven: [{ why: 'it restored no postgres and no falkordb' }],
    });
    await live('20260903T020000Z-00001', WHOLE);
    expect(proofOf(CLUSTER)).toMatchObject({ proven: { by: 'recovery' }, failedDrill: null });
  });
});

test('the trend goes over the drills that recovered, and over the newest only', async () => {
  const took = [300_000, 240_000, 270_000, 250_000, 250_000, 310_000, 290_000];
  for (const [day, rtoMs] of took.entries()) await drill(`2026080${day + 1}T020000Z-00001`, { rtoMs });
  await failing('20260808T020000Z-00001');
  const { drills } = proofOf(CLUSTER);
  expect(drills.map(({ outcome, slowerMs }) => [outcome, slowerMs])).toEqual([
    ['failed', null],
    ['recovered', -20_000],
    ['recovered', 60_000],
    ['recovered', 0],
    ['recovered', -20_000],
  ]);
});

describe('a record that is damaged', () => {
  test('proves nothing where it is not the one that was written', async () => {
    const file = join(await drill('20260801T020000Z-00001'), JOURNAL_FILE);
    writeFileSync(file, readFileSync(file, 'utf8').replace('"operator":"', '"operator":"not '));
    expect(proofOf(CLUSTER)).toMatchObject({
      proven: null,
      unproven: [{ why: 'its journal is not the one that was written' }],
    });
  });

  test.each([
    ['nonsense', (file: string) => writeFileSync(file, 'no JSON at all\n')],
    ['a line that is no event', (file: string) => writeFileSync(file, 'null\n')],
    ['a file that begins in the middle', (file: string) => writeFileSync(file, '{"type":"note","text":"x"}\n')],
    ['a folder', (file: string) => mkdirSync(file)],
  ])('is named, and hides no other: %s', async (_what, damage) => {
    await drill('20260801T020000Z-00001');
    mkdirSync(join(runs, '20260901T020000Z-00001'));
    damage(join(runs, '20260901T020000Z-00001', JOURNAL_FILE));
    expect(proofOf(CLUSTER)).toMatchObject({
      proven: { run: '20260801T020000Z-00001' },
      unread: ['20260901T020000Z-00001'],
    });
  });

  test('is none where a run has only just been made', async () => {
    mkdirSync(join(runs, '20260901T020000Z-00001'));
    writeFileSync(join(runs, '20260901T020000Z-00001', JOURNAL_FILE), '');
    expect(proofOf(CLUSTER).unread).toEqual([]);
  });

  test('in the middle of a journal leaves the rest to be read', async () => {
    await drill('20260801T020000Z-00001');
    const file = join(await drill('20260901T020000Z-00001'), JOURNAL_FILE);
    const [first, ...rest] = readFileSync(file, 'utf8').split('\n');
    writeFileSync(file, [first, 'null', ...rest].join('\n'));
    expect(proofOf(CLUSTER)).toMatchObject({
      proven: { run: '20260801T020000Z-00001' },
      unread: ['20260901T020000Z-00001'],
    });
  });
});
