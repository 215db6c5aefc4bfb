import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { copiesOf, findBackupSet, listBackupSets } from '../../../src/stores/backup-set/find-backup-set.js';
import type { Manifest } from '../../../src/stores/backup-set/manifest.js';
import { openBackupSet } from '../../../src/stores/backup-set/open-backup-set.js';
import { tempFolder } from '../../support/temp.js';

const HASH = 'a'.repeat(64);
const versions = { toolVersion: 'x', serverVersion: 'y' };

function manifest(id: string, more: Partial<Manifest> = {}): Manifest {
  const day = `${id.slice(0, 4)}-${id.slice(4, 6)}-${id.slice(6, 8)}T02:00:00.000Z`;
  const part = { bytes: 10, sha256: HASH, at: day, ...versions };
  return {
    version: 1,
    id,
    cluster: 'acme',
    startedAt: day,
    finishedAt: day,
    skewMs: 0,
    parts: {
      postgres: { ...part, file: 'postgres/novamem.dump' },
      qdrant: [
        { ...part, file: 'qdrant/b.snapshot', collection: 'b', at: day.replace('02:', '01:') },
        { ...part, file: 'qdrant/a.snapshot', collection: 'a' },
      ],
      falkordb: [{ ...part, file: 'falkordb/dump.rdb', form: 'dump.rdb' }],
    },
    inventory: { takenAt: day },
    notExact: ['something moved'],
    moving: { qdrant: {} },
    goldenSearches: [],
    ...more,
  };
}

function root(...sets: Manifest[]): string {
  const folder = tempFolder('backups');
  for (const set of sets) {
    mkdirSync(join(folder, set.id));
    writeFileSync(join(folder, set.id, 'manifest.json'), JSON.stringify(set, null, 1));
  }
  return folder;
}

const unfinished = (folder: string, id: string) => {
  mkdirSync(join(folder, id));
  writeFileSync(join(folder, id, 'UNFINISHED'), '');
};

describe('a backup set with a manifest', () => {
  test('is as old as its oldest part, and knows its files with their checksums', async () => {
    const folder = join(root(manifest('20261121T020000Z')), '20261121T020000Z');
    const set = await openBackupSet(folder);
    expect(set).toMatchObject({
      kind: 'manifest',
      takenAt: new Date('2026-11-21T01:00:00Z'),
      bytes: 40,
      postgres: { file: join(folder, 'postgres/novamem.dump'), bytes: 10, sha256: HASH },
      falkordb: { form: 'dump.rdb', path: join(folder, 'falkordb/dump.rdb') },
      unproven: ['something moved'],
    });
    expect(set.qdrant.map((one) => one.collection)).toEqual(['a', 'b']);
  });

  test('whose manifest leads out of its folder is refused with line and column', async () => {
    const set = manifest('20261121T020000Z');
    for (const file of ['../../etc/passwd', '/etc/passwd', 'a/../../b', '']) {
      set.parts.postgres!.file = file;
      const opening = openBackupSet(join(root(set), set.id));
      await expect(opening, file).rejects.toThrow(
        /manifest\.json:\d+:\d+: parts\.postgres\.file: must be a path inside/,
      );
    }
  });

  test('whose manifest is broken says where', async () => {
    const folder = root(manifest('20261121T020000Z'));
    writeFileSync(join(folder, '20261121T020000Z', 'manifest.json'), '{"version": 1, "id": ');
    await expect(openBackupSet(join(folder, '20261121T020000Z'))).rejects.toThrow(/manifest\.json:1:\d+: /);
  });

  test('of a cluster with a thousand collections can be opened', async () => {
    const collection = {
      points: 1234,
      config: JSON.stringify({ shards: 1, vectors: { distance: 'Cosine', size: 384 } }),
      payloadIndexes: { userId: 'keyword' },
      samples: Array.from({ length: 10 }, (_, index) => ({
        id: `00000000-0000-0000-0000-00000000000${index}`,
        hash: HASH,
      })),
      nearest: Array.from({ length: 5 }, (_, index) => `00000000-0000-0000-0000-00000000000${index}`),
    };
    const set = manifest('20261121T020000Z');
    set.inventory!.qdrant = {
      serverVersion: '1.16.3',
      aliases: {},
      collections: Object.fromEntries(
        Array.from({ length: 1_000 }, (_, index) => [`novamem_u_user${index}_default`, collection]),
      ),
    };
    const opened = await openBackupSet(join(root(set), set.id));
    expect(Object.keys(opened.inventory!.qdrant!.collections)).toHaveLength(1_000);
  });
});

describe('finding a backup set', () => {
  test('latest is the newest that has a manifest; unfinished ones are listed with their problem', async () => {
    const folder = root(manifest('20261120T020000Z'), manifest('20261121T020000Z'), manifest('20261119T020000Z'));
    unfinished(folder, '20261122T020000Z');
    expect((await findBackupSet('latest', [folder])).id).toBe('20261121T020000Z');
    const listed = await listBackupSets([folder]);
    expect(listed.map((one) => one.id)).toEqual([
      '20261121T020000Z',
      '20261120T020000Z',
      '20261119T020000Z',
      '20261122T020000Z',
    ]);
    expect(listed.at(-1)).toMatchObject({ problem: expect.stringMatching(/is unfinished/) });
  });

  test('two copies of one are known for the same by their manifests, not by their names', async () => {
    const set = manifest('20261121T020000Z');
    const other = manifest('20261121T020000Z', { notExact: [] });
    const roots = [root(set), root(set), root(other)];
    const listed = await listBackupSets(roots);
    const folders = roots.map((one) => join(one, set.id));
    const of = (folder: string) => listed.find((one) => one.folder === folder)!;
    expect(copiesOf(of(folders[0]!), listed).map((one) => one.folder)).toEqual([folders[1]]);
    expect(copiesOf(of(folders[2]!), listed)).toEqual([]);
  });

  test('an unfinished one is refused by its id and by its path', async () => {
    const folder = root();
    unfinished(folder, '20261122T020000Z');
    await expect(findBackupSet('20261122T020000Z', [folder])).rejects.toThrow(/unfinished/);
    await expect(findBackupSet(join(folder, '20261122T020000Z'), [])).rejects.toThrow(/unfinished/);
  });

  test('by its id is found below any root; an unknown one is told which there are', async () => {
    const [one, other] = [root(manifest('20261120T020000Z')), root(manifest('20261121T020000Z'))];
    expect((await findBackupSet('20261120T020000Z', [other, one])).id).toBe('20261120T020000Z');
    await expect(findBackupSet('20260101T000000Z', [one, other])).rejects.toThrow(
      /no backup set "20260101T000000Z" .*20261121T020000Z, 20261120T020000Z/,
    );
  });

  test('without a root says what to add to the profile', async () => {
    await expect(findBackupSet('latest', [])).rejects.toThrow(/names no backup root/);
  });

  test('in a root that is absent or elsewhere says so, and does not hide the others', async () => {
    const folder = root(manifest('20261121T020000Z'));
    const listed = await listBackupSets(['/nowhere', 'gs://bucket/x', folder]);
    expect(listed.map((one) => ('problem' in one ? one.problem : one.id))).toEqual([
      '20261121T020000Z',
      expect.stringMatching(/cannot be read, or does not exist/),
      expect.stringMatching(/gs:.*a folder of this machine, or s3/),
    ]);
  });

  test('that is a file is a problem', async () => {
    const file = join(tempFolder('file'), 'x');
    writeFileSync(file, '');
    await expect(openBackupSet(file)).rejects.toThrow(/it is not a folder/);
  });
});
