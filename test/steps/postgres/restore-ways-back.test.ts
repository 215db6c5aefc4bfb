import { chownSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openGateway } from '../../../src/hosts/gateway.js';
import { inspectCommand } from '../../../src/hosts/run-command.js';
import { postgresRestore } from '../../../src/steps/postgres/restore.js';
import type { StepContext } from '../../../src/steps/step.js';
import type { BackupSet } from '../../../src/stores/backup-set/backup-set.js';
import { openBackupSet } from '../../../src/stores/backup-set/open-backup-set.js';
import { Cluster } from '../../../src/stores/cluster.js';
import { quoteIdentifier } from '../../../src/stores/postgres/connection.js';
import { readContents } from '../../../src/stores/postgres/dump.js';
import {
  comparePostgres,
  inventoryPostgres,
  type PostgresInventory,
} from '../../../src/stores/postgres/inventory.js';
import { toolsFor } from '../../../src/stores/postgres/tools.js';
import { findings, follow, perform, type RealCluster, realCluster, recordingGateway } from '../../support/sandbox.js';
import { tempFolder } from '../../support/temp.js';

type Facts = Parameters<typeof postgresRestore.verify>[2];

let real: RealCluster;
let backup: BackupSet;

beforeAll(async () => {
  real = await realCluster();
  backup = await real.backup();
});

const params = (given = {}) => postgresRestore.params.parse({ sessions: 'end', ...given });
const contextWith = (set: BackupSet, more = {}) => real.context({ backup: set, ...more });
const restore = (ctx: StepContext, given = {}) => perform(postgresRestore, { sessions: 'end', ...given }, ctx);
const undo = (ctx: StepContext, facts: Partial<Facts>, given = {}) =>
  follow(postgresRestore.undo!(params(given), ctx, facts));
const now = () => inventoryPostgres(real.cluster.postgres);

/** What differs, as sentences; a table too many counts as well. */
function differences(expected: PostgresInventory, actual: PostgresInventory): string[] {
  const tables = Object.keys(actual.tables).filter((name) => !(name in expected.tables));
  return [
    ...comparePostgres(expected, actual)
      .filter((check) => !check.ok)
      .map((check) => `${check.subject}, ${check.what}: expected ${check.expected}, found ${check.actual}`),
    ...tables.map((name) => `${name} is too many`),
  ];
}

async function disturb(): Promise<PostgresInventory> {
  await real.sql(`
    INSERT INTO metrics_samples (name, value, sampled_at) SELECT 'new', n, now() FROM generate_series(1, 40) n;
    DELETE FROM admin_audit_log WHERE id % 2 = 0`);
  const inventory = await now();
  expect(differences(backup.inventory!.postgres!, inventory)).not.toEqual([]);
  return inventory;
}

/** A folder with a dump in it, as an operator would make it. */
async function looseDump(...options: string[]): Promise<BackupSet> {
  const { postgres } = real.cluster;
  const tools = await toolsFor(15);
  const folder = tempFolder('dump');
  const dumped = await inspectCommand({
    file: `${tools.bin}/pg_dump`,
    args: [
      ...postgres.toolArguments,
      '--format',
      'custom',
      ...options,
      '--file',
      join(folder, 'novamem.dump'),
      postgres.database,
    ],
    ...postgres.toolEnvironment,
  });
  if (dumped.exitCode !== 0) throw new Error(dumped.stderr);
  return openBackupSet(folder);
}

const databases = async () =>
  (await real.sql('SELECT datname AS name FROM pg_database WHERE NOT datistemplate ORDER BY 1', 'postgres')).map(
    (row) => row.name as string,
  );
/** The settings of a database itself. */
const settingsOf = async (database: string) => {
  const rows = await real.sql(
    `SELECT setconfig FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase
      WHERE setrole = 0 AND datname = '${database}'`,
    'postgres',
  );
  return rows.flatMap((row) => row.setconfig as string[]);
};

beforeEach(async () => {
  const { error } = await restore(contextWith(backup), { strategy: 'swap' });
  if (error) throw error;
  for (const name of (await databases()).filter((one) => !['novamem', 'postgres'].includes(one)))
    await real.sql(`DROP DATABASE ${quoteIdentifier(name)} WITH (FORCE)`, 'postgres');
});

describe('undo', () => {
  test.each([
    'clean',
    'swap',
  ])('of a step (%s) that had only counted the rows of its dump moves nothing away', async (strategy) => {
    const before = await disturb();
    const standing = await databases();
    const { gateway, changes } = recordingGateway();
    const undone = await undo(
      contextWith(backup, { gateway }),
      { rows: { 'public.memory_entries': 1 }, tables: ['public.memory_entries'] },
      { strategy },
    );
    expect(undone.error).toBeUndefined();
    expect(changes).toEqual([]);
    expect(await databases()).toEqual(standing);
    expect(differences(before, await now())).toEqual([]);
  });

  test('brings back the original also after swap was run a second time', async () => {
    const before = await disturb();
    const ctx = contextWith(backup);
    const first = await restore(ctx, { strategy: 'swap' });
    expect(first.error).toBeUndefined();
    const second = await restore({ ...ctx, earlier: { ...first.facts } }, { strategy: 'swap' });
    expect(second.error).toBeUndefined();
    expect(second.facts.keptAs).toBe(first.facts.keptAs);
    const undone = await undo(ctx, { ...first.facts, ...second.facts }, { strategy: 'swap' });
    expect(undone.error).toBeUndefined();
    expect(differences(before, await now())).toEqual([]);
  });

  test('finds the original in its place after the renaming was refused: both names change, or neither', async () => {
    const before = await disturb();
    const refusing = openGateway(({ text }) => {
      if (/RENAME TO "?novamem"?(?!\w)/.test(text)) throw new Error('other users are accessing it');
    });
    const { facts, error } = await restore(contextWith(backup, { gateway: refusing }), { strategy: 'swap' });
    expect(error?.message).toMatch(/other users are accessing it/);
    expect(differences(before, await now())).toEqual([]);
    const undone = await undo(contextWith(backup), facts, { strategy: 'swap' });
    expect(undone.error).toBeUndefined();
    expect(differences(before, await now())).toEqual([]);
  });

  test('of clean, too, leaves no table behind that had been dropped before and now refers to others', async () => {
    await real.sql('DROP TABLE memory_relations, memory_fts');
    const before = await disturb();
    const ctx = contextWith(backup);
    const { facts, error } = await restore(ctx);
    expect(error).toBeUndefined();
    const [restored] = await real.sql(`SELECT to_regclass('memory_relations') IS NOT NULL AS there`);
    expect(restored?.there).toBe(true);
    const undone = await undo(ctx, facts);
    expect(undone.error).toBeUndefined();
    expect(differences(before, await now())).toEqual([]);
    const [gone] = await real.sql(`SELECT to_regclass('memory_relations') IS NULL AS gone`);
    expect(gone?.gone).toBe(true);
  });
});

describe('a swap whose renaming is refused, since somebody is in the database', () => {
  const refusing = { strategy: 'swap', sessions: 'refuse' };
  const REFUSED = /being accessed by other users/;

  /** Does the work while another program is in a database. */
  async function whileSomebodyIsIn<T>(database: string, work: () => Promise<T>): Promise<T> {
    const session = await real.session(database);
    try {
      return await work();
    } finally {
      await session.end();
    }
  }

  /** Everything that is there stays there, under its own name or another. */
  async function identities(): Promise<string[]> {
    const rows = await real.sql('SELECT oid::text FROM pg_database ORDER BY 1', 'postgres');
    return rows.map((row) => row.oid as string);
  }
  const oidOf = async (database: string) =>
    (await real.sql(`SELECT oid::text FROM pg_database WHERE datname = '${database}'`, 'postgres'))[0]?.oid;

  test('leaves it where it is, and undo finds nothing to put back', async () => {
    const before = await disturb();
    const live = await oidOf('novamem');
    const first = await whileSomebodyIsIn('novamem', () => restore(contextWith(backup), refusing));
    expect(first.error?.message).toMatch(REFUSED);
    expect(await oidOf('novamem')).toBe(live);
    const { gateway, changes } = recordingGateway();
    expect((await undo(contextWith(backup, { gateway }), first.facts, refusing)).error).toBeUndefined();
    expect(changes).toEqual([]);
    expect(await oidOf('novamem')).toBe(live);
    expect(differences(before, await now())).toEqual([]);
  });

  test('goes through when it is tried again, and undo then brings back the very database of before', async () => {
    const before = await disturb();
    const live = await oidOf('novamem');
    const ctx = contextWith(backup);
    const first = await whileSomebodyIsIn('novamem', () => restore(ctx, refusing));
    expect(first.error?.message).toMatch(REFUSED);
    const second = await restore({ ...ctx, earlier: { ...first.facts } }, refusing);
    expect(second.error).toBeUndefined();
    expect(differences(backup.inventory!.postgres!, await now())).toEqual([]);
    const standing = await identities();
    expect((await undo(ctx, { ...first.facts, ...second.facts }, refusing)).error).toBeUndefined();
    expect(await oidOf('novamem')).toBe(live);
    expect(differences(before, await now())).toEqual([]);
    expect(await identities()).toEqual(expect.arrayContaining(standing));
  });

  test('when the new one was to take its name, is undone with the very database of before', async () => {
    const before = await disturb();
    const live = await oidOf('novamem');
    const ctx = contextWith(backup);
    const entered: ReturnType<typeof real.session>[] = [];
    const first = await perform(postgresRestore, refusing, ctx, {
      onOutput(line) {
        const [, beside] = /^database (\w+_restoring_\w+) created$/.exec(line) ?? [];
        if (beside) entered.push(real.session(beside));
      },
    });
    for (const session of entered) await (await session).end();
    expect([first.error?.message, entered.length]).toEqual([expect.stringMatching(REFUSED), 1]);
    expect(await oidOf('novamem')).toBe(live);
    const standing = await identities();
    expect((await undo(ctx, first.facts, refusing)).error).toBeUndefined();
    expect(await oidOf('novamem')).toBe(live);
    expect(differences(before, await now())).toEqual([]);
    expect(await identities()).toEqual(standing);
  });

  test.each([
    'novamem',
    'the one that is kept',
  ])('and that of its undo as well (%s), is undone once nobody is there', async (which) => {
    const before = await disturb();
    const live = await oidOf('novamem');
    const ctx = contextWith(backup);
    const { facts, error } = await restore(ctx, refusing);
    expect(error).toBeUndefined();
    const standing = await identities();
    const restored = await oidOf('novamem');
    const database = which === 'novamem' ? which : facts.keptAs!;
    const first = await whileSomebodyIsIn(database, () => undo(ctx, facts, refusing));
    expect(first.error?.message).toMatch(REFUSED);
    expect(await oidOf('novamem')).toBe(restored);
    expect((await undo(ctx, { ...facts, ...first.facts }, refusing)).error).toBeUndefined();
    expect(await oidOf('novamem')).toBe(live);
    expect(differences(before, await now())).toEqual([]);
    expect(await identities()).toEqual(standing);
  });

  test('is undone at once where sessions in the way may be ended', async () => {
    const before = await disturb();
    const ctx = contextWith(backup);
    const { facts, error } = await restore(ctx, { strategy: 'swap' });
    expect(error).toBeUndefined();
    const undone = await whileSomebodyIsIn('novamem', () => undo(ctx, facts, { strategy: 'swap' }));
    expect(undone.error).toBeUndefined();
    expect(differences(before, await now())).toEqual([]);
  });
});

test('the undo of clean that was refused is done by the next one, and not taken for done', async () => {
  const before = await disturb();
  const ctx = contextWith(backup);
  const { facts, error } = await restore(ctx);
  expect(error).toBeUndefined();
  const session = await real.session();
  const first = await undo(ctx, facts, { sessions: 'refuse' });
  await session.end();
  expect(first.error?.message).toMatch(/being accessed by other users/);
  const known = { ...facts, ...first.facts };
  expect((await undo({ ...ctx, earlier: known }, known, { sessions: 'refuse' })).error).toBeUndefined();
  expect(differences(before, await now())).toEqual([]);
});

test('undo leaves no database where there was none, also after swap was run a second time', async () => {
  await real.sql('DROP DATABASE novamem WITH (FORCE)', 'postgres');
  const ctx = contextWith(backup);
  const first = await restore(ctx, { strategy: 'swap' });
  expect(first.error).toBeUndefined();
  const second = await restore({ ...ctx, earlier: { ...first.facts } }, { strategy: 'swap' });
  expect(second.error).toBeUndefined();
  expect((await undo(ctx, { ...first.facts, ...second.facts }, { strategy: 'swap' })).error).toBeUndefined();
  expect(await databases()).not.toContain('novamem');
});

describe('a restore that failed late, at a right for a role that does not exist', () => {
  let granting: BackupSet;

  beforeEach(async () => {
    await real.sql('CREATE ROLE reader; GRANT SELECT ON memory_entries TO reader');
    granting = await looseDump();
    await real.sql('DROP OWNED BY reader; DROP ROLE reader');
  });

  test('is not taken for done in a new database, though every row is there', async () => {
    await real.sql('DROP DATABASE novamem WITH (FORCE)', 'postgres');
    const ctx = contextWith(granting);
    const { facts, error } = await restore(ctx);
    expect(error?.message).toMatch(/reader/);
    const checks = await postgresRestore.verify(params(), ctx, facts as Facts);
    expect(checks.filter((check) => !check.ok)).toEqual([]);
    expect(await postgresRestore.probe(params(), ctx, facts)).toBe('partial');
  });

  test('is not taken for done where it was rolled back to rows that happen to be those of the dump', async () => {
    const ctx = contextWith(granting);
    const { facts, error } = await restore(ctx);
    expect(error?.message).toMatch(/rolled back/);
    expect(await postgresRestore.probe(params(), ctx, facts)).toBe('partial');
  });

  test('is done once it went through', async () => {
    const ctx = contextWith(granting);
    const { facts, error } = await restore(ctx, { owners: 'ignore' });
    expect(error).toBeUndefined();
    expect(await postgresRestore.probe(params(), ctx, facts)).toBe('done');
  });
});

test.each([
  'clean',
  'swap',
])('a dump of the schema only is refused (%s) before anything is changed', async (strategy) => {
  const set = await looseDump('--schema-only');
  const before = await disturb();
  const { gateway, changes } = recordingGateway();
  const { error, safetyCopies } = await restore(contextWith(set, { gateway }), { strategy });
  expect(error?.message).toMatch(/no rows in it .*Nothing was dropped/);
  expect([changes, safetyCopies]).toEqual([[], []]);
  expect(differences(before, await now())).toEqual([]);
});

describe('the settings of the database itself', () => {
  /** A dump of the database with one setting, which the database then no longer has. */
  async function dumpWithSetting(): Promise<BackupSet> {
    await real.sql(`ALTER DATABASE novamem SET work_mem = '8MB'`, 'postgres');
    const set = await looseDump();
    await real.sql(`ALTER DATABASE novamem SET work_mem = '64MB'`, 'postgres');
    return set;
  }

  test.each([
    'clean',
    'swap',
  ])('come back into one that is there (%s); undo takes them away again', async (strategy) => {
    const ctx = contextWith(await dumpWithSetting());
    const { facts, error } = await restore(ctx, { strategy });
    expect(error).toBeUndefined();
    expect(await settingsOf('novamem')).toEqual(['work_mem=8MB']);
    expect((await undo(ctx, facts, { strategy })).error).toBeUndefined();
    expect(await settingsOf('novamem')).toEqual(['work_mem=64MB']);
  });

  test('come back when a first attempt had made the database and then failed', async () => {
    const set = await dumpWithSetting();
    await real.sql('DROP DATABASE novamem WITH (FORCE)', 'postgres');
    const failing = openGateway(({ text }) => {
      if (text.includes('pg_restore')) throw new Error('no memory');
    });
    const first = await restore(contextWith(set, { gateway: failing }));
    expect(first.error?.message).toMatch(/no memory/);
    const second = await restore(contextWith(set, { earlier: { ...first.facts } }));
    expect(second.error).toBeUndefined();
    expect(await settingsOf('novamem')).toEqual(['work_mem=8MB']);
  });

  test('are set on the database that is restored into, not on the one that was dumped', async () => {
    const set = await dumpWithSetting();
    const { profile } = real.cluster;
    const staging = new Cluster({
      ...profile,
      postgres: { ...profile.postgres, url: profile.postgres.url.replace(/novamem$/, 'staging') },
    });
    const { error } = await restore(contextWith(set, { cluster: staging }));
    expect(error).toBeUndefined();
    expect(await settingsOf('staging')).toEqual(['work_mem=8MB']);
    expect(await settingsOf('novamem')).toEqual(['work_mem=64MB']);
  });

  test('are not what a line in the body of a function says', async () => {
    await real.sql('CREATE DATABASE prod', 'postgres');
    await real.sql(`CREATE FUNCTION tune() RETURNS void LANGUAGE plpgsql AS $body$
BEGIN
EXECUTE $text$
ALTER DATABASE prod SET work_mem = '1MB';
COMMENT ON DATABASE prod IS 'altered';

--
-- Name: novamem; Type: DATABASE PROPERTIES; Schema: -; Owner: -
--

ALTER DATABASE novamem SET work_mem = '1MB';
$text$;
END
$body$`);
    const set = await looseDump();
    const { gateway, changes } = recordingGateway();
    const { error } = await restore(contextWith(set, { gateway }));
    expect(error).toBeUndefined();
    expect(changes.filter(({ text }) => /1MB|altered|prod/.test(text))).toEqual([]);
    expect([await settingsOf('prod'), await settingsOf('novamem')]).toEqual([[], []]);
    const [there] = await real.sql(`SELECT to_regproc('tune') IS NOT NULL AS there`);
    expect(there?.there).toBe(true);
  });
});

test('a table in a tablespace does not make an owner that no server has', async () => {
  const folder = tempFolder('tablespace');
  const { uid, gid } = statSync(real.places.postgresData);
  chownSync(folder, uid, gid);
  await real.sql(`CREATE TABLESPACE fast LOCATION '${folder}'`, 'postgres');
  try {
    await real.sql('CREATE TABLE kept_fast (id int) TABLESPACE fast');
    const set = await looseDump();
    expect((await readContents(await toolsFor(15), set.postgres!.file)).roles).toEqual(['novamem']);
    const said = await findings(postgresRestore, {}, contextWith(set));
    expect(said.filter((line) => line.startsWith('blocking'))).toEqual([]);
  } finally {
    await real.sql('DROP TABLE IF EXISTS kept_fast');
    await real.sql('DROP TABLESPACE fast', 'postgres');
  }
});
