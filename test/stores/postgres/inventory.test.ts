import { execFileSync } from 'node:child_process';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  comparePostgres,
  inventoryPostgres,
  type PostgresInventory,
} from '../../../src/stores/postgres/inventory.js';
import { type RealCluster, realCluster } from '../../support/sandbox.js';

let real: RealCluster;
let before: PostgresInventory;

beforeAll(async () => {
  real = await realCluster();
  before = await now();
});

const now = () => inventoryPostgres(real.cluster.postgres);

/** What the comparison says after some SQL: what differs, and what is there besides. Then the SQL is taken back. */
async function seenAfter(change: string, back: string): Promise<string[]> {
  await real.sql(change);
  try {
    return comparePostgres(before, await now())
      .filter((check) => !check.ok || check.actual.includes('not from the backup'))
      .map((check) => `${check.subject} ${check.what}`);
  } finally {
    await real.sql(back);
  }
}

describe('the inventory of Postgres', () => {
  test('is the same when it is taken twice', async () => {
    expect(await now()).toEqual(before);
    expect(before.tables['public.memory_entries']?.rows).toBe(600);
    expect(before.systemIdentifier).toMatch(/^\d+$/);
  });

  test('does not depend on the order of rows on disk', async () => {
    const changed = await seenAfter('CLUSTER memory_entries USING memory_entries_hash', 'SELECT 1');
    expect(changed).toEqual([]);
  });

  test.each([
    [
      'a changed value, though the count is the same',
      `UPDATE projects SET name = name || '!' WHERE id = 'atlas'`,
      `UPDATE projects SET name = rtrim(name, '!') WHERE id = 'atlas'`,
      ['postgres table public.projects row checksum'],
    ],
    [
      'a row too many',
      `INSERT INTO jwks VALUES ('x', 'y', '2026-01-01')`,
      `DELETE FROM jwks`,
      ['postgres table public.jwks rows', 'postgres table public.jwks row checksum'],
    ],
    ['a table too many', 'CREATE TABLE extra (id int)', 'DROP TABLE extra', ['postgres tables', 'postgres owners']],
    [
      'a missing index',
      'DROP INDEX memory_entries_hash',
      'CREATE INDEX memory_entries_hash ON memory_entries (content_hash)',
      ['postgres indexes'],
    ],
    [
      'a missing trigger',
      'DROP TRIGGER memory_entries_touch ON memory_entries',
      'CREATE TRIGGER memory_entries_touch BEFORE UPDATE ON memory_entries FOR EACH ROW EXECUTE FUNCTION touch_updated_at()',
      ['postgres triggers'],
    ],
    [
      'a function with another body',
      `CREATE OR REPLACE FUNCTION touch_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$`,
      `CREATE OR REPLACE FUNCTION touch_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.updated_at := now(); RETURN NEW; END $$`,
      ['postgres functions'],
    ],
    [
      'a constraint too many',
      "ALTER TABLE projects ADD CONSTRAINT named CHECK (name <> '')",
      'ALTER TABLE projects DROP CONSTRAINT named',
      ['postgres constraints'],
    ],
    ['a grant', 'GRANT SELECT ON jwks TO PUBLIC', 'REVOKE ALL ON jwks FROM PUBLIC', ['postgres grants']],
    [
      'a sequence that stands elsewhere',
      `SELECT setval('memory_access_id_seq', 1)`,
      `SELECT setval('memory_access_id_seq', (SELECT max(id) FROM memory_access))`,
      ['postgres sequence public.memory_access_id_seq last value'],
    ],
    [
      'a missing view',
      'ALTER VIEW warm_entries RENAME TO hidden',
      'ALTER VIEW hidden RENAME TO warm_entries',
      ['postgres views', 'postgres owners'],
    ],
  ])('sees %s', async (_what, change, back, expected) => {
    expect(await seenAfter(change, back)).toEqual(expect.arrayContaining(expected));
  });

  test('is held to what a server of another major version says of the same things, each in its own words', async () => {
    await real.sql('CREATE ROLE "reads=all" NOLOGIN; GRANT SELECT ON jwks TO "reads=all" WITH GRANT OPTION');
    const here = await now();
    await real.sql('REVOKE ALL ON jwks FROM "reads=all"; DROP ROLE "reads=all"');
    const { views, extensions, grants } = here.objects;
    const newer = (change: Partial<PostgresInventory['objects']> = {}, serverVersion = '17.11 (another)') => ({
      ...here,
      serverVersion,
      objects: {
        ...here.objects,
        views: views!.map((line) => line.replace(/\w+$/, 'f'.repeat(32))),
        extensions: extensions!.map((line) => line.replace(/\S+$/, '9.9')),
        grants: grants!.map((line) => line.replace(/arwdDxt\//, 'arwdDxtm/')),
        ...change,
      },
    });
    const unequal = (...of: Parameters<typeof newer>) =>
      comparePostgres(here, newer(...of)).flatMap(({ ok, what }) => (ok ? [] : [what]));
    expect(grants).toContainEqual(expect.stringMatching(/^public\.jwks .*=r\*\//));
    expect(unequal()).toEqual([]);
    expect(unequal({}, here.serverVersion).sort()).toEqual(['extensions', 'grants', 'views']);
    expect(unequal({ views: [] })).toEqual(['views (by name)']);
    expect(unequal({ grants: grants!.map((line) => line.replace('=r*/', '=r/')) })).toEqual([
      'grants (but MAINTAIN)',
    ]);
  });

  test('is of one moment, though the database is written to meanwhile', async () => {
    let wrote = false;
    const { toolArguments, toolEnvironment } = real.cluster.postgres;
    const { environment, secretEnvironment } = toolEnvironment;
    const insert = ['--command', `INSERT INTO verification VALUES ('x', 'y', 'z', now())`];
    const seen = await inventoryPostgres(real.cluster.postgres, () => {
      if (wrote) return;
      execFileSync('psql', [...toolArguments, '--dbname', real.cluster.postgres.database, ...insert], {
        env: { ...process.env, ...environment, ...secretEnvironment },
      });
      wrote = true;
    });
    await real.sql('DELETE FROM verification');
    expect(wrote).toBe(true);
    expect(seen.tables['public.verification']?.rows).toBe(0);
  });

  test('is read in a connection in which the server itself refuses writes', async () => {
    await expect(real.cluster.postgres.read('DELETE FROM memory_entries')).rejects.toThrow(/read-only transaction/);
  });
});
