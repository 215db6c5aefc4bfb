import { readdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { postgresRestore } from '../../../src/steps/postgres/restore.js';
import { openBackupSet } from '../../../src/stores/backup-set/open-backup-set.js';
import { Cluster } from '../../../src/stores/cluster.js';
import { damagedPostgres } from '../../support/damaged-postgres.js';
import { findings, follow, perform, recordingGateway } from '../../support/sandbox.js';

// Restoring onto a database that is really damaged: pages of it were overwritten, and nothing is left in memory.

const { real, backup, damage, examined, notEqual } = damagedPostgres();

const databases = async () =>
  (await real().sql('SELECT datname AS name FROM pg_database WHERE NOT datistemplate ORDER BY 1', 'postgres')).map(
    (row) => row.name as string,
  );

describe('restoring onto a damaged table', () => {
  beforeEach(() => damage('memory_entries', [2, 4]));

  test('with swap brings everything back and keeps the damaged database', async () => {
    const ctx = await examined();
    const said = await findings(postgresRestore, { strategy: 'swap' }, ctx);
    expect(said.filter((line) => line.startsWith('blocking'))).toEqual([]);
    expect(said).toContainEqual(expect.stringMatching(/^info: the examination: damaged: 1 table/));
    expect(said).toContainEqual(expect.stringMatching(/^info: the old database is kept beside .* are free in /));
    const plan = await postgresRestore.plan(postgresRestore.params.parse({ strategy: 'swap' }), ctx);
    expect(plan.destroys[0]).toBe('about 1,000 memories: they are damaged and cannot be counted');
    const { facts, error } = await perform(postgresRestore, { strategy: 'swap', sessions: 'end' }, ctx);
    expect(error).toBeUndefined();
    expect(await notEqual()).toEqual([]);
    expect(await databases()).toContain(facts.keptAs);
    await expect(real().sql('SELECT count(content) FROM memory_entries', facts.keptAs)).rejects.toThrow(
      /invalid page/,
    );
    const undone = await follow(
      postgresRestore.undo!(postgresRestore.params.parse({ strategy: 'swap' }), ctx, facts),
    );
    expect(undone.error).toBeUndefined();
    await expect(real().sql('SELECT count(content) FROM memory_entries')).rejects.toThrow(/invalid page/);
  });

  test('with clean is blocked by what the examination found, and points to swap', async () => {
    const found = await postgresRestore.check(postgresRestore.params.parse({}), await examined());
    expect(found.filter(({ level }) => level === 'blocking')).toEqual([
      {
        level: 'blocking',
        message: 'pg_dump cannot read public.memory_entries, so no safety copy of the database can be made',
        next: expect.stringMatching(/strategy=swap.*safetyCopy=waived/),
      },
    ]);
  });

  test('with clean drops nothing where no safety copy can be made, also when nobody had examined it', async () => {
    const { gateway, changes } = recordingGateway();
    const ctx = real().context({ backup: backup(), gateway });
    const { facts, error, safetyCopies } = await perform(postgresRestore, { sessions: 'end' }, ctx);
    expect(error?.message).toMatch(
      /no safety copy of novamem can be made: pg_dump ended with 1: .*invalid page.*Nothing was dropped.*strategy=swap.*safetyCopy=waived/,
    );
    expect([facts.safetyDump, safetyCopies]).toEqual([undefined, []]);
    expect(changes.filter(({ text }) => text.includes('pg_restore'))).toEqual([]);
    // What pg_dump had written is no dump: nobody may take it for one.
    expect(readdirSync(ctx.workFolder)).toEqual([]);
  });
});

describe('restoring where the catalogs are damaged', () => {
  test('of the whole server: both strategies are blocked, a fresh data directory is needed', async () => {
    await damage('pg_shdescription', [0]);
    const ctx = await examined();
    for (const strategy of ['clean', 'swap']) {
      const found = await postgresRestore.check(postgresRestore.params.parse({ strategy, sessions: 'end' }), ctx);
      expect(found.filter(({ level }) => level === 'blocking')).toEqual([
        {
          level: 'blocking',
          message: expect.stringMatching(/^neither strategy helps: what is damaged belongs to the whole server/),
          next: expect.stringContaining('initdb --data-checksums'),
        },
      ]);
    }
  });
});

describe('a damaged newest dump', () => {
  test('is found before anything is touched, and the newest good one is named; worse ones are passed over', async () => {
    const good = await real().backup();
    const cut = await real().backup();
    const altered = await real().backup();
    truncateSync(cut.postgres!.file, cut.postgres!.bytes - 2_000);
    const { file } = altered.postgres!;
    const bytes = Buffer.from(await import('node:fs').then(({ readFileSync }) => readFileSync(file)));
    bytes[bytes.length - 300] = bytes[bytes.length - 300]! ^ 0x10;
    writeFileSync(file, bytes);
    const ctx = real().context({ backup: altered, phase: 'preflight' });
    const found = await postgresRestore.check(postgresRestore.params.parse({}), ctx);
    expect(found.filter(({ level }) => level === 'blocking')).toEqual([
      {
        level: 'blocking',
        message: expect.stringMatching(/not the one that was backed up: its SHA-256 is/),
        next: expect.stringMatching(
          new RegExp(`^--backup ${good.id} is the newest good one, taken .* \\(its dump was read to its end\\)$`),
        ),
      },
    ]);
    // Also where it is only read when its step comes: before anything is dropped.
    const { gateway, changes } = recordingGateway();
    const { error } = await perform(postgresRestore, {}, { ...ctx, gateway, phase: 'ready' });
    expect(error?.message).toMatch(new RegExp(`Nothing was dropped\\. --backup ${good.id} is the newest good one`));
    expect(changes).toEqual([]);
    const { profile } = real().cluster;
    const cluster = new Cluster({ ...profile, backups: [join(real().places.backups, cut.id, 'postgres')] });
    const lonely = await postgresRestore.check(
      postgresRestore.params.parse({}),
      real().context({ backup: await openBackupSet(cut.folder), phase: 'preflight', cluster }),
    );
    expect(lonely[0]).toMatchObject({ level: 'blocking', next: expect.stringMatching(/^no other good dump lies/) });
  });
});
