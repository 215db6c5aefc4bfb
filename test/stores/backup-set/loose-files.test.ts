import { mkdirSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { collectionOf, kindOf } from '../../../src/stores/backup-set/loose-files.js';
import { openBackupSet } from '../../../src/stores/backup-set/open-backup-set.js';
import { tempFolder } from '../../support/temp.js';

const RDB = Buffer.concat([Buffer.from('REDIS0011 some data'), Buffer.from([0xff]), Buffer.alloc(8, 1)]);
const AOF = '*1\r\n$4\r\nPING\r\n';
const TAR = (() => {
  const block = Buffer.alloc(1024);
  block.write('shard/', 0);
  block.write('ustar', 257);
  return block;
})();
const DUMP = 'PGDMP and more';
const MANIFEST = 'file a.aof.1.base.rdb seq 1 type b\nfile a.aof.1.incr.aof seq 1 type i\n';

function folderOf(files: Record<string, Buffer | string>): string {
  const folder = tempFolder('loose');
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), content);
  }
  return folder;
}

describe('what a file is, is read from its content and not from its name:', () => {
  test.each([
    ['a dump', 'x.tgz', DUMP, 'dump'],
    ['a snapshot', 'x.dump', TAR, 'snapshot'],
    ['a snapshot that was compressed', 'x.bin', gzipSync(TAR), 'snapshot'],
    ['an RDB', 'x.snapshot', RDB, 'rdb'],
    ['an append-only file', 'backup.txt', AOF, 'aof'],
    ['an append-only file with annotations', 'x', `#TS:1700000000\r\n${AOF}`, 'aof'],
    ['an append-only file that begins with an RDB part', 'appendonly.aof', RDB, 'aof'],
    ['the manifest of an append-only directory', 'x', MANIFEST, 'aof-manifest'],
    ['an empty increment', 'a.aof.1.incr.aof', '', 'aof'],
    ['an empty file', 'novamem.dump', '', 'other'],
    ['a text', 'novamem.dump', 'hello', 'other'],
  ])('%s', async (_what, name, content, kind) => {
    const file = join(folderOf({ [name]: content }), name);
    expect(await kindOf({ file, bytes: statSync(file).size })).toBe(kind);
  });
});

describe('the collection of a snapshot is told by', () => {
  test.each([
    ['novamem_u_acme_default-123-2026-05-05-02-00-01.snapshot', 'novamem_u_acme_default'],
    ['novamem_u_a-b_default-123-2026-05-05-02-00-01.snapshot.tgz', 'novamem_u_a-b_default'],
    ['novamem_u_acme_default.snapshot', 'novamem_u_acme_default'],
    ['novamem_u_acme_default.tar.gz', 'novamem_u_acme_default'],
    ['snap-novamem_u_acme_default.tgz', 'novamem_u_acme_default'],
    ['novamem_u_acme_default/snapshot-1.tar', 'novamem_u_acme_default'],
    ['snap.tgz', undefined],
    ['snapshot_2.snapshot', undefined],
    ['qdrant/snap.tgz', undefined],
  ])('%s: %s', (name, collection) => {
    expect(collectionOf(join('/backups', name), '/backups')).toBe(collection);
  });
});

describe('a folder of loose files', () => {
  test('is a backup set of what lies there, and says what cannot be proven', async () => {
    const set = await openBackupSet(
      folderOf({
        'novamem-2026-05-05.dump': DUMP,
        'novamem_u_acme_default.snapshot': TAR,
        'snap.tgz': gzipSync(TAR),
        'appendonly.aof': AOF,
        'dump.rdb': RDB,
        'README.txt': 'hello',
      }),
    );
    expect(set).toMatchObject({
      kind: 'loose',
      postgres: { bytes: DUMP.length },
      falkordb: { form: 'appendonly.aof' },
      otherFalkordb: [{ form: 'dump.rdb' }],
    });
    expect(set.qdrant.map((one) => one.collection)).toEqual(['novamem_u_acme_default']);
    expect(set.unnamed).toHaveLength(1);
    expect(set.inventory).toBeUndefined();
    expect(set.unproven[0]).toMatch(/no manifest/);
  });

  test('with an append-only directory and its manifest prefers that', async () => {
    const set = await openBackupSet(
      folderOf({
        'data/appendonlydir/a.aof.manifest': MANIFEST,
        'data/appendonlydir/a.aof.1.base.rdb': RDB,
        'data/appendonlydir/a.aof.1.incr.aof': AOF,
        'data/dump.rdb': RDB,
      }),
    );
    expect(set.falkordb?.form).toBe('appendonlydir');
    expect(set.falkordb?.files).toHaveLength(3);
    expect(set.otherFalkordb.map((one) => one.form)).toEqual(['dump.rdb']);
  });

  test('with several dumps or snapshots of one collection uses the newest, and says so', async () => {
    const folder = folderOf({
      'old.dump': `${DUMP} old`,
      'new.dump': `${DUMP} newer`,
      'c-1-2026-01-01-00-00-00.snapshot': TAR,
      'c-1-2026-01-02-00-00-00.snapshot': TAR,
    });
    const [older, newer] = [new Date('2026-01-01'), new Date('2026-01-02')];
    utimesSync(join(folder, 'old.dump'), older, older);
    utimesSync(join(folder, 'new.dump'), newer, newer);
    utimesSync(join(folder, 'c-1-2026-01-01-00-00-00.snapshot'), older, older);
    utimesSync(join(folder, 'c-1-2026-01-02-00-00-00.snapshot'), newer, newer);
    const set = await openBackupSet(folder);
    expect(set.postgres?.file).toBe(join(folder, 'new.dump'));
    expect(set.qdrant.map((one) => one.file)).toEqual([join(folder, 'c-1-2026-01-02-00-00-00.snapshot')]);
    expect(set.unproven.join('\n')).toMatch(/2 dumps lie here[\s\S]*several snapshots of c lie here/);
    expect(set.takenAt).toEqual(newer);
  });

  test('in which nothing is known is none', async () => {
    await expect(openBackupSet(folderOf({ 'a.txt': 'hello' }))).rejects.toThrow(/is no backup set/);
  });
});
