import { createHash } from 'node:crypto';
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { BackupSet } from '../../stores/backup-set/backup-set.js';
import { listBackupSets } from '../../stores/backup-set/find-backup-set.js';
import { MANIFEST_FILE, type Manifest } from '../../stores/backup-set/manifest.js';
import { readManifest } from '../../stores/backup-set/open-backup-set.js';
import { type Disaster, type Scene, stop } from './disaster.js';
import { redate } from './dump-date.js';
import { loseFalkordb, loseQdrant } from './other-stores.js';
import { dropDatabase } from './postgres.js';

// What can be wrong with the backups just when they are needed.

const DAY = 86_400_000;

/** The sets of the sandbox, newest first. */
async function setsOf({ profile }: Scene): Promise<BackupSet[]> {
  const listed = await listBackupSets(profile.backups, profile.s3);
  return listed.flatMap((one) => ('set' in one && one.set.kind === 'manifest' ? [one.set] : []));
}

async function twoSetsOf(scene: Scene): Promise<[newest: BackupSet, older: BackupSet]> {
  const [newest, older] = await setsOf(scene);
  if (!newest || !older) throw new Error('two backup sets are needed');
  return [newest, older];
}

function writeManifest({ folder }: BackupSet, manifest: Manifest): void {
  writeFileSync(join(folder, MANIFEST_FILE), JSON.stringify(manifest, null, 1), { mode: 0o600 });
}

export async function loseAll(scene: Scene): Promise<string[]> {
  return [await dropDatabase(scene), await loseQdrant(scene), await loseFalkordb(scene)];
}

export const wholeClusterLost: Disaster = {
  id: 'whole-cluster-lost',
  title: 'The database is dropped, the storage of Qdrant and the files of FalkorDB are gone',
  scenario: 'whole-cluster-lost',
  pager: 'novamem: /health 503; Qdrant, FalkorDB: connection refused',
  users: 'Nothing works.',
  before: ['backup', 'memories'],
  strike: loseAll,
};

export const twoAtOnce: Disaster = {
  id: 'two-at-once',
  title: 'Qdrant and FalkorDB have lost their disk; Postgres is well',
  scenario: 'qdrant-lost',
  pager: 'novamem: /health 503; Qdrant, FalkorDB: connection refused',
  users: 'Searching finds only exact words, and nothing that is related.',
  before: ['backup', 'memories'],
  strike: async (scene) => [await loseQdrant(scene), await loseFalkordb(scene)],
};

export const postgresAndBackupsLost: Disaster = {
  id: 'postgres-and-backups-lost',
  title: 'Postgres does not start on its damaged files, and every backup is gone',
  scenario: 'postgres-lost-no-backup',
  pager: 'novamem: /health 503; Postgres: connection refused',
  users: 'Nothing works.',
  before: [],
  async strike(scene) {
    await stop(scene, 'postgres');
    const control = join(scene.places.postgresData, 'global', 'pg_control');
    renameSync(control, `${control}.lost`);
    rmSync(scene.places.backups, { recursive: true, force: true });
    return ['Postgres stopped, its pg_control taken away', `${scene.places.backups} removed`];
  },
};

export const newestDumpDamaged: Disaster = {
  id: 'newest-dump-damaged',
  title: 'The database is dropped, and the dump of the newest backup is damaged; an older one is good',
  scenario: 'postgres-corrupt',
  pager: 'novamem: /health 503; Postgres: database does not exist',
  users: 'Nothing works.',
  before: ['backup', 'memories', 'backup'],
  async strike(scene) {
    const [newest] = await twoSetsOf(scene);
    const { file } = newest.postgres!;
    const bytes = readFileSync(file);
    bytes.fill(0, Math.floor(bytes.length / 2), Math.floor(bytes.length / 2) + 64);
    writeFileSync(file, bytes);
    return [await dropDatabase(scene), `64 bytes in the middle of ${file} overwritten`];
  },
};

export const storesADayApart: Disaster = {
  id: 'stores-a-day-apart',
  title: 'Everything is lost, and in the newest backup the Postgres part is a day older than the rest',
  scenario: 'whole-cluster-lost',
  pager: 'novamem: /health 503; Qdrant, FalkorDB: connection refused',
  users: 'Nothing works.',
  before: ['backup', 'memories', 'backup'],
  async strike(scene) {
    const [newest, older] = await twoSetsOf(scene);
    const dump = readFileSync(older.postgres!.file);
    redate(dump, -DAY);
    writeFileSync(newest.postgres!.file, dump);
    const manifest = readManifest(newest.folder);
    const stale = readManifest(older.folder);
    const at = new Date(Date.parse(stale.parts.postgres!.at) - DAY).toISOString();
    const sha256 = createHash('sha256').update(dump).digest('hex');
    manifest.parts.postgres = { ...stale.parts.postgres!, sha256, at };
    manifest.inventory!.postgres = stale.inventory!.postgres!;
    manifest.skewMs += DAY;
    manifest.goldenSearches = [];
    delete manifest.inventory!.agreement;
    writeManifest(newest, manifest);
    rmSync(older.folder, { recursive: true });
    return [...(await loseAll(scene)), `the Postgres part of ${newest.folder} is a day older than the rest`];
  },
};

export const backupOfAnotherCluster: Disaster = {
  id: 'backup-of-another-cluster',
  title: 'The database is dropped, and the newest backup in the folder is another cluster’s',
  scenario: 'postgres-corrupt',
  pager: 'novamem: /health 503; Postgres: database does not exist',
  users: 'Nothing works.',
  before: ['backup', 'memories', 'backup-of-another-cluster'],
  async strike(scene) {
    const [foreign] = await setsOf(scene);
    return [
      await dropDatabase(scene),
      `${foreign!.folder}, the newest backup, was taken of the cluster ${foreign!.cluster}`,
    ];
  },
};
