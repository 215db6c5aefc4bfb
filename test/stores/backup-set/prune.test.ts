import { existsSync, mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Manifest } from '../../../src/stores/backup-set/manifest.js';
import { openBackupSet } from '../../../src/stores/backup-set/open-backup-set.js';
import { pruningOf, removeSet } from '../../../src/stores/backup-set/prune.js';
import { open } from '../../support/sandbox.js';
import { tempFolder } from '../../support/temp.js';

function manifest(id: string): Manifest {
  const at = `${id.slice(0, 4)}-${id.slice(4, 6)}-${id.slice(6, 8)}T02:00:00.000Z`;
  const part = {
    bytes: 1,
    sha256: 'a'.repeat(64),
    at,
    toolVersion: 'x',
    serverVersion: 'y',
    file: 'postgres/novamem.dump',
  };
  return {
    version: 1,
    id,
    cluster: 'acme',
    startedAt: at,
    finishedAt: at,
    skewMs: 0,
    parts: { postgres: part, qdrant: [], falkordb: [] },
    notExact: [],
    moving: { qdrant: {} },
    goldenSearches: [],
  };
}

function rootOf({
  whole,
  unfinished = [],
  damaged = [],
}: {
  whole: string[];
  unfinished?: [string, Date][];
  damaged?: string[];
}) {
  const root = tempFolder('backups');
  for (const id of [...whole, ...damaged, ...unfinished.map(([id]) => id)]) mkdirSync(join(root, id));
  for (const id of whole) writeFileSync(join(root, id, 'manifest.json'), JSON.stringify(manifest(id)));
  for (const id of damaged) writeFileSync(join(root, id, 'manifest.json'), '{ "version": 1');
  for (const [id, at] of unfinished) {
    writeFileSync(join(root, id, 'UNFINISHED'), '');
    utimesSync(join(root, id, 'UNFINISHED'), at, at);
  }
  return root;
}

const idsOf = (list: { id: string }[]) => list.map((one) => one.id).sort();

describe('pruning', () => {
  test('keeps the newest sets, whatever order they lie in', async () => {
    const root = rootOf({ whole: ['20261119T020000Z', '20261121T020000Z', '20261120T020000Z'] });
    const { keep, remove } = await pruningOf([root], 2);
    expect(idsOf(keep)).toEqual(['20261120T020000Z', '20261121T020000Z']);
    expect(idsOf(remove)).toEqual(['20261119T020000Z']);
  });

  test('does not count a set that cannot be opened, and does not remove it', async () => {
    const root = rootOf({ whole: ['20261119T020000Z'], damaged: ['20261121T020000Z'] });
    const { keep, remove } = await pruningOf([root], 1);
    expect(idsOf(keep)).toEqual(['20261119T020000Z', '20261121T020000Z']);
    expect(remove).toEqual([]);
  });

  test('removes what was left unfinished for more than a day, and nothing younger', async () => {
    const now = Date.now();
    const root = rootOf({
      whole: ['20261119T020000Z'],
      unfinished: [
        ['old', new Date(now - 2 * 86_400_000)],
        ['young', new Date(now - 3_600_000)],
      ],
    });
    const { keep, remove } = await pruningOf([root], 1, { now });
    expect([idsOf(keep), idsOf(remove)]).toEqual([['20261119T020000Z', 'young'], ['old']]);
  });

  test('never removes a folder that this program did not make', async () => {
    const root = rootOf({ whole: ['20261120T020000Z', '20261121T020000Z'] });
    mkdirSync(join(root, 'notes'));
    writeFileSync(join(root, 'notes', 'readme.txt'), 'mine');
    const { remove } = await pruningOf([root], 1);
    expect(idsOf(remove)).toEqual(['20261120T020000Z']);
  });

  test('removes a set whole; one that is removed half-way is no set any more', async () => {
    const root = rootOf({ whole: ['20261120T020000Z'] });
    const folder = join(root, '20261120T020000Z');
    const halfWay = { change: open.change.bind(open) };
    let left = 2;
    halfWay.change = (change, act) =>
      left-- > 0 ? open.change(change, act) : Promise.reject(new Error('power cut'));
    await expect(removeSet(halfWay, folder)).rejects.toThrow('power cut');
    await expect(openBackupSet(folder)).rejects.toThrow(/unfinished/);
    await removeSet(open, folder);
    expect(existsSync(folder)).toBe(false);
  });
});
