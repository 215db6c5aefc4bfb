import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { filesBelow, sha256Of } from '../../../src/hosts/files.js';
import { backupManifest } from '../../../src/steps/backup/manifest.js';
import { clusterInventory } from '../../../src/steps/cluster/inventory.js';
import { falkordbBackup } from '../../../src/steps/falkordb/backup.js';
import { postgresBackup } from '../../../src/steps/postgres/backup.js';
import { qdrantBackup } from '../../../src/steps/qdrant/backup.js';
import type { BackupSet } from '../../../src/stores/backup-set/backup-set.js';
import { openBackupSet } from '../../../src/stores/backup-set/open-backup-set.js';
import { inventoryFalkordb } from '../../../src/stores/falkordb/inventory.js';
import { inventoryPostgres } from '../../../src/stores/postgres/inventory.js';
import { inventoryQdrant } from '../../../src/stores/qdrant/inventory.js';
import { findings, open, perform, type RealCluster, realCluster, unequal } from '../../support/sandbox.js';
import { tempFolder } from '../../support/temp.js';

let real: RealCluster;
let backup: BackupSet;

beforeAll(async () => {
  real = await realCluster();
  backup = await real.backup();
});

const newBackup = () => ({ id: 'new', folder: join(tempFolder('backups'), 'new') });

describe('a backup of the whole cluster', () => {
  test('holds the inventory of all three stores as they stand', async () => {
    const { postgres, qdrant, falkordb } = real.cluster;
    expect(backup.inventory?.postgres).toEqual(await inventoryPostgres(postgres));
    expect(backup.inventory?.qdrant).toEqual(await inventoryQdrant(qdrant));
    expect(backup.inventory?.falkordb).toEqual(await inventoryFalkordb(falkordb));
    expect(backup.inventory?.qdrant?.aliases).toEqual({ novamem_acme: 'novamem_u_acme_default' });
  });

  test('holds how far the stores agree', () => {
    expect(backup.inventory?.agreement).toEqual({
      memories: 600,
      moved: false,
      differences: {
        'missing-vectors': 0,
        'stray-vectors': 0,
        'double-vectors': 0,
        'missing-nodes': 0,
        'stray-nodes': 0,
        'double-nodes': 0,
      },
    });
  });

  test('holds files whose bytes and checksums are those of its manifest, for their owner only', async () => {
    const files = [backup.postgres!, ...backup.qdrant, ...backup.falkordb!.files];
    expect(files.length).toBe(1 + 10 + 3);
    for (const one of files) {
      expect(statSync(one.file).size).toBe(one.bytes);
      expect(await sha256Of(one.file)).toBe(one.sha256);
    }
    expect(statSync(backup.folder).mode & 0o077).toBe(0);
    expect(existsSync(join(backup.folder, 'UNFINISHED'))).toBe(false);
  });

  test('F16: leaves no snapshot on the server, and its settings as they were', async () => {
    const { qdrant, falkordb } = real.cluster;
    for (const { collection } of backup.qdrant) expect(await qdrant.client.listSnapshots(collection)).toEqual([]);
    expect(await falkordb.config('auto-aof-rewrite-percentage')).toEqual({ 'auto-aof-rewrite-percentage': '100' });
  });

  test('holds no secret of the cluster', async () => {
    const secrets = ['postgres', 'qdrant', 'falkordb', 'novamem'].map((name) =>
      readFileSync(real.places.secret(name), 'utf8').trim(),
    );
    const text = readFileSync(join(backup.folder, 'manifest.json'), 'utf8');
    for (const secret of secrets) expect(text).not.toContain(secret);
  });

  test('compares equal with the cluster, and no longer once a single row is missing', async () => {
    const ctx = real.context({ backup });
    const equalNow = await perform(clusterInventory, {}, ctx);
    expect(await unequal(clusterInventory, {}, ctx, equalNow.facts)).toEqual([]);
    await real.sql(
      'CREATE TABLE kept AS SELECT * FROM metrics_samples WHERE id = 7; DELETE FROM metrics_samples WHERE id = 7',
    );
    const { facts } = await perform(clusterInventory, {}, ctx);
    await real.sql('INSERT INTO metrics_samples SELECT * FROM kept; DROP TABLE kept');
    expect(await unequal(clusterInventory, {}, ctx, facts)).toEqual(
      expect.arrayContaining(['postgres table public.metrics_samples, rows: expected 500, found 499']),
    );
  });
});

describe('a backup that was not finished', () => {
  test('is known to be: it has no manifest, and is not opened', async () => {
    const into = newBackup();
    const ctx = real.context({ newBackup: into });
    const { facts, error } = await perform(postgresBackup, {}, ctx);
    expect(error).toBeUndefined();
    expect(await unequal(postgresBackup, {}, ctx, facts)).toEqual([]);
    await expect(openBackupSet(into.folder)).rejects.toThrow(/unfinished/);
    expect(await filesBelow(into.folder)).toEqual(['UNFINISHED', 'postgres/novamem.dump']);
  });

  test('writes no manifest when nothing was backed up', async () => {
    const into = newBackup();
    const { error } = await perform(backupManifest, {}, real.context({ newBackup: into }));
    expect(error?.message).toMatch(/has backed up anything/);
    expect(existsSync(join(into.folder, 'manifest.json'))).toBe(false);
  });

  test('is blocked where the profile names no place for it', async () => {
    for (const kind of [postgresBackup, qdrantBackup, falkordbBackup])
      expect(await findings<unknown, unknown>(kind as never, {}, real.context())).toContainEqual(
        expect.stringMatching(/^blocking: the profile names no backup root/),
      );
  });
});

describe('a backup of FalkorDB', () => {
  test('with "appendonly no" is a dump.rdb', async () => {
    const { falkordb } = real.cluster;
    await falkordb.write(open, 'CONFIG', 'SET', 'appendonly', 'no');
    try {
      const into = newBackup();
      const ctx = real.context({ newBackup: into });
      const { facts, error } = await perform(falkordbBackup, {}, ctx);
      expect(error).toBeUndefined();
      expect(facts.parts?.map((part) => [part.file, part.form])).toEqual([['falkordb/dump.rdb', 'dump.rdb']]);
      expect(await unequal(falkordbBackup, {}, ctx, facts)).toEqual([]);
    } finally {
      await falkordb.write(open, 'CONFIG', 'SET', 'appendonly', 'yes');
    }
  });
});

describe('a dump of Postgres', () => {
  test('is of the same moment as its inventory, though the database is written to meanwhile', async () => {
    let writing = true;
    const writer = (async () => {
      const session = await real.session();
      while (writing)
        await session.query(`INSERT INTO metrics_samples (name, value, sampled_at) VALUES ('busy', 1, now())`);
      await session.query(`DELETE FROM metrics_samples WHERE name = 'busy'`);
      await session.end();
    })();
    const ctx = real.context({ newBackup: newBackup() });
    const { facts, error } = await perform(postgresBackup, {}, ctx);
    writing = false;
    await writer;
    expect(error).toBeUndefined();
    expect(facts.inventory!.tables['public.metrics_samples']!.rows).toBeGreaterThanOrEqual(500);
    expect(await unequal(postgresBackup, {}, ctx, facts)).toEqual([]);
  });
});
