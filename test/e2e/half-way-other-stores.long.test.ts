import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { BackupSet } from '../../src/stores/backup-set/backup-set.js';
import {
  broken,
  copiesOf,
  failedAsAnnounced,
  graphIn,
  type HalfWay,
  halfWay,
  isRecovered,
  kill,
  rowsIn,
  start,
  uploadTo,
  vectorsIn,
} from '../support/half-way.js';
import { runProgram } from '../support/program.js';
import { type RealCluster, realCluster } from '../support/sandbox.js';
import { restartNovamem } from '../support/stand-in.js';

// The central step of each scenario of the other stores really fails half-way: what its plan announced is what is there, and the
// same scenario recovers everything afterwards.

let real: RealCluster;
let cluster: HalfWay;
let backup: BackupSet;
let vectors: Awaited<ReturnType<typeof vectorsIn>>;
let graph: Awaited<ReturnType<typeof graphIn>>;
let rows: Awaited<ReturnType<typeof rowsIn>>;

const look = async () => {
  [vectors, graph, rows] = [await vectorsIn(real), await graphIn(real), await rowsIn(real)];
};

beforeAll(async () => {
  real = await realCluster();
  cluster = await halfWay(real);
  backup = await real.backup();
  await restartNovamem(real, { embeddingsPerMinute: 60_000, reindexEndpoint: true });
});

beforeEach(async () => {
  for (const port of Object.values(cluster.ports)) port.forget();
  await look();
});

describe('Qdrant', () => {
  const recover = (way: string, ...more: string[]) =>
    cluster.run('qdrant-lost', '--set', `way.answer=${way}`, ...more);
  const lose = (name: string) => real.cluster.qdrant.client.deleteCollection(name);

  test('that is killed at an upload has its safety copies, each of them whole', async () => {
    await lose('novamem_p_atlas_decisions');
    const tried = await broken(real, cluster, ['qdrant', '/snapshots/upload', { time: 5 }], () =>
      recover('snapshots', '--set', 'restore-snapshots.atOnce=2'),
    );
    expect(await failedAsAnnounced(real, cluster, tried, 'restore-snapshots')).toMatch(
      /Qdrant has ended .* may be restored, as it was, or broken. Nothing was sent again/,
    );
    expect([await graphIn(real), await rowsIn(real)]).toEqual([graph, rows]);
    await start(real, 'qdrant');
    const copies = copiesOf(tried);
    expect(copies.length).toBeGreaterThanOrEqual(4);
    for (const { of, at } of copies) {
      const name = of.replace('collection ', '');
      await uploadTo(real, 'safety_copy', at);
      expect((await vectorsIn(real)).safety_copy).toEqual(vectors[name]);
      await lose('safety_copy');
    }
    await isRecovered(real, await recover('snapshots'));
    expect(await vectorsIn(real)).toEqual(vectors);
  });

  test('that is killed once memories were queued leaves them in the queue, and they are embedded by a second run', async () => {
    await lose('novamem_u_acme_notes');
    const killed = cluster.ports.postgres.once('embedded_at = NULL', () => kill(real, 'qdrant'));
    const tried = await recover('queue', '--set', 'embed-missing.stallSeconds=3');
    expect(killed.happened).toBe(true);
    // It is novamem that embeds: it runs, as it was announced.
    expect(await failedAsAnnounced(real, cluster, tried, 'embed-missing', { serving: true })).toMatch(
      /no memory got its vector for 3.0 s: .*Nothing is lost: the rows stay queued/,
    );
    const [queued] = await real.sql('SELECT count(*)::int AS count FROM memory_entries WHERE embedded_at IS NULL');
    expect(queued!.count).toBe(vectors.novamem_u_acme_notes!.points);
    expect(copiesOf(tried).map(({ at }) => readFileSync(at, 'utf8').trim().split('\n').length)).toEqual([
      queued!.count,
    ]);
    await isRecovered(real, await recover('queue'));
    expect(Object.keys(await vectorsIn(real))).toEqual(Object.keys(vectors));
  });

  test('whose novamem is killed once it was asked to embed everything gets its vectors by a second run', async () => {
    await lose('novamem_u_acme_notes');
    const tried = await broken(real, cluster, ['novamem', 'POST /v1/admin/reindex', { when: 'answered' }], () =>
      recover('reindex', '--set', 'embed-all.stallSeconds=3'),
    );
    expect(await failedAsAnnounced(real, cluster, tried, 'embed-all')).toMatch(
      /still wait; .*novamem does not answer .*Nothing is lost: memories are in Postgres/,
    );
    await isRecovered(real, await recover('reindex'));
    expect(Object.keys(await vectorsIn(real))).toEqual(Object.keys(vectors));
  });
});

describe('FalkorDB', () => {
  const recover = (way: string) => cluster.run('falkordb-lost', '--set', `way.answer=${way}`);

  test.each([
    [
      'files',
      'restore-files',
      'whose backup is cut after it was proven',
      /is not what was proven before.*left stopped/,
    ],
    [
      'empty',
      'start-empty',
      'that is killed when it runs without files',
      /closed the connection before it had answered/,
    ],
  ])('(%s, %s) %s has every file of before aside', async (way, step, _what, said) => {
    let mend = () => {};
    const moment = cluster.ports.falkordb.once(way === 'files' ? 'SHUTDOWN' : 'CREATE INDEX', () => {
      if (way === 'empty') return kill(real, 'falkordb');
      mend = cutGraph(backup);
    });
    const tried = await recover(way);
    expect(moment.happened, tried.words).toBe(true);
    expect(await failedAsAnnounced(real, cluster, tried, step)).toMatch(said);
    expect([await vectorsIn(real), await rowsIn(real)]).toEqual([vectors, rows]);
    expect((await real.cluster.answering('falkordb')).answers).toBe(false);

    // As the plan says: moving the files back undoes it.
    const aside = /Way back +the files of now are moved aside into (\S+), never deleted/.exec(tried.stdout)![1]!;
    execFileSync('sh', ['-c', `cd '${dirname(aside)}' && rm -rf appendonlydir && mv '${aside}'/* .`]);
    await start(real, 'falkordb');
    expect(await graphIn(real)).toEqual(graph);

    mend();
    await isRecovered(real, await recover(way));
    const { nodes } = await graphIn(real);
    expect(nodes).toEqual(way === 'empty' ? {} : graph.nodes);
    if (way === 'empty') await isRecovered(real, await recover('files'));
  });

  test('that is killed while the graph is rebuilt has the graph of before under its other name', async () => {
    const tried = await broken(real, cluster, ['falkordb', 'MERGE (a)-[r:RELATES'], () => recover('rebuild'));
    expect(await failedAsAnnounced(real, cluster, tried, 'rebuild')).toMatch(/may be done or not/);
    await start(real, 'falkordb');
    const aside = /Way back +the graph is moved to (\S+) first, and kept there/.exec(tried.stdout)![1]!;
    expect(await graphIn(real, aside)).toEqual(graph);
    expect([await vectorsIn(real), await rowsIn(real)]).toEqual([vectors, rows]);
    await isRecovered(real, await recover('rebuild'));
    const { nodes, relationships } = await graphIn(real);
    expect([nodes, relationships]).toEqual([graph.nodes, graph.relationships]);
    await isRecovered(real, await recover('files'));
  });
});

test('the whole cluster: a Postgres that is killed while it is filled is filled by a second run', async () => {
  await real.sql('DROP DATABASE novamem WITH (FORCE)', 'postgres');
  for (const name of Object.keys(vectors)) await real.cluster.qdrant.client.deleteCollection(name);
  const tried = await broken(real, cluster, ['postgres', 'relation, strength) FROM stdin'], () =>
    cluster.run('whole-cluster-lost'),
  );
  expect(await failedAsAnnounced(real, cluster, tried, 'restore-postgres')).toMatch(
    /The database novamem is half filled; a retry replaces it/,
  );
  // What does not need the step that failed goes on to its end, and is what the backup holds.
  for (const step of ['restore-qdrant', 'restore-falkordb'])
    expect(tried.stdout).toMatch(new RegExp(`${step} +succeeded`));
  expect(Object.keys(await vectorsIn(real))).toEqual(Object.keys(vectors));
  expect(await graphIn(real)).toEqual(graph);

  await isRecovered(real, await cluster.run('whole-cluster-lost'));
  expect(Object.keys(await rowsIn(real))).toEqual(Object.keys(rows));
  expect(await graphIn(real)).toEqual(graph);
});

test('a reconciliation whose FalkorDB is killed has a copy of all that it deleted and was about to delete', async () => {
  const gone = await real.sql(
    'DELETE FROM memory_entries WHERE id IN (SELECT id FROM memory_entries ORDER BY id LIMIT 20) RETURNING id',
  );
  const ids = gone.map((row) => row.id as string).sort();
  const reconcile = () => cluster.run('cross-check', '--set', 'reconcile-choice.answer=delete');
  const tried = await broken(real, cluster, ['falkordb', 'DELETE m'], reconcile);
  // This scenario stops nobody.
  await failedAsAnnounced(real, cluster, tried, 'reconcile', { serving: true });
  const [copied, nodes] = copiesOf(tried).map(({ at }) =>
    readFileSync(at, 'utf8')
      .trimEnd()
      .split('\n')
      .map(
        (line) => JSON.parse(line) as { memory?: string; point?: { payload: { entryId: string }; vector: number[] } },
      ),
  );
  expect(copied!.map(({ point }) => point!.payload.entryId).sort()).toEqual(ids);
  expect(copied!.every(({ point }) => point!.vector.length === 384)).toBe(true);
  expect(nodes!.map(({ memory }) => memory).sort()).toEqual(ids);
  await start(real, 'falkordb');
  expect(await graphIn(real)).toEqual(graph);

  await isRecovered(real, await reconcile());
  expect((await graphIn(real)).nodes.Memory).toBe(graph.nodes.Memory! - ids.length);
});

test('a backup whose Qdrant is killed is none, and the one before is still good', async () => {
  const tried = await broken(real, cluster, ['qdrant', '.snapshot HTTP', { time: 3 }], () => cluster.run('backup'));
  // A backup stops nobody.
  await failedAsAnnounced(real, cluster, tried, 'backup-qdrant', { serving: true });
  const [started] = tried.events;
  const unfinished = (started as { newBackup: string }).newBackup;
  expect(existsSync(join(unfinished, 'manifest.json'))).toBe(false);
  expect([await graphIn(real), await rowsIn(real)]).toEqual([graph, rows]);
  await start(real, 'qdrant');
  expect(await vectorsIn(real)).toEqual(vectors);
  const { stdout } = await runProgram(['backups', 'list', '--profile', cluster.profile]);
  expect(stdout).toMatch(new RegExp(`${basename(unfinished)} +unusable .*is unfinished`));
  const verified = await runProgram(['backups', 'verify', backup.id, '--profile', cluster.profile]);
  expect(verified, verified.stdout + verified.stderr).toMatchObject({ exitCode: 0 });
  await isRecovered(real, await cluster.run('backup'));
});

/** Cuts the file that holds the graph of a backup set in half; answers what makes it whole again. */
function cutGraph({ falkordb }: BackupSet): () => void {
  const { file } = falkordb!.files.toSorted((a, b) => b.bytes - a.bytes)[0]!;
  const whole = readFileSync(file);
  truncateSync(file, Math.floor(whole.length / 2));
  return () => writeFileSync(file, whole);
}
