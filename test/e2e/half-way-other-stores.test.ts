import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, truncateSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { filesBelow } from '../../src/hosts/files.js';
import type { BackupSet } from '../../src/stores/backup-set/backup-set.js';
import {
  copiesOf,
  failedAsAnnounced,
  graphIn,
  type HalfWay,
  halfWay,
  kill,
  rowsIn,
  start,
  type Tried,
  uploadTo,
  vectorsIn,
} from '../support/half-way.js';
import { runProgram } from '../support/program.js';
import { open, type RealCluster, realCluster } from '../support/sandbox.js';
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

/** A run in which a server is killed when these words are on their way to it. */
async function broken(
  [of, words, more]: [keyof HalfWay['ports'], string, { time?: number; when?: 'answered' }?],
  run: () => Promise<Tried>,
): Promise<Tried> {
  const killed = cluster.ports[of].once(words, () => kill(real, of), more);
  const tried = await run();
  expect(killed.happened, tried.words).toBe(true);
  expect((await real.cluster.answering(of)).answers).toBe(false);
  return tried;
}

async function isRecovered(again: Tried): Promise<void> {
  expect(again.exitCode, again.words).toBe(0);
  expect((await real.cluster.answering('novamem')).answers).toBe(true);
}

describe('Qdrant', () => {
  const recover = (way: string, ...more: string[]) =>
    cluster.run('qdrant-lost', '--set', `way.answer=${way}`, ...more);
  const lose = (name: string) => real.cluster.qdrant.client.deleteCollection(name);

  test('that is killed at an upload has its safety copies, each of them whole', async () => {
    await lose('novamem_p_atlas_decisions');
    const tried = await broken(['qdrant', '/snapshots/upload', { time: 5 }], () =>
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
    await isRecovered(await recover('snapshots'));
    expect(await vectorsIn(real)).toEqual(vectors);
  });

  test('that is killed once memories were queued leaves them in the queue, and they are embedded by a second run', async () => {
    await lose('novamem_u_acme_notes');
    const killed = cluster.ports.postgres.once('embedded_at = NULL', () => kill(real, 'qdrant'), {});
    const tried = await recover('queue', '--set', 'embed-missing.stallSeconds=3');
    expect(killed.happened).toBe(true);
    const reason = await failedAsAnnounced(real, cluster, tried, 'embed-missing', { serving: true });
    console.log(reason);
    const [queued] = await real.sql('SELECT count(*)::int AS count FROM memory_entries WHERE embedded_at IS NULL');
    expect(queued!.count).toBe(vectors.novamem_u_acme_notes!.points);
    expect(copiesOf(tried).map(({ at }) => readFileSync(at, 'utf8').trim().split('\n').length)).toEqual([
      queued!.count,
    ]);
    await isRecovered(await recover('queue'));
    expect(Object.keys(await vectorsIn(real))).toEqual(Object.keys(vectors));
  });

  test('whose novamem is killed while it embeds everything', async () => {
    await lose('novamem_u_acme_notes');
    const tried = await broken(['novamem', 'POST /v1/admin/reindex', { when: 'answered' }], () =>
      recover('reindex', '--set', 'embed-all.stallSeconds=3'),
    );
    const reason = await failedAsAnnounced(real, cluster, tried, 'embed-all');
    console.log(reason);
    await isRecovered(await recover('reindex'));
    expect(Object.keys(await vectorsIn(real))).toEqual(Object.keys(vectors));
  });
});

describe('FalkorDB', () => {
  const recover = (way: string) => cluster.run('falkordb-lost', '--set', `way.answer=${way}`);

  test.each([
    ['files', 'restore-files', 'that cannot load a backup whose file was cut meanwhile'],
    ['empty', 'start-empty', 'that is killed when it runs without files'],
  ])('by way of %s (%s) %s has every file of before aside', async (way, step) => {
    let mend = () => {};
    const happened = cluster.ports.falkordb.once(way === 'files' ? 'SHUTDOWN' : 'CREATE INDEX', () => {
      if (way === 'empty') return kill(real, 'falkordb');
      mend = cutLargest(backup.folder);
    });
    const tried = await recover(way);
    expect(happened.happened, tried.words).toBe(true);
    console.log(await failedAsAnnounced(real, cluster, tried, step));
    expect([await vectorsIn(real), await rowsIn(real)]).toEqual([vectors, rows]);
    // As the plan says: moving the files back undoes it.
    const aside = /Way back +the files of now are moved aside into (\S+), never deleted/.exec(tried.stdout)![1]!;
    await real.cluster.driver('falkordb')!.stop(open, { onLine: () => {} });
    execFileSync('sh', ['-c', `cd '${dirname(aside)}' && rm -rf appendonlydir && mv '${aside}'/* .`]);
    await start(real, 'falkordb');
    expect(await graphIn(real)).toEqual(graph);
    mend();
    await isRecovered(await recover('files'));
    expect(await graphIn(real)).toEqual(graph);
  });

  test('that is killed while the graph is rebuilt has the graph of before under its other name', async () => {
    const tried = await broken(['falkordb', 'MERGE (a)-[r:RELATES'], () => recover('rebuild'));
    console.log(await failedAsAnnounced(real, cluster, tried, 'rebuild'));
    await start(real, 'falkordb');
    const aside = /Way back +the graph is moved to (\S+) first, and kept there/.exec(tried.stdout)![1]!;
    expect(await graphIn(real, aside)).toEqual(graph);
    expect([await vectorsIn(real), await rowsIn(real)]).toEqual([vectors, rows]);
    await isRecovered(await recover('rebuild'));
    expect((await graphIn(real)).relationships).toEqual(graph.relationships);
    await isRecovered(await recover('files'));
  });
});

test('the whole cluster: a Postgres that is killed while it is filled is filled by a second run', async () => {
  await real.sql('DROP DATABASE novamem WITH (FORCE)', 'postgres');
  for (const name of Object.keys(vectors)) await real.cluster.qdrant.client.deleteCollection(name);
  const tried = await broken(['postgres', 'relation, strength) FROM stdin'], () => cluster.run('whole-cluster-lost'));
  console.log(await failedAsAnnounced(real, cluster, tried, 'restore-postgres'));
  await isRecovered(await cluster.run('whole-cluster-lost'));
  expect(await rowsIn(real)).toEqual(rows);
});

test('a reconciliation whose FalkorDB is killed has a copy of all that it deleted', async () => {
  await real.sql('DELETE FROM memory_entries WHERE id IN (SELECT id FROM memory_entries ORDER BY id LIMIT 20)');
  const reconcile = () => cluster.run('cross-check', '--set', 'reconcile-choice.answer=delete');
  const tried = await broken(['falkordb', 'DELETE m'], reconcile);
  console.log(await failedAsAnnounced(real, cluster, tried, 'reconcile', { serving: true }));
  console.log(copiesOf(tried));
  const again = await reconcile();
  console.log(again.words);
});

test('a backup whose Qdrant is killed is no backup, and the one before is', async () => {
  const tried = await broken(['qdrant', '/snapshots/', { time: 3 }], () => cluster.run('backup'));
  console.log(await failedAsAnnounced(real, cluster, tried, 'backup-qdrant', { serving: true }));
  const listed = await runProgram(['backups', 'list', '--profile', cluster.profile]);
  console.log(
    listed.stdout,
    existsSync(join(backup.folder, 'manifest.json')),
    readdirSync(real.places.backups),
    await filesBelow(join(real.places.qdrantData, 'snapshots')),
  );
  await start(real, 'qdrant');
  console.log((await runProgram(['backups', 'verify', '--profile', cluster.profile])).stdout);
  const again = await cluster.run('backup');
  expect(again.exitCode).toBe(0);
});

/** Cuts the largest file of the backup's graph in half; answers what makes it whole again. */
function cutLargest(folder: string): () => void {
  const base = readdirSync(join(folder, 'falkordb', 'appendonlydir')).find((name) => name.endsWith('.base.rdb'))!;
  const file = join(folder, 'falkordb', 'appendonlydir', base);
  const whole = readFileSync(file);
  truncateSync(file, whole.length / 2);
  return () => execFileSync('tee', [file], { input: whole, stdio: ['pipe', 'ignore', 'inherit'] });
}
