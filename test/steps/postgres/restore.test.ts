import { createHash } from 'node:crypto';
import { copyFileSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { inspectCommand } from '../../../src/hosts/run-command.js';
import { postgresRestore } from '../../../src/steps/postgres/restore.js';
import type { RestoreFacts } from '../../../src/steps/postgres/restoring.js';
import type { AnyStepKind } from '../../../src/steps/step.js';
import type { BackupSet } from '../../../src/stores/backup-set/backup-set.js';
import { equal } from '../../../src/stores/check.js';
import { quoteIdentifier } from '../../../src/stores/postgres/connection.js';
import {
  comparePostgres,
  inventoryPostgres,
  type PostgresInventory,
} from '../../../src/stores/postgres/inventory.js';
import { toolsFor } from '../../../src/stores/postgres/tools.js';
import { eventually } from '../../support/eventually.js';
import {
  findings,
  follow,
  perform,
  type RealCluster,
  realCluster,
  recordingGateway,
  unequal,
} from '../../support/sandbox.js';
import { tempFolder } from '../../support/temp.js';
import { attempt, retry, step, tinyRun, undo } from '../../support/tiny-run.js';

const ENDING = postgresRestore.params.parse({ sessions: 'end' });

let real: RealCluster;
let backup: BackupSet;

beforeAll(async () => {
  real = await realCluster();
  backup = await real.backup();
});

const now = () => inventoryPostgres(real.cluster.postgres);
/** What differs between two inventories, as sentences. */
const differences = (expected: PostgresInventory, actual: PostgresInventory) =>
  comparePostgres(expected, actual)
    .filter((check) => !check.ok)
    .map((check) => `${check.subject}, ${check.what}: expected ${check.expected}, found ${check.actual}`);

/** Makes the database differ from the backup: rows too many, too few and changed. */
async function disturb(): Promise<PostgresInventory> {
  await real.sql(`
    INSERT INTO metrics_samples (name, value, sampled_at) SELECT 'new', n, now() FROM generate_series(1, 40) n;
    DELETE FROM admin_audit_log WHERE id % 2 = 0;
    UPDATE memory_entries SET content = 'altered' WHERE id IN (SELECT id FROM memory_entries LIMIT 5);
    DELETE FROM memory_entries WHERE id IN (SELECT id FROM memory_entries WHERE content <> 'altered' LIMIT 50)`);
  const inventory = await now();
  expect(differences(backup.inventory!.postgres!, inventory)).not.toEqual([]);
  return inventory;
}

/** A dump as an operator would make it, with the checksum that a manifest would hold. */
async function dumpOf(...options: string[]): Promise<BackupSet> {
  const { postgres } = real.cluster;
  const tools = await toolsFor(15);
  const file = join(tempFolder('dump'), 'novamem.dump');
  const dumped = await inspectCommand({
    file: `${tools.bin}/pg_dump`,
    args: [...postgres.toolArguments, '--format', 'custom', ...options, '--file', file, postgres.database],
    ...postgres.toolEnvironment,
  });
  if (dumped.exitCode !== 0) throw new Error(dumped.stderr);
  const bytes = readFileSync(file);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  return {
    ...backup,
    postgres: { file, bytes: bytes.length, sha256 },
    inventory: { takenAt: '', postgres: await now() },
  };
}

const contextWith = (set: BackupSet, more = {}) => real.context({ backup: set, ...more });

beforeEach(async () => {
  const { error } = await perform(postgresRestore, { strategy: 'swap', sessions: 'end' }, contextWith(backup));
  if (error) throw error;
  for (const { name } of await real.sql(`SELECT datname AS name FROM pg_database WHERE datname LIKE 'novamem\\_%'`))
    await real.sql(`DROP DATABASE ${quoteIdentifier(name)} WITH (FORCE)`, 'postgres');
});

describe('restoring Postgres with the strategy clean', () => {
  test('brings a populated database back exactly: rows too many, too few and altered', async () => {
    await real.sql(`INSERT INTO memory_entries (id, user_id, content, source, content_hash, created_at, updated_at, embedded_at)
                    VALUES ('NEWER', 'acme', 'x', 'api', 'x', now(), now(), now())`);
    const before = await disturb();
    const ctx = contextWith(backup);
    const { facts, safetyCopies, error } = await perform(postgresRestore, { sessions: 'end' }, ctx);
    expect(error).toBeUndefined();
    expect(postgresRestore.conclusion!(facts as RestoreFacts)?.text).toBe(
      `1 memory that was newer than the backup is only in ${facts.safetyDump} now`,
    );
    expect(await unequal(postgresRestore, {}, ctx, facts)).toEqual([]);
    expect(differences(backup.inventory!.postgres!, await now())).toEqual([]);
    expect(safetyCopies.map((copy) => copy.at)).toEqual([facts.safetyDump]);
    const undone = await follow(postgresRestore.undo!(postgresRestore.params.parse({}), ctx, facts));
    expect(undone.error).toBeUndefined();
    expect(differences(before, await now())).toEqual([]);
  });

  test('creates an absent database with the locale of the dump, fills it, and leaves statistics', async () => {
    await real.sql('DROP DATABASE novamem WITH (FORCE)', 'postgres');
    const ctx = contextWith(backup);
    const { facts, safetyCopies, error } = await perform(postgresRestore, {}, ctx);
    expect(error).toBeUndefined();
    expect(safetyCopies).toEqual([]);
    expect(await unequal(postgresRestore, {}, ctx, facts)).toEqual([]);
    expect(differences(backup.inventory!.postgres!, await now())).toEqual([]);
    const [statistics] = await real.sql(
      `SELECT count(*)::int AS columns FROM pg_stats WHERE tablename = 'memory_entries'`,
    );
    expect(statistics?.columns).toBeGreaterThan(0);
    const [locale] = await real.sql(`SELECT datcollate FROM pg_database WHERE datname = 'novamem'`);
    expect(locale?.datcollate).toBe('C.UTF-8');
  });

  test('P3: a table newer than the dump stays, which is said before and after', async () => {
    await real.sql('CREATE TABLE newer (id int); INSERT INTO newer VALUES (1)');
    const ctx = contextWith(backup);
    expect(await findings(postgresRestore, {}, ctx)).toContainEqual(
      expect.stringMatching(/^warning: 1 table .*public\.newer/),
    );
    const { facts, error } = await perform(postgresRestore, { sessions: 'end' }, ctx);
    expect(error).toBeUndefined();
    const checks = await postgresRestore.verify(ENDING, ctx, facts as Parameters<typeof postgresRestore.verify>[2]);
    expect(checks.find((check) => check.what === 'tables')?.actual).toMatch(/not from the backup: public\.newer/);
    expect(await real.sql('SELECT id FROM newer')).toEqual([{ id: 1 }]);
  });

  test('P2: a view newer than the dump blocks its DROP: the restore fails, and leaves the database as it was', async () => {
    await real.sql('CREATE VIEW newer_view AS SELECT content FROM memory_entries');
    const before = await disturb();
    const { error } = await perform(postgresRestore, { sessions: 'end' }, contextWith(backup));
    expect(error?.message).toMatch(/pg_restore ended with 1: .*newer_view.*|cannot drop table/);
    expect(error?.message).toMatch(/as it was/);
    expect(differences(before, await now())).toEqual([]);
  });

  test('keeps the copy of what was there first when it is tried again: undo brings that back', async () => {
    const before = await disturb();
    const neverEqual = {
      ...postgresRestore,
      verify: async () => [equal('postgres', 'rows', 1, 2)],
      probe: async () => 'partial',
    } as AnyStepKind;
    const { run, begin } = tinyRun([{ ...step('restore', neverEqual), params: ENDING }], {
      cluster: real.cluster,
      backup,
    });
    await begin();
    await attempt(run, 'restore');
    await retry(run, 'restore');
    await undo(run, 'restore');
    run.intend({ type: 'abort' });
    await run.finished;
    expect(differences(before, await now())).toEqual([]);
  });
});

describe('restoring Postgres with the strategy swap', () => {
  test('keeps the old database under a dated name, and undo puts it back', async () => {
    const before = await disturb();
    const ctx = contextWith(backup);
    const { facts, error } = await perform(postgresRestore, { strategy: 'swap', sessions: 'end' }, ctx);
    expect(error).toBeUndefined();
    expect(facts.keptAs).toMatch(/^novamem_before_\d{8}T\d{9}Z$/);
    expect(await unequal(postgresRestore, { strategy: 'swap' }, ctx, facts)).toEqual([]);
    expect(differences(backup.inventory!.postgres!, await now())).toEqual([]);
    const [kept] = await real.sql(
      `SELECT count(*)::int AS count FROM memory_entries WHERE content = 'altered'`,
      facts.keptAs,
    );
    expect(kept?.count).toBe(5);
    const undone = await follow(
      postgresRestore.undo!(postgresRestore.params.parse({ strategy: 'swap' }), ctx, facts),
    );
    expect(undone.error).toBeUndefined();
    expect(differences(before, await now())).toEqual([]);
  });

  test('is undone also when it stopped between its two renames', async () => {
    const before = await disturb();
    await real.sql('ALTER DATABASE novamem RENAME TO novamem_before_x', 'postgres');
    const params = postgresRestore.params.parse({ strategy: 'swap' });
    const undone = await follow(postgresRestore.undo!(params, contextWith(backup), { keptAs: 'novamem_before_x' }));
    const [there] = await real.sql(
      `SELECT count(*)::int AS count FROM pg_database WHERE datname = 'novamem'`,
      'postgres',
    );
    if (there?.count === 0) await real.sql('ALTER DATABASE novamem_before_x RENAME TO novamem', 'postgres');
    expect(undone.error).toBeUndefined();
    expect(differences(before, await now())).toEqual([]);
  });
});

describe('a dump that is not the one that was backed up is refused before anything is changed:', () => {
  test('P10: one with a single byte altered, which pg_restore reads without a complaint', async () => {
    const set = await dumpOf('--compress', '0');
    const bytes = readFileSync(set.postgres!.file);
    const at = bytes.indexOf('see ticket');
    bytes[at] = 'S'.charCodeAt(0);
    writeFileSync(set.postgres!.file, bytes);
    const before = await disturb();
    const { gateway, changes } = recordingGateway();
    const { error, safetyCopies } = await perform(postgresRestore, {}, contextWith(set, { gateway }));
    expect(error?.message).toMatch(/not the one that was backed up: its SHA-256 is/);
    expect([changes, safetyCopies]).toEqual([[], []]);
    expect(differences(before, await now())).toEqual([]);
  });

  test('P10: one that was cut off, already in the preflight', async () => {
    const file = join(tempFolder('cut'), 'novamem.dump');
    copyFileSync(backup.postgres!.file, file);
    truncateSync(file, backup.postgres!.bytes - 1000);
    const set = { ...backup, postgres: { ...backup.postgres!, file } };
    expect(await findings(postgresRestore, {}, contextWith(set))).toContainEqual(
      expect.stringMatching(/^blocking: .*the manifest says .*cut off/),
    );
    const { gateway, changes } = recordingGateway();
    const { error } = await perform(
      postgresRestore,
      {},
      contextWith({ ...set, postgres: { file, bytes: 1 } }, { gateway }),
    );
    expect(error).toBeDefined();
    expect(changes).toEqual([]);
  });

  test('one that is absent', async () => {
    const set = { ...backup, postgres: { file: '/nowhere/novamem.dump', bytes: 1 } };
    expect(await findings(postgresRestore, {}, contextWith(set))).toContainEqual(
      expect.stringMatching(/^blocking: the dump \/nowhere\/novamem\.dump is not there/),
    );
  });
});

describe('a role that this server does not have is a blocking finding', () => {
  const drop = (role: string) => `DROP OWNED BY ${role}; DROP ROLE ${role}`;

  test('P5: when it owns something in the dump', async () => {
    await real.sql('CREATE ROLE ghost; ALTER TABLE cold_orphans OWNER TO ghost');
    const set = await dumpOf();
    await real.sql('ALTER TABLE cold_orphans OWNER TO novamem; DROP ROLE ghost');
    const said = await findings(postgresRestore, {}, contextWith(set));
    expect(said).toContainEqual(expect.stringMatching(/^blocking: .*ghost.* is no role/));
    const ignoring = await findings(postgresRestore, { owners: 'ignore' }, contextWith(set));
    expect(ignoring.filter((line) => line.startsWith('blocking'))).toEqual([]);
    const ctx = contextWith(set);
    const { facts, error } = await perform(postgresRestore, { owners: 'ignore', sessions: 'end' }, ctx);
    expect(error).toBeUndefined();
    expect(await unequal(postgresRestore, {}, ctx, facts)).toEqual([]);
  });

  test('P5: when something in the dump is granted to it', async () => {
    await real.sql('CREATE ROLE reader; GRANT SELECT ON memory_entries TO reader');
    const set = await dumpOf();
    await real.sql(drop('reader'));
    expect(await findings(postgresRestore, {}, contextWith(set))).toContainEqual(
      expect.stringMatching(/^blocking: .*reader/),
    );
  });
});

describe('another session in the database', () => {
  /** Restores while a session holds a lock; answers once that session was named, and aborts. */
  async function namedWhile(lock: string): Promise<string[]> {
    const holder = await real.session();
    const abort = new AbortController();
    const output: string[] = [];
    try {
      await holder.query(`BEGIN; ${lock}`);
      const [{ pid }] = (await holder.query('SELECT pg_backend_pid() AS pid')).rows as [{ pid: number }];
      const said = await findings(postgresRestore, {}, contextWith(backup));
      expect(said).toContainEqual(expect.stringMatching(new RegExp(`^warning: .*${pid} somebody else as novamem`)));
      const running = perform(postgresRestore, {}, contextWith(backup), {
        signal: abort.signal,
        onOutput: (line) => output.push(line),
      });
      await eventually(
        'the session is named',
        () => output.some((line) => line.includes(`session ${pid}`)),
        12_000,
      ).finally(() => abort.abort());
      expect((await running).error).toBeDefined();
      return output;
    } finally {
      abort.abort();
      await holder.end();
    }
  }

  test('P6: that holds a lock on rows is named while the restore waits; an abort leaves the database as it was', async () => {
    const before = await disturb();
    await namedWhile(`UPDATE memory_entries SET source = 'x' WHERE id = (SELECT min(id) FROM memory_entries)`);
    expect(differences(before, await now())).toEqual([]);
  });

  test('P6: that holds a whole table is named as well, though already the safety copy waits for it', async () => {
    await namedWhile('LOCK TABLE memory_entries IN ACCESS EXCLUSIVE MODE');
  });

  test('P6: is ended where that was asked for, and the restore goes on', async () => {
    await disturb();
    const holder = await real.session();
    await holder.query('BEGIN; LOCK TABLE memory_entries IN ACCESS EXCLUSIVE MODE');
    const ctx = contextWith(backup);
    const { error, facts } = await perform(postgresRestore, { sessions: 'end' }, ctx);
    await holder.end().catch(() => {});
    expect(error).toBeUndefined();
    expect(await unequal(postgresRestore, {}, ctx, facts)).toEqual([]);
  });
});

test('the plan counts live what would be destroyed', async () => {
  await real.sql(`INSERT INTO memory_entries (id, user_id, content, source, content_hash, created_at, updated_at)
                  VALUES ('NEW', 'acme', 'x', 'api', 'x', now(), now()); ANALYZE`);
  const [row] = await real.sql('SELECT count(*)::int AS count FROM memory_entries');
  const plan = await postgresRestore.plan(postgresRestore.params.parse({}), contextWith(backup));
  expect(plan.destroys[0]).toBe(`${row?.count} memories, 1 of them newer than this backup`);
  expect(plan.commands[0]).toMatch(/pg_restore .*--single-transaction/);
  expect(plan.commands[0]).toContain('PGPASSWORD="$(cat ');
});
