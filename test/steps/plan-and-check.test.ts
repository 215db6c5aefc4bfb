import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { closedGateway, type Gateway, GatewayRefusal } from '../../src/hosts/gateway.js';
import { inspectCommand } from '../../src/hosts/run-command.js';
import { driverFor } from '../../src/hosts/services/drivers.js';
import { stepKinds } from '../../src/steps/registry.js';
import type { AnyStepKind, StepContext } from '../../src/steps/step.js';
import type { BackupSet } from '../../src/stores/backup-set/backup-set.js';
import { inventoryFalkordb } from '../../src/stores/falkordb/inventory.js';
import { inventoryPostgres } from '../../src/stores/postgres/inventory.js';
import { inventoryQdrant } from '../../src/stores/qdrant/inventory.js';
import { open, type RealCluster, realCluster } from '../support/sandbox.js';
import { askQdrant, plainRedis, quietPostgres, watchPrograms, watchWrites } from '../support/write-watch.js';

let real: RealCluster;
let backup: BackupSet;

beforeAll(async () => {
  real = await realCluster();
  backup = await real.backup(real.cluster.profile, { 'backup-base': { take: true } });
  await quietPostgres(real);
});

test('every kind that can be undone says beforehand what comes back, and proves it afterwards', () => {
  const undoable = stepKinds().filter((kind) => kind.undo);
  expect(undoable.length).toBeGreaterThan(5);
  for (const kind of undoable) expect([kind.planUndo, kind.verifyUndo], kind.kind).not.toContain(undefined);
});

/** Programs with arguments for which they change nothing: a dump is read to standard output, a file looked at. */
const READING =
  /^(pg_controldata|pg_waldump|redis-check-(aof|rdb)(?! --fix)|pg_restore( --create --schema-only| --data-only)? (--list|--file -)|sh -c cat \| "\$@" sh \S+\/pg_restore --create --schema-only --file -|psql( \S+)* --dbname dbname=postgres replication=true --command IDENTIFY_SYSTEM$|\S+ --version$)/;

/** Parameters with which each kind is tried; a new kind without parameters of its own needs no line here. */
const PARAMETERS: Record<string, unknown[]> = {
  'service.stop': [{ service: 'novamem' }, { service: 'falkordb' }],
  'service.start': [{ service: 'novamem' }, { service: 'postgres' }],
  'service.restart': [{ service: 'qdrant' }],
  'postgres.restore': [{}, { strategy: 'swap' }, { sessions: 'end', owners: 'ignore' }],
  'operator.choose': [
    { question: 'Which?', options: ['a', 'b'].map((choice) => ({ choice, title: choice, because: choice })) },
  ],
  'operator.confirm': [{ question: 'Gone?', words: 'it is gone' }],
  'postgres.base-backup': [{}, { take: true }],
  'postgres.point-in-time': [{}, { target: 'latest' }, { target: '2099-01-01 00:00 UTC' }, { target: 'before 735' }],
  'falkordb.restore': [{}, { acceptDamaged: true }],
  'qdrant.reindex': [
    { by: 'endpoint' },
    { by: 'endpoint', endpointExists: true },
    { by: 'queue' },
    { by: 'queue', only: 'missing' },
    { by: 'queue', only: 'missing', afterRestore: true },
  ],
};

const cases = stepKinds().flatMap((kind) =>
  (PARAMETERS[kind.kind] ?? [{}]).map((params) => ({ name: kind.kind, kind, params })),
);

/** A gateway that lets nothing through, and remembers what knocked: a step may catch the refusal. */
function watchedGateway(): { gateway: Gateway; refused: string[] } {
  const refused: string[] = [];
  const closed = closedGateway();
  return {
    refused,
    gateway: {
      change(change, act) {
        refused.push(`${change.channel}: ${change.text}`);
        return closed.change(change, act);
      },
    },
  };
}

async function look(kind: AnyStepKind, given: unknown, phase: StepContext['phase']): Promise<string[]> {
  const { gateway, refused } = watchedGateway();
  const folder = join(real.places.backups, 'never-made');
  const ctx = real.context({ gateway, backup, phase, newBackup: { id: 'never-made', folder } });
  const params = kind.params.parse(given);
  const plan = await kind.plan(params, ctx);
  const found = await kind.check(params, ctx);
  expect(plan.summary).not.toBe('');
  expect(found.map((finding) => finding.message)).not.toContainEqual(
    expect.stringMatching(/a dry run changes nothing/),
  );
  expect([existsSync(folder), existsSync(ctx.workFolder)]).toEqual([false, false]);
  return refused;
}

async function everything() {
  const { postgres, qdrant, falkordb } = real.cluster;
  const snapshots = await Promise.all(
    (await qdrant.client.getCollections()).collections.map(({ name }) => qdrant.client.listSnapshots(name)),
  );
  return {
    postgres: await inventoryPostgres(postgres),
    databases: await real.sql('SELECT datname FROM pg_database ORDER BY 1'),
    qdrant: await inventoryQdrant(qdrant),
    snapshots,
    falkordb: await inventoryFalkordb(falkordb),
    settings: await falkordb.config('appendonly', 'auto-aof-rewrite-percentage', 'save'),
    files: readdirSync(real.places.backups),
  };
}

describe('plan and check never reach the gateway, and leave the stores as they are,', () => {
  test.each(cases)('for $name with $params, while everything runs', async ({ kind, params }) => {
    const before = await everything();
    const watched = await watchWrites(real);
    expect(await look(kind, params, 'preflight')).toEqual([]);
    expect(await look(kind, params, 'ready')).toEqual([]);
    const { programs, ...writes } = await watched();
    expect(writes).toEqual({ postgres: [], qdrant: [], falkordb: [], novamem: [] });
    expect(programs.filter((program) => !READING.test(program))).toEqual([]);
    expect(await everything()).toEqual(before);
  });

  test('which the counters would show: each store’s own tells of a write, and Node of a program', async () => {
    const watched = await watchWrites(real);
    await real.sql('CREATE TABLE seen()');
    await askQdrant(real, 'PUT', '/collections/seen', { vectors: { size: 1, distance: 'Dot' } });
    await askQdrant(real, 'DELETE', '/collections/seen');
    const redis = plainRedis(real);
    await redis.call('GRAPH.QUERY', 'novamem', 'RETURN 1');
    await redis.config('SET', 'maxmemory-samples', '6');
    redis.disconnect();
    await fetch(new URL('/v1/nothing', real.cluster.profile.novamem!.url), { method: 'POST' });
    await inspectCommand({ file: 'pg_restore', args: ['--dbname', 'novamem', 'x'] });
    const seen = await watched();
    expect(seen).toEqual({
      postgres: expect.arrayContaining([
        expect.stringMatching(/^rmgr: Heap .*desc: INSERT/),
        expect.stringMatching(/statement: CREATE TABLE seen\(\)$/),
      ]),
      qdrant: expect.arrayContaining([
        expect.stringMatching(/^1 × PUT \/collections\/\{\w+\}$/),
        expect.stringMatching(/^1 × DELETE \/collections\/\{\w+\}$/),
      ]),
      falkordb: expect.arrayContaining(['1 × graph.query', '1 × config|set']),
      novamem: ['POST /v1/nothing'],
      programs: ['pg_restore --dbname novamem x'],
    });
    expect(seen.programs.filter((program) => READING.test(program))).toEqual([]);
    const unspoken = await watchWrites(real);
    await real.sql('SELECT lo_create(0)');
    expect((await unspoken()).postgres).toContainEqual(expect.stringMatching(/^rmgr: Heap .*desc: INSERT/));
  });

  test('for any kind, while nothing answers', async () => {
    const services = ['novamem', 'qdrant', 'falkordb', 'postgres'] as const;
    const quiet = { onLine: () => {} };
    for (const service of services)
      await driverFor(service, real.cluster.profile.services[service]!).stop(open, quiet);
    const refused: string[] = [];
    const programs = watchPrograms();
    for (const { kind, params } of cases)
      for (const phase of ['preflight', 'ready'] as const)
        refused.push(...(await look(kind, params, phase).catch((error) => [`${kind.kind}: ${error.message}`])));
    const running = await Promise.all(services.map((service) => real.cluster.driver(service)!.state()));
    expect(refused).toEqual([]);
    expect(programs().filter((program) => !READING.test(program))).toEqual([]);
    expect(running).toEqual(['stopped', 'stopped', 'stopped', 'stopped']);
  });
});

test('a gateway that is closed says what was tried', async () => {
  const attempt = closedGateway().change({ channel: 'sql', text: 'DROP DATABASE novamem' }, async () => {});
  await expect(attempt).rejects.toThrow(GatewayRefusal);
  await expect(attempt).rejects.toThrow(/sql: DROP DATABASE novamem/);
});
