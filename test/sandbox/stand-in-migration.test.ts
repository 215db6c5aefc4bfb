import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import { inventoryPostgres } from '../../src/stores/postgres/inventory.js';
import { eventually } from '../support/eventually.js';
import { open, type RealCluster, realCluster } from '../support/sandbox.js';

let real: RealCluster;

beforeAll(async () => {
  real = await realCluster(200);
});

async function restartStandIn(): Promise<void> {
  const novamem = real.cluster.driver('novamem')!;
  await novamem.stop(open, { onLine: () => {} });
  await novamem.start(open, { onLine: () => {} });
  await eventually('the stand-in answers', async () => (await real.cluster.answering('novamem')).answers);
}

const health = async () => (await fetch(`http://127.0.0.1:${real.record.ports.novamem}/health`)).status;

describe('the stand-in, when it is started', () => {
  test('leaves a database with its tables alone', async () => {
    const before = await inventoryPostgres(real.cluster.postgres);
    await restartStandIn();
    expect(await inventoryPostgres(real.cluster.postgres)).toEqual(before);
  });

  test('makes its tables in an empty database, finds nothing in it, and remembers again', async () => {
    await real.sql('DROP DATABASE novamem WITH (FORCE)', 'postgres');
    await real.sql('CREATE DATABASE novamem', 'postgres');
    expect(await health()).toBe(503);
    await restartStandIn();
    expect(await health()).toBe(200);
    const token = readFileSync(real.places.secret('novamem'), 'utf8').trim();
    const ask = (path: string, body: unknown) =>
      fetch(`http://127.0.0.1:${real.record.ports.novamem}${path}`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}` },
        body: JSON.stringify(body),
      });
    const empty = (await (await ask('/v1/search', { query: 'release train' })).json()) as { results: unknown[] };
    expect(empty.results).toEqual([]);
    expect((await ask('/v1/remember', { content: 'the first memory of all' })).status).toBe(201);
    const found = (await (await ask('/v1/search', { query: 'first memory' })).json()) as { results: unknown[] };
    expect(found.results).toHaveLength(1);
  });

  test('starts also where its database is absent', async () => {
    await real.sql('DROP DATABASE novamem WITH (FORCE)', 'postgres');
    await restartStandIn();
    expect(await health()).toBe(503);
  });
});
