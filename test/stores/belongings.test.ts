import { beforeAll, expect, test } from 'vitest';
import { remember } from '../../src/sandbox/remember.js';
import { type Belongings, belongingsOf, withWrittenSince } from '../../src/stores/belongings.js';
import { Cluster } from '../../src/stores/cluster.js';
import { type Loss, lossBetween } from '../../src/stores/loss.js';
import { waitingRows } from '../../src/stores/novamem/embedding-queue.js';
import { listCollections } from '../../src/stores/qdrant/inventory.js';
import { deletePoints, type Point, putPoints, wholePointPages } from '../../src/stores/qdrant/points.js';
import { eventually } from '../support/eventually.js';
import { open, type RealCluster, realCluster } from '../support/sandbox.js';
import { restartNovamem } from '../support/stand-in.js';

let real: RealCluster;

beforeAll(async () => {
  real = await realCluster(60);
});

/** What a cluster has lost by what is done to it; of what was compared beside, what is not as it was. */
async function lossBy(work: () => Promise<unknown>): Promise<Loss> {
  const before = await belongingsOf(real.cluster);
  await work();
  return lossSince(before);
}

async function lossSince(before: Belongings): Promise<Loss> {
  const loss = lossBetween(before, await belongingsOf(real.cluster));
  expect(loss.equality.length).toBeGreaterThan(10);
  return { ...loss, equality: loss.equality.filter(({ ok }) => !ok) };
}

const NOTHING = {
  memories: 0,
  changed: 0,
  strange: 0,
  vectors: 0,
  nodes: 0,
  relationships: 0,
  altered: 0,
  rows: 0,
  examples: [],
  tables: {},
  leftOver: { vectors: 0, nodes: 0, doubles: 0 },
  unread: '',
  silent: [],
  equality: [],
};

const graphQuery = (cypher: string) =>
  real.cluster.falkordb.write(open, 'GRAPH.QUERY', real.cluster.falkordb.graph, cypher);

test('everything is read, and nothing is lost where nothing happens', async () => {
  const found = await belongingsOf(real.cluster);
  expect(found.silent).toEqual([]);
  expect(found.relationships.size).toBeGreaterThan(100);
  expect([...found.tables.keys()]).toEqual(
    expect.arrayContaining(['memory_fts', 'memory_relations', 'project_members', 'projects', 'user', 'user_tokens']),
  );
  expect(await lossSince(found)).toEqual(NOTHING);
});

test('what novamem itself writes and tidies away while it runs is no loss', async () => {
  const loss = await lossBy(() =>
    real.sql(`DELETE FROM metrics_samples WHERE id < 100; DELETE FROM decay_runs WHERE id < 5;
      INSERT INTO memory_access (entry_id, accessed_at) SELECT id, now() FROM memory_entries LIMIT 3;
      UPDATE memory_entries SET cold = NOT cold, embedded_at = now() WHERE namespace = 'default'`),
  );
  expect(loss).toEqual(NOTHING);
});

test('a token and a member that are gone are named by their keys, and a project by what it was', async () => {
  const [member] = await real.sql('SELECT project_id, user_id FROM project_members LIMIT 1');
  const [token] = await real.sql('SELECT id FROM user_tokens LIMIT 1');
  const loss = await lossBy(() =>
    real.sql(`DELETE FROM project_members WHERE project_id = '${member!.project_id}' AND user_id = '${member!.user_id}';
      DELETE FROM user_tokens WHERE id = '${token!.id}';
      UPDATE projects SET name = name || ' renamed' WHERE id = '${member!.project_id}'`),
  );
  expect(loss).toEqual({
    ...NOTHING,
    rows: 3,
    tables: {
      project_members: { rows: 1, keys: [`${member!.project_id} ${member!.user_id}`] },
      projects: { rows: 1, keys: [member!.project_id] },
      user_tokens: { rows: 1, keys: [token!.id] },
    },
  });
});

test('a memory that is gone leaves its vector and node over; what refers to it is not counted once more', async () => {
  const [memory] = await real.sql('SELECT from_id AS id FROM memory_relations LIMIT 1');
  const loss = await lossBy(() => real.sql(`DELETE FROM memory_entries WHERE id = '${memory!.id}'`));
  expect(loss).toMatchObject({
    ...NOTHING,
    memories: 1,
    examples: [expect.any(String)],
    leftOver: { vectors: 1, nodes: 1 },
  });
});

test('a memory that became somebody else’s has changed, one without its words is found by no word', async () => {
  const [one, other] = await real.sql("SELECT id FROM memory_entries WHERE namespace = 'default' LIMIT 2");
  const loss = await lossBy(() =>
    real.sql(`UPDATE memory_entries SET user_id = 'nobody' WHERE id = '${one!.id}';
      DELETE FROM memory_fts WHERE entry_id = '${other!.id}'`),
  );
  expect(loss).toEqual({ ...NOTHING, changed: 1, rows: 1, tables: { memory_fts: { rows: 1, keys: [other!.id] } } });
});

test('relationships without their validity, doubled ones and doubled nodes are seen', async () => {
  const relations = await real.sql('SELECT from_id, to_id, relation FROM memory_relations ORDER BY 1, 2, 3 LIMIT 3');
  const [one, other, third] = relations.map(
    ({ from_id, to_id, relation }) =>
      `MATCH (a:Memory {id: '${from_id}'})-[r {kind: '${relation}'}]->(b:Memory {id: '${to_id}'})`,
  );
  const loss = await lossBy(async () => {
    await graphQuery(`${one} SET r.validFrom = NULL`);
    await graphQuery(`${other} SET r.strength = 0.12345`);
    await graphQuery(
      `${third} CREATE (a)-[:RELATES {kind: r.kind, strength: r.strength, validFrom: r.validFrom, validTo: r.validTo}]->(b)`,
    );
    await graphQuery(`CREATE (:Memory {id: '${relations[0]!.from_id}'})`);
  });
  expect(loss).toEqual({ ...NOTHING, altered: 2, leftOver: { vectors: 0, nodes: 0, doubles: 2 } });
});

const collections = () => listCollections(real.cluster.qdrant);
/** Every collection with its points. */
async function vectorsOf(): Promise<{ name: string; points: Point[] }[]> {
  const found: { name: string; points: Point[] }[] = [];
  for (const name of await collections()) {
    const points: Point[] = [];
    for await (const page of wholePointPages(real.cluster.qdrant, name)) points.push(...page);
    found.push({ name, points });
  }
  return found;
}

test('a cluster in which everything has its place and nothing is what it was is not equal', async () => {
  const before = await belongingsOf(real.cluster);
  const saved = await vectorsOf();
  for (const { name, points } of saved)
    await putPoints(
      open,
      real.cluster.qdrant,
      name,
      points.map((point) => ({ ...point, vector: (point.vector as number[]).map(() => 1) })),
    );
  const loss = await lossSince(before);
  expect(loss).toMatchObject({ ...NOTHING, altered: before.memories.size, equality: [{ subject: 'Qdrant' }] });
  for (const { name, points } of saved) await putPoints(open, real.cluster.qdrant, name, points);
  expect(await lossSince(before)).toEqual(NOTHING);
});

test('a point of somebody else, and a node that says something else, are seen one by one', async () => {
  const { name, points } = (await vectorsOf())[0]!;
  const [point] = points;
  const loss = await lossBy(async () => {
    await putPoints(open, real.cluster.qdrant, name, [
      { ...point!, payload: { ...point!.payload, userId: 'nobody' } },
    ]);
    await graphQuery(`MATCH (m:Memory {id: '${point!.payload.entryId}'}) SET m.project = 'x'`);
  });
  expect(loss).toMatchObject({
    ...NOTHING,
    altered: 2,
    equality: [
      { subject: 'Qdrant', what: 'vectors that are not what they were', actual: '1' },
      { subject: 'FalkorDB', what: 'nodes that are not what they were', actual: '1' },
    ],
  });
});

test('a vector that is made anew of the same text is no loss; one that is waited for is', async () => {
  const { qdrant, postgres } = real.cluster;
  const { name, points } = (await vectorsOf())[0]!;
  const { id, payload } = points.at(-1)!;
  const before = await belongingsOf(real.cluster);
  await restartNovamem(real, { embeddingsPerMinute: 0 });
  await deletePoints(open, qdrant, name, [id]);
  await real.sql(`UPDATE memory_entries SET embedded_at = NULL WHERE id = '${payload.entryId}'`);
  expect(await lossSince(before)).toEqual({ ...NOTHING, vectors: 1 });
  await restartNovamem(real, { embeddingsPerMinute: 60_000 });
  await eventually('it is embedded', async () => (await waitingRows(postgres, 1)).length === 0);
  expect(await lossSince(before)).toEqual(NOTHING);
});

test('what the stores are made of is compared: tables, indexes, collections, the graph', async () => {
  const { qdrant } = real.cluster;
  const [name] = await collections();
  const loss = await lossBy(async () => {
    await real.sql('CREATE TABLE left_here (id int); CREATE INDEX of_nobody ON memory_entries (source)');
    await graphQuery('DROP INDEX ON :Memory(id)');
    await qdrant.client.deletePayloadIndex(name!, 'userId', { wait: true });
  });
  expect(loss).toMatchObject({
    ...NOTHING,
    equality: [
      { subject: 'Postgres', what: 'tables', actual: expect.stringContaining('public.left_here') },
      { subject: 'Postgres', what: 'indexes', actual: expect.stringContaining('of_nobody') },
      { subject: 'Postgres', what: 'owners' },
      { subject: 'Qdrant', what: 'collections as they were made', actual: expect.stringContaining(name!) },
      { subject: 'FalkorDB', what: 'indexes', actual: expect.stringContaining('Memory.id') },
    ],
  });
});

test('what was written since is what can be lost, too, with what refers to it', async () => {
  const before = await belongingsOf(real.cluster);
  await remember(real.cluster.profile, ['written while nobody had noticed']);
  const since: Belongings = await withWrittenSince(before, real.cluster);
  expect(since.memories.size).toBe(before.memories.size + 1);
  await real.sql('DELETE FROM memory_fts WHERE entry_id = (SELECT max(id) FROM memory_entries)');
  expect(lossBetween(since, await belongingsOf(real.cluster))).toMatchObject({ memories: 0, rows: 1 });
  await real.sql('DELETE FROM memory_entries WHERE id = (SELECT max(id) FROM memory_entries)');
  expect(lossBetween(since, await belongingsOf(real.cluster))).toMatchObject({
    memories: 1,
    rows: 0,
    examples: ['written while nobody had noticed'],
    leftOver: { vectors: 1, nodes: 1 },
  });
});

test('of a server that does not answer nobody knows what it holds', async () => {
  const { profile } = real.cluster;
  const away = new Cluster({
    ...profile,
    postgres: { ...profile.postgres, url: 'postgres://novamem@127.0.0.1:1/novamem' },
    falkordb: { ...profile.falkordb, url: 'redis://127.0.0.1:1' },
  });
  const loss = lossBetween(await belongingsOf(real.cluster), await belongingsOf(away));
  expect(loss).toMatchObject({ memories: 0, leftOver: { vectors: 0, nodes: 0 }, silent: ['FalkorDB', 'Postgres'] });
  expect(loss.unread).toMatch(/ECONNREFUSED/);
});
