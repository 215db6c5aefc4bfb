import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { clusterStatus } from '../../../src/engine/cluster-status.js';
import { prerequisitesOf } from '../../../src/engine/prerequisites.js';
import { adopt } from '../../../src/stores/backup-set/adopt.js';
import { type BackupSet, gapIn } from '../../../src/stores/backup-set/backup-set.js';
import { findBackupSet, listBackupSets } from '../../../src/stores/backup-set/find-backup-set.js';
import { openBackupSet } from '../../../src/stores/backup-set/open-backup-set.js';
import { pruningOf, removeSet } from '../../../src/stores/backup-set/prune.js';
import { Cluster } from '../../../src/stores/cluster.js';
import { lookForDumps } from '../../../src/stores/elsewhere/dumps.js';
import { runProgram } from '../../support/program.js';
import { S3_KEYS, type S3Store, s3Store } from '../../support/s3-store.js';
import { open, type RealCluster, realCluster } from '../../support/sandbox.js';
import { tempFolder } from '../../support/temp.js';

let real: RealCluster;
let backup: BackupSet;
let store: S3Store;
beforeAll(async () => {
  real = await realCluster();
  backup = await real.backup();
  store = await s3Store();
});

/** A root in the bucket, with the real backup set in it under these names. */
async function rootWith(root: string, ...ids: string[]): Promise<string> {
  for (const id of ids) await store.putFolder(backup.folder, `${root}/${id}`);
  return store.url(root);
}

describe('a backup set in a bucket', () => {
  test('is listed beside those of folders, and is the latest where it is the newest', async () => {
    const root = await rootWith('listed', backup.id);
    const roots = [tempFolder('empty'), root];
    const [listed] = await listBackupSets(roots, store.settings);
    expect(listed).toMatchObject({ id: backup.id, folder: `${root}/${backup.id}`, set: { kind: 'manifest' } });
    const set = await findBackupSet('latest', roots, store.settings);
    expect(set.qdrant.map(({ collection }) => collection)).toEqual(backup.qdrant.map((one) => one.collection));
    expect(set).toMatchObject({
      takenAt: backup.takenAt,
      bytes: backup.bytes,
      manifestSha256: backup.manifestSha256,
    });
    expect(await openBackupSet(`${root}/${backup.id}/`, store.settings)).toMatchObject({ folder: listed!.folder });
  });

  test('that lacks a file, or that nobody ended, is not one to restore from', async () => {
    const root = await rootWith('gaps', 'changed');
    await store.put('gaps/changed/postgres/novamem.dump', 'short');
    expect(await gapIn(await openBackupSet(`${root}/changed`, store.settings))).toMatch(
      /novamem\.dump has 5 bytes, and the manifest says/,
    );
    await store.put('gaps/begun/UNFINISHED', '');
    await expect(findBackupSet('begun', [root], store.settings)).rejects.toThrow(/is unfinished/);
    await store.put('gaps/mad/manifest.json', '{ "version": 1,\n "id": 7 }');
    await expect(findBackupSet('mad', [root], store.settings)).rejects.toThrow(/manifest\.json:2:8: id: /);
  });

  test('is adopted where it was made by plain commands: what each file is is read from its beginning', async () => {
    const folder = tempFolder('loose');
    cpSync(backup.postgres!.file, join(folder, 'novamem-2026-05-05.dump'));
    for (const one of backup.qdrant) cpSync(one.file, join(folder, `${one.collection}.tgz`));
    cpSync(backup.falkordb!.path, join(folder, 'appendonlydir'), { recursive: true });
    const url = await store.putFolder(folder, 'loose/by-hand');
    const loose = await openBackupSet(url, store.settings);
    expect(loose).toMatchObject({ kind: 'loose', falkordb: { form: 'appendonlydir', path: `${url}/appendonlydir` } });
    const set = await adopt(open, url, { cluster: 'acme', s3: store.settings });
    expect(set).toMatchObject({ kind: 'manifest', cluster: 'acme', postgres: { sha256: backup.postgres!.sha256 } });
    expect(set.qdrant.map(({ collection }) => collection)).toEqual(backup.qdrant.map((one) => one.collection));
  });

  test('is pruned: the older go with all that is in them', async () => {
    const root = await rootWith('pruned', '20260101T000000Z');
    await store.putFolder(backup.folder, 'pruned/20260102T000000Z');
    const { keep, remove } = await pruningOf([root], 1, { s3: store.settings });
    expect([keep.length, remove.length]).toEqual([1, 1]);
    await removeSet(open, remove[0]!.folder, store.settings);
    const left = await listBackupSets([root], store.settings);
    expect(left.map(({ folder }) => folder)).toEqual([keep[0]!.folder]);
  });

  test('counts for the state of a cluster', async () => {
    const root = await rootWith('status', backup.id);
    const profile = { ...real.cluster.profile, backups: [root], s3: store.settings };
    expect((await clusterStatus(profile)).backup).toMatchObject({ id: backup.id, folder: `${root}/${backup.id}` });
    const wrong = { ...profile, backups: ['s3://nobodys-bucket/x'] };
    expect((await clusterStatus(wrong)).unusable).toEqual([
      { folder: 's3://nobodys-bucket/x', problem: expect.stringMatching(/there is no bucket.*Next: /) },
    ]);
  });

  test('is found by who looks for any dump at all', async () => {
    const root = await rootWith('survey', backup.id);
    const place = await lookForDumps(root, (folder) => `restore ${folder}`, store.settings);
    expect(place).toMatchObject({
      unreadable: '',
      sources: [{ what: 'dump', worth: 'perhaps', next: `restore ${root}/${backup.id}` }],
    });
  });

  test('that is out of reach is told with what is missing for which scenario', async () => {
    const profile = { ...real.cluster.profile, backups: ['s3://nobodys-bucket/x'], s3: store.settings };
    const { obstacles } = await prerequisitesOf(new Cluster(profile));
    expect(obstacles).toContainEqual({
      level: 'blocking',
      message: expect.stringMatching(/^Tried to list s3:\/\/nobodys-bucket\/x .*there is no bucket/),
      next: expect.stringContaining('aws s3 ls'),
      concerns: ['backups: s3://nobodys-bucket/x', expect.stringMatching(/^backup: /)],
    });
  });

  test('is verified to its last byte by the program, which shows no credentials', async () => {
    const root = await rootWith('verified', backup.id);
    const environment = {
      ...S3_KEYS,
      AWS_ENDPOINT_URL: store.settings.endpoint,
      AWS_REGION: 'us-east-1',
      AWS_SESSION_TOKEN: '',
    };
    const well = await runProgram(['backups', 'verify', `${root}/${backup.id}`], { environment });
    expect(well).toMatchObject({ exitCode: 0, stderr: '' });
    expect(well.stdout).toMatch(/ok\s+s3:\/\/acme-backups\/verified\/.*novamem\.dump/);
    const [first] = backup.qdrant;
    const key = `verified/${backup.id}/qdrant/${first!.file.split('/').at(-1)}`;
    const bytes = await store.get(key);
    bytes[bytes.length >> 1]! ^= 1;
    await store.put(key, bytes);
    const changed = await runProgram(['backups', 'verify', `${root}/${backup.id}`], { environment });
    expect(changed.exitCode).toBe(1);
    expect(changed.stdout).toMatch(/CHANGED: its SHA-256 is another\s+s3:\/\//);
  });
});
