import { appendFileSync, cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { clusterInventory } from '../../../src/steps/cluster/inventory.js';
import { postgresRestore } from '../../../src/steps/postgres/restore.js';
import { adopt } from '../../../src/stores/backup-set/adopt.js';
import type { BackupSet } from '../../../src/stores/backup-set/backup-set.js';
import { openBackupSet } from '../../../src/stores/backup-set/open-backup-set.js';
import { findings, open, type RealCluster, realCluster, recordingGateway } from '../../support/sandbox.js';
import { tempFolder } from '../../support/temp.js';

let real: RealCluster;
let backup: BackupSet;

beforeAll(async () => {
  real = await realCluster();
  backup = await real.backup();
});

/** The files of a real backup, laid as plain commands would have left them. */
function looseFolder({ nameless = false } = {}): string {
  const folder = tempFolder('loose');
  cpSync(backup.postgres!.file, join(folder, 'novamem-2026-05-05.dump'));
  for (const one of backup.qdrant) cpSync(one.file, join(folder, `${one.collection}.tgz`));
  if (nameless) cpSync(backup.qdrant[0]!.file, join(folder, 'snap.tgz'));
  cpSync(backup.falkordb!.path, join(folder, 'appendonlydir'), { recursive: true });
  return folder;
}

describe('a folder of loose files that is adopted', () => {
  test('is a set with a manifest, whose files are where they were', async () => {
    const folder = looseFolder();
    const { gateway, changes } = recordingGateway();
    const set = await adopt(gateway, folder, { cluster: 'acme' });
    expect(set).toMatchObject({ kind: 'manifest', cluster: 'acme', id: basename(folder) });
    expect(set.postgres?.file).toBe(join(folder, 'novamem-2026-05-05.dump'));
    expect(set.qdrant.map((one) => one.collection)).toEqual(backup.qdrant.map((one) => one.collection));
    expect(set.falkordb).toMatchObject({ form: 'appendonlydir', path: join(folder, 'appendonlydir') });
    expect(set.inventory).toBeUndefined();
    expect(set.unproven[0]).toMatch(/^adopted on .* there is no inventory to compare with$/);
    expect(changes.map((change) => change.channel)).toEqual(['file']);
  });

  test('tells a file that was changed since', async () => {
    const folder = looseFolder();
    const set = await adopt(open, folder);
    appendFileSync(set.postgres!.file, 'x');
    const said = await findings(postgresRestore, {}, real.context({ backup: await openBackupSet(folder) }));
    expect(said).toContainEqual(expect.stringMatching(/^blocking: .*novamem-2026-05-05\.dump/));
  });

  test('is compared with what the run restored, since it has no inventory', async () => {
    const set = await adopt(open, looseFolder());
    expect(await findings(clusterInventory, {}, real.context({ backup: set }))).toEqual([
      expect.stringMatching(/^warning: this backup set has no inventory/),
    ]);
  });

  test('is refused while a snapshot has no collection, and is left as it was', async () => {
    const folder = looseFolder({ nameless: true });
    const { gateway, changes } = recordingGateway();
    await expect(adopt(gateway, folder)).rejects.toThrow(/into which collection these snapshots belong: snap\.tgz/);
    expect(changes).toEqual([]);
  });

  test('is refused when it is a backup set already', async () => {
    await expect(adopt(open, backup.folder)).rejects.toThrow(/is a backup set of this program already/);
    const unfinished = tempFolder('unfinished');
    writeFileSync(join(unfinished, 'UNFINISHED'), '');
    await expect(adopt(open, unfinished)).rejects.toThrow(/has UNFINISHED/);
  });

  test('is refused when nothing in it is a backup', async () => {
    const folder = tempFolder('photos');
    mkdirSync(join(folder, 'holiday'));
    writeFileSync(join(folder, 'holiday', 'beach.jpg'), 'JFIF');
    await expect(adopt(open, folder)).rejects.toThrow(/is no backup set/);
    expect(readFileSync(join(folder, 'holiday', 'beach.jpg'), 'utf8')).toBe('JFIF');
  });
});
