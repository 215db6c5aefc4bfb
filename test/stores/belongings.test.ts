import { beforeAll, expect, test } from 'vitest';
import { remember } from '../../src/sandbox/remember.js';
import { type Belongings, belongingsOf, withWrittenSince } from '../../src/stores/belongings.js';
import { Cluster } from '../../src/stores/cluster.js';
import { type Loss, lossBetween } from '../../src/stores/loss.js';
import { open, type RealCluster, realCluster } from '../support/sandbox.js';

let real: RealCluster;

beforeAll(async () => {
  real = await realCluster(60);
});

/** What a cluster has lost by what is done to it. */
async function lossBy(work: () => Promise<unknown>): Promise<Loss> {
  const before = await belongingsOf(real.cluster);
  await work();
  return lossBetween(before, await belongingsOf(real.cluster));
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
  expect(lossBetween(found, await belongingsOf(real.cluster))).toEqual(NOTHING);
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
