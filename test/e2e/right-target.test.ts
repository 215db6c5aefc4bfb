import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { findRun } from '../../src/engine/runs.js';
import type { BackupSet } from '../../src/stores/backup-set/backup-set.js';
import { kinshipOf } from '../../src/stores/kinship.js';
import type { Measured } from '../support/measure.js';
import { measureCluster } from '../support/measure-cluster.js';
import { runProgram } from '../support/program.js';
import { type RealCluster, realCluster } from '../support/sandbox.js';
import { tempFolder } from '../support/temp.js';
import { ProgramInTerminal } from '../support/terminal.js';

// Two clusters: what belongs to the one does not get into the other unnoticed.

const ENTER = '\r';
let theirs: RealCluster;
let ours: RealCluster;
let backupOfTheirs: BackupSet;
let before: Measured;
const open: ProgramInTerminal[] = [];

beforeAll(async () => {
  theirs = await realCluster(600);
  ours = await realCluster(200);
  backupOfTheirs = await theirs.backup();
  await ours.backup();
  before = await measureCluster(ours);
});

afterEach(() => {
  for (const program of open.splice(0)) program.kill();
});

const environment = () => ({ NOVAMEM_RUNBOOK_HOME: process.env.NOVAMEM_RUNBOOK_HOME! });
const program = (...args: string[]) =>
  runProgram([...args, '--confirm', ours.cluster.name], {
    environment: environment(),
    timeoutMs: 120_000,
  });
const rescue = (profile: string, ...more: string[]) =>
  program(
    'run',
    'whole-cluster-lost',
    '--headless',
    '--profile',
    profile,
    '--backup',
    backupOfTheirs.folder,
    ...more,
  );

describe('a backup set of another cluster', () => {
  test('is refused with exit code 3, and nothing is touched', async () => {
    const ended = await rescue(ours.places.profile);
    expect(ended.exitCode).toBe(3);
    expect(ended.stderr).toMatch(
      /^Not begun: the backup set \S+ was taken from the cluster "test-\w+", and this is "test-\w+"\.\nNothing was changed\.\nNext: .*--accept backup/,
    );
    expect(await measureCluster(ours)).toEqual(before);
  });

  test('is said in the terminal, where no enter begins before it is accepted', async () => {
    const shown = new ProgramInTerminal(
      ['whole-cluster-lost', '--profile', ours.places.profile, '--backup', backupOfTheirs.folder],
      { environment: environment() },
    );
    open.push(shown);
    await shown.shows(/❯ \S+Z /);
    shown.type(ENTER);
    const asked = await shown.shows(/a it is meant so: accept this backup/);
    expect(asked).toMatch(/Is this the right one\? Nothing begins before that is accepted\./);
    expect(asked.replaceAll(/\s+/g, ' ')).toContain(
      `was taken from the cluster "${theirs.cluster.name}", and this is "${ours.cluster.name}"`,
    );
    expect(asked).toMatch(/Postgres \d+\.\d+ at postgres:\/\/127\.0\.0\.1:\d+/);
    shown.type(ENTER);
    // What is shown next was drawn after the key was read.
    shown.resize(90, 24);
    await shown.shows(/^.{89}─$[\s\S]*a it is meant so/m);
    shown.type('a');
    await shown.shows(/enter begin/);
    expect(findRun('latest').events.filter((event) => event.type === 'guard.accepted')).toHaveLength(1);
    expect(findRun('latest').events.some((event) => event.type === 'step.started')).toBe(false);
    expect(await measureCluster(ours)).toEqual(before);
  });

  test('is restored where that is meant so', async () => {
    const ended = await rescue(ours.places.profile, '--accept', 'backup');
    expect(ended.exitCode, ended.stdout + ended.stderr).toBe(0);
    expect((await measureCluster(ours)).tables['public.memory_entries']!.rows).toBe(600);
    const back = await program('undo', '--profile', ours.places.profile);
    expect(back.exitCode, back.stdout + back.stderr).toBe(0);
    expect(await measureCluster(ours)).toEqual(before);
  });
});

describe('a profile', () => {
  const crossCheck = (profile: string) =>
    program('run', 'cross-check', '--headless', '--profile', profile, '--set', 'reconcile-choice.answer=keep');
  const otherwise = (change: object) => {
    const file = join(tempFolder('profile'), 'moved.yaml');
    writeFileSync(file, stringify({ ...parse(readFileSync(ours.places.profile, 'utf8')), ...change }));
    return file;
  };

  test.each([
    'postgres',
    'qdrant',
    'falkordb',
  ] as const)('that leads to another %s than before is refused until that is accepted', async (store) => {
    const there = parse(readFileSync(theirs.places.profile, 'utf8'))[store];
    const ended = await crossCheck(otherwise({ [store]: there }));
    expect(ended.exitCode, ended.stdout).toBe(3);
    expect(ended.stderr).toMatch(
      /^Not begun: the profile test-\w+ may lead to another cluster: (Postgres|Qdrant|FalkorDB) was at \S+, and is at \S+\.\nNothing was changed/,
    );
  });

  test('whose stores do not belong together is refused, and the sample is on record', async () => {
    await ours.sql(
      'ALTER TABLE memory_entries RENAME TO hidden; CREATE TABLE memory_entries AS SELECT * FROM hidden',
    );
    onTestFinished(async () => {
      await ours.sql('DROP TABLE memory_entries; ALTER TABLE hidden RENAME TO memory_entries');
    });
    await ours.sql('UPDATE memory_entries SET id = reverse(id)');
    const ended = await crossCheck(ours.places.profile);
    expect(ended.exitCode, ended.stdout).toBe(3);
    expect(ended.stderr).toMatch(
      /of \d+ memories that Qdrant at http:\/\/127\.0\.0\.1:\d+ or the Postgres at \S+ names, the other knows none: the two do not belong together/,
    );
    const [started] = findRun('latest').events;
    expect(started).toMatchObject({ fingerprint: { falkordb: { kinship: { known: 0 } } } });
    expect(await kinshipOf('qdrant', ours.cluster)).toMatchObject({ known: 0 });
    // All but the newest deleted: what is left is known to both.
    await ours.sql(
      'DELETE FROM memory_entries; INSERT INTO memory_entries SELECT * FROM hidden ORDER BY id DESC LIMIT 3',
    );
    expect(await kinshipOf('qdrant', ours.cluster)).not.toMatchObject({ known: 0 });
    expect(await kinshipOf('falkordb', ours.cluster)).not.toMatchObject({ known: 0 });
  });
});
