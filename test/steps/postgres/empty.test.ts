import { beforeAll, expect, test } from 'vitest';
import { postgresEmpty } from '../../../src/steps/postgres/empty.js';
import { follow, open, perform, type RealCluster, realCluster, unequal } from '../../support/sandbox.js';

let real: RealCluster;

beforeAll(async () => {
  real = await realCluster(100);
});

const databases = () =>
  real.sql(`SELECT oid::text, datname AS name FROM pg_database WHERE datname LIKE 'novamem%' ORDER BY 1`, 'postgres');

test('an empty database that was refused the place, since somebody is in the old one, gets it when it is tried again', async () => {
  await real.cluster.driver('novamem')!.stop(open, { onLine: () => {} });
  const [old] = await databases();
  const ctx = real.context();
  const somebody = await real.session();
  const first = await perform(postgresEmpty, {}, ctx);
  await somebody.end();
  expect(first.error?.message).toMatch(/being accessed by other users/);
  expect((await databases())[0]).toEqual({ oid: old!.oid, name: 'novamem' });

  const second = await perform(postgresEmpty, {}, { ...ctx, earlier: { ...first.facts } });
  expect(second.error).toBeUndefined();
  const facts = { ...first.facts, ...second.facts };
  expect(await unequal(postgresEmpty, {}, ctx, facts)).toEqual([]);
  expect((await databases())[0]).toEqual({ oid: old!.oid, name: facts.keptAs });

  const undone = await follow(postgresEmpty.undo!(postgresEmpty.params.parse({}), ctx, facts));
  expect(undone.error).toBeUndefined();
  expect((await databases())[0]).toEqual({ oid: old!.oid, name: 'novamem' });
});
