import { describe, expect, test } from 'vitest';
import { guardsOf } from '../../src/engine/guards.js';
import type { BackupSet } from '../../src/stores/backup-set/backup-set.js';
import type { Fingerprint } from '../../src/stores/fingerprint.js';

const fingerprint = (systemIdentifier: string): Fingerprint => ({
  postgres: { address: 'db:5432', version: '15.1', systemIdentifier },
  qdrant: { address: 'http://qdrant:6333', version: '1.16.3', collections: 3 },
  falkordb: { address: 'graph:6379', version: '8.0.1', keys: 2 },
});
const setOf = (cluster: string | undefined, systemIdentifier: string | undefined): BackupSet =>
  ({
    id: 'set',
    ...(cluster === undefined ? {} : { cluster }),
    ...(systemIdentifier === undefined ? {} : { inventory: { postgres: { systemIdentifier } } }),
  }) as unknown as BackupSet;

const differences = (now: string, known: string[], backup?: BackupSet) =>
  guardsOf('acme', fingerprint(now), known, backup).map((guard) => guard.difference);

describe('a run is let in', () => {
  test.each<[string, string, string[], BackupSet | undefined]>([
    ['on a cluster that is seen for the first time', '1', [], undefined],
    ['on the cluster of before', '1', ['1'], setOf('acme', '1')],
    ['on one that was there before that', '1', ['1', '2'], setOf('acme', '2')],
    ['while Postgres does not tell', '', ['1'], setOf('acme', '1')],
    ['with loose files, which tell of no cluster', '1', ['1'], setOf(undefined, undefined)],
    ['with a set of a server that was replaced since, and accepted', '2', ['1', '2'], setOf('acme', '1')],
    ['where nothing is known', '', [], setOf('acme', '1')],
  ])('%s', (_what, now, known, backup) => {
    expect(differences(now, known, backup)).toEqual([]);
  });
});

describe('a run is held up', () => {
  test.each<[string, string, string[], BackupSet | undefined, string[]]>([
    ['on another Postgres than before', '2', ['1'], undefined, ['cluster']],
    ['with a set of a cluster of another name', '1', ['1'], setOf('other', '1'), ['backup']],
    ['with a set of another Postgres', '1', ['1'], setOf('acme', '9'), ['backup']],
    ['with a set of another Postgres, while its own does not tell', '', ['1'], setOf('acme', '9'), ['backup']],
    ['by everything at once', '2', ['1'], setOf('other', '9'), ['cluster', 'backup', 'backup']],
  ])('%s', (_what, now, known, backup, expected) => {
    expect(differences(now, known, backup)).toEqual(expected);
  });

  test('with words that name both', () => {
    const [cluster, backup] = guardsOf('acme', fingerprint('2'), ['1'], setOf('other', '2'));
    expect(cluster!.said).toMatch(/system identifier 1 before, and now leads to 2 at db:5432/);
    expect(backup!.said).toBe('the backup set set was taken from the cluster "other", and this is "acme"');
  });
});
