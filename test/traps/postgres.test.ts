import { chmodSync, mkdirSync, openSync, readSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { inspectCommand } from '../../src/hosts/run-command.js';
import { postgresRestore } from '../../src/steps/postgres/restore.js';
import { restoreCommand, restoreParams } from '../../src/steps/postgres/restoring.js';
import type { BackupSet } from '../../src/stores/backup-set/backup-set.js';
import { openBackupSet } from '../../src/stores/backup-set/open-backup-set.js';
import { quoteIdentifier } from '../../src/stores/postgres/connection.js';
import { type Installation, toolsFor } from '../../src/stores/postgres/tools.js';
import { findings, perform, type RealCluster, realCluster, recordingGateway, unequal } from '../support/sandbox.js';
import { tempFolder } from '../support/temp.js';

// Traps of restoring a dump, each provoked with Postgres' own programs first, then met by the step.

const LEDGER = 50_000;

let real: RealCluster;
let tools: Installation;
let backup: BackupSet;

beforeAll(async () => {
  real = await realCluster(300);
  tools = await toolsFor(15);
  await real.sql(`
    CREATE TABLE ledger AS SELECT n AS id, md5(n::text) AS entry FROM generate_series(1, ${LEDGER}) n;
    ALTER TABLE ledger ADD PRIMARY KEY (id);
    CREATE TABLE bare AS SELECT n AS id FROM generate_series(1, 10) n`);
  backup = await dumpNow();
});

/** A folder with a dump of the database as it is now, made as an operator would. */
async function dumpNow(): Promise<BackupSet> {
  const { postgres } = real.cluster;
  const folder = tempFolder('dump');
  const dumped = await inspectCommand({
    file: join(tools.bin, 'pg_dump'),
    args: [...postgres.toolArguments, '--format=custom', '--file', join(folder, 'novamem.dump'), 'novamem'],
    ...postgres.toolEnvironment,
  });
  if (dumped.exitCode !== 0) throw new Error(dumped.stderr);
  return openBackupSet(folder);
}

/** The plain program, as the handbook has it. */
function plainRestore(database: string, dump: string, ...options: string[]) {
  const { postgres } = real.cluster;
  return inspectCommand({
    file: join(tools.bin, 'pg_restore'),
    args: [...postgres.toolArguments, ...options, '--dbname', database, dump],
    ...postgres.toolEnvironment,
  });
}

const contextWith = (set: BackupSet, more = {}) => real.context({ backup: set, ...more });
const restore = (set: BackupSet, given = {}, more = {}) =>
  perform(postgresRestore, { sessions: 'end', ...given }, contextWith(set, more));
const rowsOf = async (table: string, database = 'novamem') =>
  (await real.sql(`SELECT count(*)::int AS rows FROM ${table}`, database))[0]?.rows as number;

/** Another database, empty or as novamem's is now. */
async function scratch(like: 'empty' | 'novamem'): Promise<string> {
  await real.sql('DROP DATABASE IF EXISTS scratch WITH (FORCE)', 'postgres');
  await real.sql('CREATE DATABASE scratch', 'postgres');
  if (like === 'novamem') expect((await plainRestore('scratch', backup.postgres!.file)).exitCode).toBe(0);
  return 'scratch';
}

beforeEach(async () => {
  const { error } = await restore(backup, { strategy: 'swap' });
  if (error) throw error;
  for (const { name } of await real.sql(`SELECT datname AS name FROM pg_database WHERE datname LIKE 'novamem\\_%'`))
    await real.sql(`DROP DATABASE ${quoteIdentifier(name as string)} WITH (FORCE)`, 'postgres');
});

describe('a damaged dump', () => {
  /** The dump with everything behind its first 40 % gone: its table of contents is still whole. */
  async function damaged(): Promise<BackupSet> {
    const set = await dumpNow();
    truncateSync(set.postgres!.file, Math.floor(set.postgres!.bytes * 0.4));
    return openBackupSet(set.folder);
  }

  test('P1: pg_restore --clean destroys what is there before it finds the damage; the step drops nothing', async () => {
    const set = await damaged();
    const { file } = set.postgres!;
    await scratch('novamem');
    expect(await rowsOf('ledger', 'scratch')).toBe(LEDGER);
    const plain = await plainRestore('scratch', file, '--clean', '--if-exists');
    expect(plain.exitCode).toBe(1);
    expect(await rowsOf('ledger', 'scratch')).toBe(0);
    await scratch('novamem');
    await plainRestore('scratch', file, '--clean', '--if-exists', '--single-transaction');
    expect(await rowsOf('ledger', 'scratch')).toBe(LEDGER);

    const { gateway, changes } = recordingGateway();
    for (const strategy of ['clean', 'swap']) {
      const { error } = await restore(set, { strategy }, { gateway });
      expect(error?.message).toMatch(/Nothing was dropped/);
    }
    expect(changes).toEqual([]);
    expect(await rowsOf('ledger')).toBe(LEDGER);
  });

  test('P10: its table of contents can be listed all the same; the preflight reads the whole dump', async () => {
    const set = await damaged();
    const listed = await inspectCommand({
      file: join(tools.bin, 'pg_restore'),
      args: ['--list', set.postgres!.file],
    });
    expect(listed.exitCode).toBe(0);
    expect(await findings(postgresRestore, {}, contextWith(set, { phase: 'preflight' }))).toContainEqual(
      expect.stringMatching(/^blocking: the dump .* is damaged: /),
    );
  });
});

test('P4: --clean without --if-exists on an empty database exits 1 though all is there; the step ends well', async () => {
  const plain = await plainRestore(await scratch('empty'), backup.postgres!.file, '--clean');
  expect(plain.exitCode).toBe(1);
  expect(await rowsOf('ledger', 'scratch')).toBe(LEDGER);

  await real.sql('DROP DATABASE novamem WITH (FORCE)', 'postgres');
  await real.sql('CREATE DATABASE novamem', 'postgres');
  const ctx = contextWith(backup);
  const { facts, error } = await perform(postgresRestore, {}, ctx);
  expect(error).toBeUndefined();
  expect(await unequal(postgresRestore, {}, ctx, facts)).toEqual([]);
});

test('P7: --create --clean goes on into the old database while somebody is connected; the step never uses it, and swap stops', async () => {
  await real.sql('CREATE TABLE newer (id int)');
  const other = await real.session();
  try {
    const plain = await plainRestore('postgres', backup.postgres!.file, '--create', '--clean');
    expect(plain.exitCode).toBe(1);
    expect(plain.stderr).toMatch(/is being accessed by other users/);
    // The old database, with the table that no dump knows, and now with rows twice.
    expect(await rowsOf('newer')).toBe(0);
    expect(await rowsOf('bare')).toBe(20);

    const { gateway, changes } = recordingGateway();
    const { error } = await perform(postgresRestore, { strategy: 'swap' }, contextWith(backup, { gateway }));
    expect(error?.message).toMatch(/is being accessed by other users/);
    expect(await rowsOf('bare')).toBe(20);
    expect(changes.filter(({ text }) => /--create\b/.test(text))).toEqual([]);
    const ended = await restore(backup, { strategy: 'swap' });
    expect(ended.error).toBeUndefined();
    expect(await rowsOf('bare')).toBe(10);
  } finally {
    await other.end().catch(() => {});
  }
});

describe('the programs', () => {
  test('P8: a dump of a newer format is refused before anything is touched, with what pg_restore says of it', async () => {
    const set = await dumpNow();
    const descriptor = openSync(set.postgres!.file, 'r+');
    const version = Buffer.alloc(3);
    readSync(descriptor, version, 0, 3, 5);
    expect([...version]).toEqual([1, 14, 0]);
    writeSync(descriptor, Buffer.of(1, 99, 0), 0, 3, 5);
    const plain = await plainRestore(await scratch('empty'), set.postgres!.file);
    expect(plain.stderr).toMatch(/unsupported version \(1\.99\) in file header/);
    expect(await postgresRestore.check(postgresRestore.params.parse({}), contextWith(set))).toContainEqual({
      level: 'blocking',
      message: expect.stringMatching(/is of a newer PostgreSQL: .*unsupported version \(1\.99\) in file header/),
      next: expect.stringContaining(
        `from a machine with its client programs (Debian: apt-get install postgresql-client-`,
      ),
    });
    const { gateway, changes } = recordingGateway();
    expect((await restore(set, {}, { gateway })).error?.message).toMatch(/unsupported version/);
    expect(changes).toEqual([]);
  });

  test('P8: are chosen by the server’s major version, and not the newest of the machine', async () => {
    const folder = tempFolder('programs');
    for (const version of ['17.11', '14.2']) {
      const bin = join(folder, version);
      mkdirSync(bin);
      // What tells the version of an installation, and nothing else of it.
      writeFileSync(join(bin, 'pg_restore'), `#!/bin/sh\necho 'pg_restore (PostgreSQL) ${version}'\n`);
      chmodSync(join(bin, 'pg_restore'), 0o755);
    }
    vi.stubEnv('PATH', `${join(folder, '17.11')}:${join(folder, '14.2')}:${process.env.PATH}`);
    vi.resetModules();
    const fresh = await import('../../src/stores/postgres/tools.js');
    const majors = (await fresh.installations()).map(({ major }) => major);
    vi.unstubAllEnvs();
    expect([...new Set(majors)]).toEqual([17, 15, 14]);
    const chosen = await Promise.all([17, 16, 15, 14, 13].map(async (major) => (await fresh.toolsFor(major)).major));
    expect(chosen).toEqual([17, 15, 15, 14, 14]);
    expect((await fresh.newestTools()).major).toBe(17);
  });

  test('P9: one transaction and parallel jobs exclude each other, and jobs need a file; no command has both', async () => {
    const { file } = backup.postgres!;
    await scratch('empty');
    const both = await plainRestore('scratch', file, '--single-transaction', '--jobs=2');
    expect([both.exitCode, both.stderr]).toEqual([1, expect.stringMatching(/single-transaction and multiple jobs/)]);

    const p = restoreParams.parse({});
    for (const oneTransaction of [true, false]) {
      const { args } = restoreCommand(real.context(), p, { tools, target: 'x', dump: file, oneTransaction });
      expect(args.includes('--single-transaction')).toBe(oneTransaction);
      expect(args.includes('--jobs')).toBe(!oneTransaction);
      expect(args.at(-1)).toBe(file);
    }
  });
});

test('P11: pg_restore leaves no planner statistics; the step does, with either strategy', async () => {
  const statistics = async (database: string) =>
    (await real.sql(`SELECT count(*)::int AS columns FROM pg_stats WHERE tablename = 'ledger'`, database))[0]
      ?.columns;
  // Whoever comes by in the background must not do it for either.
  await real.sql('ALTER SYSTEM SET autovacuum = off', 'postgres');
  await real.sql('SELECT pg_reload_conf()', 'postgres');
  try {
    await scratch('novamem');
    expect(await statistics('scratch')).toBe(0);
    for (const strategy of ['clean', 'swap']) {
      const { error } = await restore(backup, { strategy });
      expect(error).toBeUndefined();
      expect(await statistics('novamem')).toBe(2);
    }
  } finally {
    await real.sql('ALTER SYSTEM RESET autovacuum', 'postgres');
    await real.sql('SELECT pg_reload_conf()', 'postgres');
  }
});

test('P12: restoring twice without --clean doubles a table that has no primary key; the step twice does not', async () => {
  await scratch('novamem');
  await plainRestore('scratch', backup.postgres!.file);
  expect([await rowsOf('bare', 'scratch'), await rowsOf('ledger', 'scratch')]).toEqual([20, LEDGER]);

  for (const strategy of ['clean', 'clean', 'swap', 'swap']) {
    const { error } = await restore(backup, { strategy });
    expect(error).toBeUndefined();
    expect([await rowsOf('bare'), await rowsOf('ledger')]).toEqual([10, LEDGER]);
  }
});
