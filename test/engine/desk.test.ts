import { existsSync } from 'node:fs';
import { beforeEach, describe, expect, test } from 'vitest';
import { homeSubfolder } from '../../src/config/home.js';
import { Desk } from '../../src/engine/desk.js';
import { agoText, lastText } from '../../src/reports/history-words.js';
import { tempFolder } from '../support/temp.js';
import { absentCluster, gate, step, tinyKind, tinyRun } from '../support/tiny-run.js';

beforeEach(() => {
  process.env.NOVAMEM_RUNBOOK_HOME = tempFolder('home');
});

const ACME = absentCluster('acme');
const begun = (name: string, options: Parameters<typeof tinyRun>[1] = {}, kind = tinyKind('tiny.good')) =>
  tinyRun([step('only', kind)], {
    runs: homeSubfolder('runs'),
    id: name,
    scenario: 'qdrant-lost',
    cluster: ACME,
    onFailure: 'stop',
    ...options,
  });
const desk = () => new Desk(ACME.profile, {}, 'live', 'latest');
const lastOn = (one: Desk) => one.getSnapshot().scenarios.find(({ scenario }) => scenario === 'qdrant-lost')!.last;

test('a scenario tells of its newest run on this cluster, however it ended, and of none that began nothing', async () => {
  expect(lastOn(desk())).toBeUndefined();
  await begun('run-1', { mode: 'drill' }).toEnd();
  await begun('run-2', { cluster: absentCluster('another') }).toEnd();
  await begun('run-3', { scenario: 'falkordb-lost' }).toEnd();
  await begun('run-4', { mode: 'dry-run' }).toEnd();
  const looked = begun('run-5');
  await looked.run.preflight();
  looked.run.intend({ type: 'abort' });
  await looked.run.finished;
  expect(lastOn(desk())).toMatchObject({ id: 'run-1', mode: 'drill', outcome: 'recovered' });
  await begun('run-6', {}, tinyKind('tiny.bad', { verify: async () => [] })).toEnd();
  expect(lastOn(desk())).toMatchObject({ id: 'run-6', mode: 'live', outcome: 'failed' });
});

test('what was just done is known when its run is put away', async () => {
  const one = desk();
  await begun('run-1').toEnd();
  one.close();
  one.stopLooking();
  expect(lastOn(one)).toMatchObject({ id: 'run-1' });
});

test('the last run of a scenario is said with its mode, its end and its RTO', () => {
  const at = new Date(Date.now() - (12 * 24 + 3) * 3_600_000);
  const drill = {
    id: 'run-1',
    scenario: 'qdrant-lost',
    title: 'Qdrant lost',
    cluster: 'drill-1',
    drillOf: 'acme',
    fromBackup: true,
    mode: 'drill' as const,
    startedAt: at,
    outcome: 'recovered' as const,
    begun: true,
    tookMs: 348_000,
    rpoMs: 90_720_000,
  };
  expect(agoText(drill)).toBe('drilled 12 d 3 h ago in 5 min 48 s');
  expect(agoText({ ...drill, mode: 'live', outcome: 'failed' })).toBe('failed 12 d 3 h ago');
  expect(agoText({ ...drill, mode: 'live', outcome: 'unfinished', tookMs: null })).toBe('broken off 12 d 3 h ago');
  expect(lastText({ ...drill, startedAt: new Date('2026-11-02T02:00:10Z') })).toBe(
    '2026-11-02 02:00 UTC, drill: recovered, RTO 5 min 48 s, RPO 25 h 12 min',
  );
  expect(lastText({ ...drill, startedAt: null, mode: null, outcome: 'unfinished', tookMs: null, rpoMs: null })).toBe(
    'at an unknown time, unknown: unfinished',
  );
  expect(lastText({ ...drill, fromBackup: false, mode: 'live', rpoMs: null })).toMatch(
    /UTC, live: complete, time 5 min 48 s$/,
  );
});

test('a diagnosis that was under way when a plan was opened and put away is not gone on with beside the next', async () => {
  const one = desk();
  const seen = new Set<unknown>();
  one.subscribe(() => seen.add(one.getSnapshot().diagnosis));
  const before = one.diagnose();
  one.stopLooking();
  const after = one.diagnose();
  await Promise.all([before, after]);
  one.stopLooking();
  expect(seen.size).toBe(1);
});

describe('a run that is being opened', () => {
  test.each(['dismiss', 'leave'] as const)('is put away after a %s meanwhile', async (goes) => {
    const one = desk();
    const { opened, open } = gate();
    const { run, folder } = begun('run-1');
    const shown = one.show(async () => {
      await opened;
      return run;
    });
    expect(one.getSnapshot().opening).toBe(true);
    one[goes]();
    expect(one.getSnapshot()).toMatchObject({ opening: goes === 'leave', run: undefined });
    open();
    await shown;
    expect(one.getSnapshot().run).toBeUndefined();
    expect(existsSync(folder)).toBe(false);
  });

  test('says why it cannot be, unless nobody waits for it any more', async () => {
    const one = desk();
    const failing = async () => {
      throw new Error('the runbook is gone');
    };
    await one.show(failing);
    expect(one.getSnapshot()).toMatchObject({ opening: false, problem: ['the runbook is gone'] });
    const late = one.show(failing);
    one.dismiss();
    await late;
    expect(one.getSnapshot()).toMatchObject({ opening: false, problem: [] });
  });
});
