import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { findBackupSet, findOwnSet } from '../../../src/stores/backup-set/find-backup-set.js';
import { tempFolder } from '../../support/temp.js';

const DAY = 86_400_000;
const daysAgo = (days: number) => new Date(Date.now() - days * DAY);

/** A set of which only the manifest is there: it is enough to be found. */
function layManifest(root: string, id: string, cluster: string | undefined, at: Date): void {
  mkdirSync(join(root, id), { recursive: true });
  const instant = at.toISOString();
  const manifest = {
    version: 1,
    id,
    ...(cluster === undefined ? {} : { cluster }),
    startedAt: instant,
    finishedAt: instant,
    skewMs: 0,
    parts: {
      postgres: {
        file: 'postgres/novamem.dump',
        bytes: 1,
        sha256: '0'.repeat(64),
        at: instant,
        toolVersion: '15',
        serverVersion: '15',
      },
      qdrant: [],
      falkordb: [],
    },
    notExact: [],
  };
  writeFileSync(join(root, id, 'manifest.json'), JSON.stringify(manifest));
}

describe('the newest set of a cluster', () => {
  test('is its own, although another cluster’s in the same folder is newer', async () => {
    const root = tempFolder('root');
    layManifest(root, 'b-own', 'acme', daysAgo(2));
    layManifest(root, 'c-other', 'acme-eu', daysAgo(0));
    expect((await findOwnSet('latest', [root], 'acme')).set.id).toBe('b-own');
    expect((await findBackupSet('latest', [root])).id).toBe('c-other');
    await expect(findOwnSet('yesterday', [root], 'acme')).rejects.toThrow(/no backup set "yesterday"/);
  });

  test('of yesterday is the newest of that day', async () => {
    const root = tempFolder('root');
    const noon = (days: number) => new Date(`${daysAgo(days).toISOString().slice(0, 10)}T12:00:00Z`);
    for (const [id, at] of [
      ['a', noon(2)],
      ['b', noon(1)],
      ['c', new Date(noon(1).getTime() + 3_600_000)],
      ['d', noon(0)],
    ] as const)
      layManifest(root, id, 'acme', at);
    expect((await findOwnSet('yesterday', [root], 'acme')).set.id).toBe('c');
  });

  test('is told with what is newer and cannot be used', async () => {
    const root = tempFolder('root');
    layManifest(root, '20261101T000000Z', 'acme', daysAgo(2));
    mkdirSync(join(root, '20261102T000000Z'));
    writeFileSync(join(root, '20261102T000000Z', 'manifest.json'), '{');
    // A root that cannot be read is no newer set.
    const { set, passedOver } = await findOwnSet('latest', [root, 's3://acme/backups'], 'acme');
    expect(set.id).toBe('20261101T000000Z');
    expect(passedOver).toEqual([
      expect.stringMatching(/^a newer backup set was passed over: 20261102T000000Z: The manifest cannot be used/),
    ]);
  });
});
