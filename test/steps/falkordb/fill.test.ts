import { afterEach, beforeAll, expect, test } from 'vitest';
import { type Gateway, openGateway } from '../../../src/hosts/gateway.js';
import { falkordbFill } from '../../../src/steps/falkordb/fill.js';
import { inventoryGraph } from '../../../src/stores/falkordb/inventory.js';
import { findings, follow, open, perform, type RealCluster, realCluster, unequal } from '../../support/sandbox.js';

let real: RealCluster;
let nodes: number;

beforeAll(async () => {
  real = await realCluster(200);
  nodes = Number((await asked('MATCH (m:Memory) RETURN count(m)'))[0]![0]);
});

const falkordb = () => real.cluster.falkordb;
const asked = (cypher: string) => falkordb().query(falkordb().graph, cypher);
const cypher = (text: string) => falkordb().change(open, falkordb().graph, text);
const now = () => inventoryGraph(falkordb(), falkordb().graph);
const params = (given = {}) => falkordbFill.params.parse(given);

/** Everything that a graph says of its relationships, those of memories of later left out. */
const standing = () =>
  asked(`MATCH (a:Memory)-[r:RELATES]->(b:Memory) WHERE NOT a.id STARTS WITH 'later' AND NOT b.id STARTS WITH 'later'
    RETURN a.id, b.id, r.kind, r.strength, r.validFrom, r.validTo ORDER BY a.id, b.id, r.kind`);

/** What users wrote after the graph was saved, as Postgres knows it: each is linked to an old memory and to the one before. */
const written = (count: number) =>
  real.sql(`INSERT INTO memory_entries (id, user_id, content, source, content_hash, created_at, updated_at)
      SELECT 'later' || n, 'acme', 'x', 'later', 'x', now(), now() FROM generate_series(1, ${count}) n;
    INSERT INTO memory_relations SELECT 'acme', NULL, 'later' || n, (SELECT min(id) FROM memory_entries), 'co_occurs', 0.25
      FROM generate_series(1, ${count}) n;
    INSERT INTO memory_relations SELECT 'acme', NULL, 'later' || n, 'later' || n - 1, 'vector_neighbour', 0.5
      FROM generate_series(2, ${count}) n`);

afterEach(async () => {
  await real.sql(`DELETE FROM memory_entries WHERE source = 'later'`);
  await cypher(`MATCH (m:Memory) WHERE m.id STARTS WITH 'later' DETACH DELETE m`);
});

async function filled(given = {}, ctx = real.context()) {
  const performed = await perform(falkordbFill, given, ctx);
  expect(performed.error).toBeUndefined();
  expect(await unequal(falkordbFill, given, ctx, performed.facts)).toEqual([]);
  return { ctx, ...performed };
}

test('adds the memories and relations that only Postgres knows, and nothing that is there changes', async () => {
  await written(5);
  const [known] = await asked("MATCH (a)-[r:RELATES {kind: 'co_occurs'}]->(b) RETURN a.id, b.id LIMIT 1");
  const [from, to] = known!.map(String);
  const old = await real.sql(`SELECT strength FROM memory_relations WHERE from_id = '${from}' AND to_id = '${to}'`);
  await real.sql(`UPDATE memory_relations SET strength = 0.125 WHERE from_id = '${from}' AND to_id = '${to}'`);
  try {
    const before = await standing();
    expect(before.filter(([, , , , validFrom]) => validFrom === null)).toEqual([]);
    const { output, facts } = await filled({ batch: 3 });
    expect(facts.added).toBe('5 nodes, 5 co_occurs, 4 vector_neighbour');
    expect(output.join('\n')).toContain('without validFrom and validTo, which are not in Postgres');
    expect(falkordbFill.conclusion!(facts)).toEqual({
      text: 'filled up from Postgres: 5 nodes, 5 co_occurs, 4 vector_neighbour',
      exception: false,
    });
    expect(await standing()).toEqual(before);
    expect(
      await asked(
        "MATCH (m:Memory {id: 'later2'})-[r]->(n) RETURN m.user, m.project, n.id, r.strength, r.validFrom ORDER BY r.strength",
      ),
    ).toEqual([
      ['acme', '', expect.not.stringContaining('later'), '0.25', null],
      ['acme', '', 'later1', '0.5', null],
    ]);
  } finally {
    await real.sql(
      `UPDATE memory_relations SET strength = ${old[0]!.strength} WHERE from_id = '${from}' AND to_id = '${to}'`,
    );
  }
});

test('a second time finds nothing to add', async () => {
  await written(2);
  await filled();
  const first = await now();
  const { facts, output } = await filled();
  expect(facts.added).toBe('');
  expect(output).toContain('Postgres knows nothing that the graph does not have');
  expect(falkordbFill.conclusion!(facts)).toBeUndefined();
  expect(await now()).toEqual(first);
});

test('broken off half-way, it is not done; a retry adds the rest, and an undo takes out what both have added', async () => {
  const before = await now();
  await written(6);
  const broken = new AbortController();
  let merged = 0;
  const gateway: Gateway = openGateway(({ text }) => {
    if (/MERGE/.test(text) && ++merged === 2) broken.abort();
  });
  const ctx = real.context({ gateway });
  const first = await perform(falkordbFill, { batch: 2 }, ctx, { signal: broken.signal });
  expect(first.error).toBeDefined();
  expect(await falkordbFill.probe(params(), ctx, first.facts)).toBe('partial');
  expect((await unequal(falkordbFill, {}, ctx, first.facts)).join('\n')).toContain(
    'memories of Postgres without a node',
  );
  const again = await filled({}, real.context({ earlier: first.facts, workFolder: ctx.workFolder }));
  expect(again.facts.added).toBe('6 nodes, 6 co_occurs, 5 vector_neighbour');
  expect(await falkordbFill.probe(params(), ctx, again.facts)).toBe('done');

  const undo = await falkordbFill.planUndo!(params(), ctx, again.facts, new Date());
  expect(undo.replaces.join()).toContain('6 nodes, 6 co_occurs, 5 vector_neighbour');
  expect((await falkordbFill.verifyUndo!(params(), ctx, again.facts)).every(({ ok }) => ok)).toBe(false);
  expect((await follow(falkordbFill.undo!(params(), ctx, again.facts))).error).toBeUndefined();
  expect((await falkordbFill.verifyUndo!(params(), ctx, again.facts)).every(({ ok }) => ok)).toBe(true);
  expect(await now()).toEqual(before);
});

test('what was there and is gone is no success', async () => {
  await written(1);
  const { ctx, facts } = await filled();
  const text = async () => (await unequal(falkordbFill, {}, ctx, facts)).join('\n');
  await cypher("CREATE (:Memory {id: 'later1'})");
  expect(await text()).toContain('nodes of a memory that has one already');
  await cypher("MATCH (m:Memory {id: 'later1'}) DETACH DELETE m");
  expect(await text()).toContain('memories of Postgres without a node');
  const [one] = await asked('MATCH ()-[r:RELATES]->() RETURN ID(r), r.validFrom LIMIT 1');
  await cypher(`MATCH ()-[r:RELATES]->() WHERE ID(r) = ${one![0]} SET r.validFrom = NULL`);
  try {
    expect(await text()).toContain('relationships with their validity');
  } finally {
    await cypher(`MATCH ()-[r:RELATES]->() WHERE ID(r) = ${one![0]} SET r.validFrom = '${one![1]}'`);
  }
});

test('without a graph there is nothing to fill up: refused, and none is made', async () => {
  const { graph } = falkordb();
  await falkordb().renameGraph(open, graph, 'elsewhere');
  try {
    expect(await findings(falkordbFill, {}, real.context({ phase: 'ready' }))).toEqual([
      `blocking: there is no graph ${graph} that could be filled up`,
    ]);
    const { error } = await perform(falkordbFill, {}, real.context());
    expect(String(error)).toContain('Nothing was changed');
    expect(await falkordb().graphs()).toEqual(['elsewhere']);
  } finally {
    await falkordb().renameGraph(open, 'elsewhere', graph);
  }
  expect(Number((await asked('MATCH (m:Memory) RETURN count(m)'))[0]![0])).toBe(nodes);
});
