import { describe, expect, test } from 'vitest';
import type { Identity } from '../../src/config/identities.js';
import { backupGuards, guardsOf } from '../../src/engine/guards.js';
import type { BackupSet } from '../../src/stores/backup-set/backup-set.js';
import type { Fingerprint } from '../../src/stores/fingerprint.js';
import type { Kinship } from '../../src/stores/kinship.js';

const ADDRESSES = { postgres: 'db:5432', qdrant: 'http://qdrant:6333', falkordb: 'graph:6379' };
const fingerprint = (systemIdentifier: string, kinship: Kinship | null = null): Fingerprint => ({
  postgres: { address: ADDRESSES.postgres, version: '15.1', systemIdentifier },
  qdrant: { address: ADDRESSES.qdrant, version: '1.16.3', collections: 3, kinship },
  falkordb: { address: ADDRESSES.falkordb, version: '8.0.1', keys: 2, kinship: null },
});
const knownAs = (systemIdentifiers: string[], moved: Partial<Identity['addresses']> = {}): Identity => ({
  addresses: { ...ADDRESSES, ...moved },
  systemIdentifiers,
});
const setOf = (cluster: string | undefined, systemIdentifier: string | undefined): BackupSet =>
  ({
    id: 'set',
    ...(cluster === undefined ? {} : { cluster }),
    ...(systemIdentifier === undefined ? {} : { inventory: { postgres: { systemIdentifier } } }),
  }) as unknown as BackupSet;

const differences = (now: string, known: string[], backup?: BackupSet) =>
  guardsOf('acme', fingerprint(now), known.length > 0 ? knownAs(known) : undefined, backup).map(
    (guard) => guard.difference,
  );

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
    const [cluster, backup] = guardsOf('acme', fingerprint('2'), knownAs(['1']), setOf('other', '2'));
    expect(cluster!.said).toMatch(
      /Postgres had the system identifier 1, and the one at db:5432 has 2: another server/,
    );
    expect(backup!.said).toBe('the backup set set was taken from the cluster "other", and this is "acme"');
  });

  test.each([
    ['postgres', 'localhost:1', /Postgres was at localhost:1, and is at db:5432/],
    ['qdrant', 'http://localhost:2', /Qdrant was at http:\/\/localhost:2, and is at http:\/\/qdrant:6333/],
    ['falkordb', 'localhost:3', /FalkorDB was at localhost:3, and is at graph:6379/],
  ])('when %s is somewhere else', (store, address, words) => {
    const guards = guardsOf('acme', fingerprint('1'), knownAs(['1'], { [store]: address }), undefined);
    expect(guards).toEqual([{ difference: 'cluster', said: expect.stringMatching(words) }]);
  });

  test('when a store names only memories that Postgres does not know', () => {
    const held = (asked: number, known: number) =>
      guardsOf('acme', fingerprint('1', { asked, known }), undefined, undefined);
    expect(held(200, 0)).toEqual([
      {
        difference: 'cluster',
        said: expect.stringMatching(/of 200 memories that Qdrant at \S+ or .* names, the other knows none/),
      },
    ]);
    expect([...held(200, 1), ...held(4, 0)]).toEqual([]);
  });
});

test('in a drill it is the other cluster that the backup set must be of', () => {
  const differ = (set: BackupSet, known: string[]) => backupGuards('acme', known, set).map((one) => one.said);
  expect(differ(setOf('acme', '1'), ['1'])).toEqual([]);
  expect(differ(setOf('acme', '1'), [])).toEqual([]);
  expect(differ(setOf('acme-eu', undefined), [])).toEqual([
    'the backup set set was taken from the cluster "acme-eu", and this is "acme"',
  ]);
  expect(differ(setOf('acme', '2'), ['1'])).toEqual([
    'the backup set set was taken from the Postgres with the system identifier 2; the profile acme leads to 1',
  ]);
});
