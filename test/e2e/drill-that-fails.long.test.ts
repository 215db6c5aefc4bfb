import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { stringify } from 'yaml';
import type { ClusterStatus } from '../../src/engine/cluster-status.js';
import { listRecords } from '../../src/sandbox/registry.js';
import { sandboxDown } from '../../src/sandbox/sandbox.js';
import type { BackupSet } from '../../src/stores/backup-set/backup-set.js';
import type { Manifest } from '../../src/stores/backup-set/manifest.js';
import { inventoryFalkordb } from '../../src/stores/falkordb/inventory.js';
import { changedSet, vouchFor } from '../support/changed-set.js';
import { eventually } from '../support/eventually.js';
import { notAsked } from '../support/not-asked.js';
import { PROGRAM, ROOT, runProgram } from '../support/program.js';
import { open, type RealCluster, realCluster } from '../support/sandbox.js';
import { tempFolder } from '../support/temp.js';
import { whyNot } from '../support/tools.js';

// What a backup can lack without anybody noticing until it is restored: each is found by a drill.

let real: RealCluster;
/** Before some memories were written, as if a day ago, and after it. */
let older: BackupSet;
let backup: BackupSet;

beforeAll(async () => {
  real = await realCluster(300);
  older = await real.backup();
  for (const content of [
    'the staging cluster replaces login',
    'billing moved to the other queue',
    'nobody reads the log',
  ])
    await real.cluster.novamem!.ask('/v1/remember', { content });
  backup = await real.backup();
});

/** However it ends, the cluster itself is not asked anything. */
const drill = (folder: string, ...more: string[]) =>
  notAsked(real, () =>
    runProgram(['drill', '--profile', real.cluster.name, '--backup', folder, ...more], { timeoutMs: 150_000 }),
  );

/** A backup set whose append-only file has one more write than its snapshot: the file, and the part of the manifest. */
async function withOneMoreWrite(): Promise<{ folder: string; incremental: Manifest['parts']['falkordb'][number] }> {
  const { falkordb } = real.cluster;
  // What is written from now on goes into the file that this one has emptied.
  const set = await real.backup();
  await falkordb.write(
    open,
    'GRAPH.QUERY',
    falkordb.graph,
    "MATCH (a:Memory), (b:Memory) WHERE a.id < b.id AND NOT (a)-[:RELATES]->(b) WITH a, b LIMIT 1 CREATE (a)-[:RELATES {kind: 'co_occurs', strength: 0.5}]->(b)",
  );
  const inventory = await inventoryFalkordb(falkordb);
  let incremental: Manifest['parts']['falkordb'][number] | undefined;
  const folder = changedSet(set, (manifest, at) => {
    incremental = manifest.parts.falkordb.find((part) => part.file.endsWith('.incr.aof'))!;
    const live = readFileSync(join(real.places.falkordbData, incremental.file.replace('falkordb/', '')));
    expect(live.length).toBeGreaterThan(0);
    writeFileSync(join(at, incremental.file), live);
    vouchFor(incremental, at);
    manifest.inventory!.falkordb = inventory;
    // One more relation changes what the graph adds to a score.
    manifest.goldenSearches = [];
  });
  return { folder, incremental: incremental! };
}

/** Where the last command of an append-only file begins. */
function lastCommand(bytes: Buffer): number {
  const starts = [...bytes.toString('latin1').matchAll(/(?<=^|\r\n)\*\d+\r\n\$/g)].map((match) => match.index);
  return starts.at(-1)!;
}

const changes: Record<string, { make: () => string | Promise<string>; says: RegExp }> = {
  'one of whose collections is missing': {
    make: () =>
      changedSet(backup, (manifest, at) => {
        const [part] = manifest.parts.qdrant.splice(0, 1);
        rmSync(join(at, part!.file));
      }),
    says: /compare +NOT EQUAL qdrant.*collections/,
  },
  'whose append-only file was cut between two commands': {
    make: async () => {
      const { folder, incremental } = await withOneMoreWrite();
      const bytes = readFileSync(join(folder, incremental.file));
      writeFileSync(join(folder, incremental.file), bytes.subarray(0, lastCommand(bytes)));
      return changedManifest(folder, (manifest) =>
        vouchFor(manifest.parts.falkordb.find((part) => part.file === incremental.file)!, folder),
      );
    },
    says: /NOT EQUAL falkordb.*co_occurs relationships: expected (\d+), found \d+/,
  },
  'whose Postgres part is older than the rest': {
    make: () =>
      changedSet(backup, (manifest, at) => {
        const file = join(at, manifest.parts.postgres!.file);
        writeFileSync(file, readFileSync(older.postgres!.file));
        vouchFor(manifest.parts.postgres!, at);
        manifest.inventory!.postgres = older.inventory!.postgres!;
        manifest.goldenSearches = [];
      }),
    says: /cross-check +NOT EQUAL qdrant.*stray vectors/,
  },
  'in which the golden scores are others': {
    make: () =>
      changedSet(backup, (manifest) => {
        for (const one of manifest.goldenSearches[0]!.results) one.score += 0.05;
      }),
    says: /recall +NOT EQUAL novamem search .*golden search: one memory: expected score 0\.\d+, found score 0\.\d+/,
  },
  'that was made by a newer Postgres': {
    make: () =>
      changedSet(backup, (manifest) => {
        manifest.inventory!.postgres!.serverVersion = '99.1 (Debian 99.1-1)';
        manifest.parts.postgres!.serverVersion = '99.1';
      }),
    says: /Postgres \d+\.\d+ is here, and the backup's was 99\.1\.\nNothing was restored\.\nNext: install PostgreSQL 99 /,
  },
  'that was made by a newer Qdrant': {
    make: () =>
      changedSet(backup, (manifest) => {
        manifest.inventory!.qdrant!.serverVersion = '1.99.0';
        for (const part of manifest.parts.qdrant) part.serverVersion = '1.99.0';
      }),
    says: /Qdrant 1\.16\.\d+ is here, and the backup's was 1\.99\.0/,
  },
};

function changedManifest(folder: string, change: (manifest: Manifest) => void): string {
  const file = join(folder, 'manifest.json');
  const manifest = JSON.parse(readFileSync(file, 'utf8')) as Manifest;
  change(manifest);
  writeFileSync(file, JSON.stringify(manifest));
  return folder;
}

test('of a backup with one more write in its append-only file has everything back: nothing but the cut makes the next one fail', async () => {
  const { folder } = await withOneMoreWrite();
  const ended = await drill(folder);
  // Without golden searches no score is proven.
  expect(ended.exitCode, ended.stdout + ended.stderr).toBe(4);
});

test('a drill makes the roles that the dump names, and restores rights and owners', async () => {
  await real.sql(
    'CREATE ROLE "app owner" NOLOGIN; CREATE TABLE kept_notes (); ALTER TABLE kept_notes OWNER TO "app owner"; GRANT USAGE ON SCHEMA public TO "app owner"',
  );
  const set = await real.backup();
  const ended = await drill(set.folder);
  await real.sql('DROP TABLE kept_notes; REVOKE ALL ON SCHEMA public FROM "app owner"; DROP ROLE "app owner"');
  expect(ended.exitCode, ended.stdout + ended.stderr).toBe(0);
});

test.each([
  'SIGTERM',
  'SIGINT',
] as const)('a drill that is told to end (%s) takes its cluster down', async (signal) => {
  const child = spawn(
    process.execPath,
    [PROGRAM, 'drill', '--profile', real.cluster.name, '--backup', backup.folder],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (said += text));
  const ended = once(child, 'close');
  await eventually('it restores', () => /restore-qdrant +started/.test(said), 60_000);
  child.kill(signal);
  expect((await ended)[0], said).toBe(130);
  expect(listRecords().map((record) => record.name)).toEqual([real.cluster.name]);
});

describe('a drill of a set that lies where nobody can write', () => {
  /** It can only be read until the test has ended; why that cannot be had here, else empty. */
  function closed(folder: string): string {
    const mount = (options: string) => whyNot('mount', '-o', options, folder, folder);
    const refused = mount('bind') || mount('remount,bind,ro');
    onTestFinished(() => void spawnSync('umount', [folder]));
    return refused;
  }

  test('proves it', async ({ skip }) => {
    const folder = changedSet(backup, () => {});
    const refused = closed(folder);
    skip(refused !== '', refused);
    expect(() => writeFileSync(join(folder, 'another'), '')).toThrow('EROFS');
    const ended = await drill(folder);
    expect(ended.exitCode, ended.stdout + ended.stderr).toBe(0);
  });

  test('finds that its graph is of a format that this server does not know', async ({ skip }) => {
    const folder = changedSet(backup, (manifest, at) => {
      const base = manifest.parts.falkordb.find((part) => part.file.endsWith('.base.rdb'))!;
      const bytes = readFileSync(join(at, base.file));
      bytes.write('0099', 'REDIS'.length);
      writeFileSync(join(at, base.file), bytes);
      vouchFor(base, at);
    });
    const refused = closed(folder);
    skip(refused !== '', refused);
    const ended = await drill(folder);
    expect(ended.exitCode, ended.stdout + ended.stderr).toBe(1);
    expect(ended.stdout).toMatch(/this server could not load \S+: Can't handle RDB format version 99/);
  });
});

test('a drill with --keep leaves its cluster to be looked at', async () => {
  const ended = await runProgram(['drill', '--profile', real.cluster.name, '--backup', backup.folder, '--keep'], {
    timeoutMs: 150_000,
  });
  expect(ended.exitCode, ended.stdout + ended.stderr).toBe(0);
  const [, name] = /stays up: novamem-runbook --profile (drill-\w+)/.exec(ended.stdout)!;
  const looked = await runProgram(['diagnose', '--profile', name!]);
  expect(looked.stdout).toContain('Postgres holds 303 memories');
  expect(await sandboxDown(name!)).toBe(true);
});

/** The cluster's profile with other words about its drills. */
function profileWith(about: Record<string, unknown>): string {
  const file = join(tempFolder('profile'), 'profile.yaml');
  writeFileSync(file, stringify({ ...real.cluster.profile, drill: about }));
  return file;
}

const statusOf = async (profile: string) =>
  JSON.parse((await runProgram(['status', '--profile', profile, '--format', 'json'])).stdout) as ClusterStatus;

describe('novamem in a drill', () => {
  /** The cluster's profile with a novamem of its own for drills, whose token the profile refers to. */
  function withOwnNovamem(): string {
    const token = readFileSync(real.places.secret('novamem'), 'utf8').trim();
    const drillOf = {
      command: [process.execPath, join(ROOT, 'test', 'support', 'novamem-by-environment.mjs')],
      environment: { DRILL_TOKEN: token },
    };
    return profileWith({ novamem: drillOf });
  }

  test('is the profile’s own where it names one, told its stores by its variables', async () => {
    const ended = await runProgram(['drill', '--profile', withOwnNovamem(), '--backup', backup.folder], {
      timeoutMs: 150_000,
    });
    expect(ended.exitCode, ended.stdout + ended.stderr).toBe(0);
    expect(ended.stdout).toContain("novamem is the profile's own");
    expect(ended.stdout).toContain('novamem-by-environment.mjs');
  });

  test('that is a stand-in is not held to what a real one has scored: an exception, unless the profile waives it', async () => {
    const folder = changedSet(backup, (manifest) => {
      manifest.goldenSearchesBy = 'novamem';
      for (const one of manifest.goldenSearches) for (const result of one.results) result.score /= 2;
    });
    const why = 'a real novamem recorded them, and a stand-in answers';
    const ended = await drill(folder);
    expect(ended.exitCode, ended.stdout + ended.stderr).toBe(4);
    expect(ended.stdout).toContain(`recall: scores are not proven: ${why}`);
    const { name } = real.cluster;
    expect((await statusOf(name)).unproven[0]).toMatchObject({
      why: 'it recovered with exceptions',
      recallUnproven: why,
    });
    const waived = await drill(folder, '--profile', profileWith({ recall: false }));
    expect(waived.exitCode, waived.stdout + waived.stderr).toBe(0);
    expect(waived.stdout).toContain(`scores are not proven: ${why}`);
    expect(await statusOf(name)).toMatchObject({ state: 'proven', unproven: [], proven: { recallUnproven: why } });
    expect((await runProgram(['status', '--profile', name])).stdout).toContain(`recall NOT PROVEN: ${why}\n`);
  });
});

test('a drill by a runbook for one store proves that part, and no more', async () => {
  const file = join(tempFolder('runbook'), 'vectors.yaml');
  const steps = [
    { id: 'vectors', uses: 'qdrant.restore', why: 'The vectors.' },
    {
      id: 'compare',
      uses: 'cluster.inventory',
      needs: ['vectors'],
      with: { stores: ['qdrant'] },
      why: 'All of them.',
    },
  ];
  writeFileSync(file, stringify({ title: 'Vectors', when: 'now', outcome: 'Vectors.', steps }));
  const before = await statusOf(real.cluster.name);
  const ended = await drill(backup.folder, '--scenario', file);
  expect(ended.exitCode, ended.stdout + ended.stderr).toBe(0);
  const { unproven, proven } = await statusOf(real.cluster.name);
  expect(proven).toEqual(before.proven);
  expect(unproven[0]).toMatchObject({ by: 'drill', why: 'it restored no postgres and no falkordb' });
});

describe('a drill of a backup', () => {
  test.each(Object.entries(changes))('%s fails, and says so', async (_, { make, says }) => {
    const ended = await drill(await make());
    expect(ended.exitCode, ended.stdout + ended.stderr).toBe(1);
    expect(ended.stdout + ended.stderr).toMatch(says);
    expect(listRecords().map((record) => record.name)).toEqual([real.cluster.name]);
  });
});
