import { existsSync, renameSync, rmSync } from 'node:fs';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Gateway } from '../../../src/hosts/gateway.js';
import { openGateway } from '../../../src/hosts/gateway.js';
import { falkordbRebuild } from '../../../src/steps/falkordb/rebuild.js';
import type { StepContext } from '../../../src/steps/step.js';
import type { BackupSet } from '../../../src/stores/backup-set/backup-set.js';
import { graphContent } from '../../../src/stores/falkordb/graph-content.js';
import { untilBuilt } from '../../../src/stores/falkordb/indexes.js';
import {
  compareFalkordb,
  type FalkordbInventory,
  inventoryFalkordb,
} from '../../../src/stores/falkordb/inventory.js';
import { eventually } from '../../support/eventually.js';
import {
  findings,
  follow,
  open,
  perform,
  type RealCluster,
  realCluster,
  recordingGateway,
  unequal,
} from '../../support/sandbox.js';

let real: RealCluster;
let backup: BackupSet;

beforeAll(async () => {
  real = await realCluster();
  backup = await real.backup();
});

const falkordb = () => real.cluster.falkordb;
const graph = () => falkordb().graph;
const now = () => inventoryFalkordb(falkordb());
const params = (given = {}) => falkordbRebuild.params.parse(given);
const cypher = (text: string) => falkordb().change(open, graph(), text);
const differences = (before: FalkordbInventory, after: FalkordbInventory) =>
  compareFalkordb(before, after)
    .filter((check) => !check.ok)
    .map((check) => `${check.subject}, ${check.what}: expected ${check.expected}, found ${check.actual}`);
const warningsOf = async (ctx: StepContext) =>
  (await findings(falkordbRebuild, {}, ctx)).filter((line) => line.startsWith('warning'));

async function rebuilt(given = {}, ctx = real.context()) {
  const performed = await perform(falkordbRebuild, given, ctx);
  expect(performed.error).toBeUndefined();
  expect(await unequal(falkordbRebuild, given, ctx, performed.facts)).toEqual([]);
  return { ctx, ...performed };
}

async function emptyServer() {
  for (const name of await falkordb().graphs()) await falkordb().deleteGraph(open, name);
}

beforeEach(emptyServer);

async function start() {
  await real.cluster.driver('falkordb')!.start(open, { onLine: () => {} });
  await eventually('it answers again', async () => (await real.cluster.answering('falkordb')).answers);
  await untilBuilt(falkordb(), 20_000, new AbortController().signal);
}

async function restart() {
  await real.cluster.driver('falkordb')!.stop(open, { onLine: () => {} });
  await start();
}

describe('a graph that is gone', () => {
  test('is rebuilt from Postgres, exactly: every node, and every relationship of each kind with its strength', async () => {
    const { output } = await rebuilt();
    const { graphs } = await now();
    const before = backup.inventory!.falkordb!.graphs.novamem!;
    expect(graphs.novamem!.nodes).toEqual(before.nodes);
    expect(graphs.novamem!.relationships).toEqual(before.relationships);
    expect(graphs.novamem!.indexes).toEqual(before.indexes);
    expect(Object.keys(graphs)).toEqual(['novamem']);
    expect(output.join('\n')).toContain('validFrom and validTo are not in Postgres');
  });

  test('is gone again after an undo', async () => {
    const { ctx, facts } = await rebuilt();
    expect(facts.before).toBe('absent');
    expect((await follow(falkordbRebuild.undo!(params(), ctx, facts))).error).toBeUndefined();
    expect(await falkordb().graphs()).toEqual([]);
  });

  test('is read from Postgres in batches, and progress is told in items with their rate', async () => {
    const { gateway, changes } = recordingGateway();
    const told: { done: number; total?: number; unit: string; text: string }[] = [];
    const ctx = real.context({ gateway });
    for await (const event of falkordbRebuild.run(params({ batch: 100 }), ctx, new AbortController().signal))
      if (event.type === 'progress') told.push(event);
    const batches = changes
      .filter(({ text }) => /MERGE/.test(text))
      .map(({ text }) => /\((\d+) rows\)/.exec(text)?.[1]);
    expect(batches.length).toBeGreaterThan(15);
    expect(batches.every((rows) => Number(rows) <= 100)).toBe(true);
    const last = told.at(-1)!;
    expect(last.done).toBe(last.total);
    expect(last).toMatchObject({ unit: 'items', text: expect.stringMatching(/^relationships, [\d,]+ a second$/) });
  });

  test('holds what stands in Postgres, whatever letters are in it', async () => {
    const odd = `it's "odd" \\ back\nline {$x} é😀`;
    await real.sql(`INSERT INTO memory_entries (id, user_id, content, source, content_hash, created_at, updated_at)
      SELECT $odd$${odd}$odd$ || n, $odd$${odd}$odd$, 'x', 'api', 'x', now(), now() FROM generate_series(1, 2) n;
      INSERT INTO memory_relations SELECT 'u', NULL, $odd$${odd}$odd$ || 1, $odd$${odd}$odd$ || 2, 'co"occurs', 1e-7`);
    try {
      await rebuilt();
      const { relationships } = await graphContent(falkordb(), graph());
      expect(relationships['co"occurs']).toBe(1);
    } finally {
      await real.sql(`DELETE FROM memory_entries WHERE source = 'api' AND content = 'x'`);
    }
  });

  test('gets no relationship whose end is missing in Postgres, and that is said', async () => {
    await real.sql(`CREATE TABLE kept AS SELECT * FROM memory_relations;
      ALTER TABLE memory_relations DROP CONSTRAINT memory_relations_from_id_fkey, DROP CONSTRAINT memory_relations_to_id_fkey;
      INSERT INTO memory_relations SELECT 'acme', NULL, id, 'GONE', 'co_occurs', 0.5 FROM memory_entries LIMIT 3`);
    try {
      expect(await warningsOf(real.context())).toContainEqual(
        'warning: 3 relations in Postgres name a memory that is not there, and cannot come back: 3 co_occurs',
      );
      await rebuilt();
    } finally {
      await real.sql(`DELETE FROM memory_relations WHERE to_id = 'GONE'; DROP TABLE kept;
        ALTER TABLE memory_relations ADD FOREIGN KEY (from_id) REFERENCES memory_entries ON DELETE CASCADE,
                                     ADD FOREIGN KEY (to_id) REFERENCES memory_entries ON DELETE CASCADE`);
    }
  });
});

describe('a second time', () => {
  test('changes nothing and doubles nothing', async () => {
    await rebuilt();
    const first = await now();
    const { safetyCopies } = await rebuilt();
    const second = await now();
    expect(second.graphs.novamem).toEqual(first.graphs.novamem);
    expect(safetyCopies).toHaveLength(1);
  });

  test('after it was broken off half-way, it goes on and doubles nothing', async () => {
    const broken = new AbortController();
    let batches = 0;
    const gateway: Gateway = openGateway(({ text }) => {
      if (/MERGE \(a\)/.test(text) && ++batches === 5) broken.abort(new Error('aborted by the operator'));
    });
    const ctx = real.context({ gateway });
    const first = await perform(falkordbRebuild, { batch: 50 }, ctx, { signal: broken.signal });
    expect(first.error?.message).toMatch(/aborted/);
    expect(await falkordbRebuild.probe(params(), ctx, first.facts)).toBe('partial');
    const half = await graphContent(falkordb(), graph());
    expect(half.nodes.Memory).toBe(600);
    expect(await unequal(falkordbRebuild, {}, ctx, first.facts)).not.toEqual([]);

    const again = real.context({ runId: ctx.runId, earlier: { ...first.facts } });
    const { output, safetyCopies } = await rebuilt({}, again);
    expect(output).toContain('going on with the attempt before');
    expect(safetyCopies).toEqual([]);
    expect((await now()).graphs.novamem!.relationships).toEqual(
      backup.inventory!.falkordb!.graphs.novamem!.relationships,
    );
  });

  test('after an attempt that ended with a wrong graph, it begins anew', async () => {
    const first = await rebuilt();
    await cypher(`CREATE (:Memory {id:'STRANGER'})`);
    expect(await falkordbRebuild.probe(params(), first.ctx, first.facts)).toBe('partial');
    await rebuilt({}, real.context({ runId: first.ctx.runId, earlier: { ...first.facts } }));
    expect((await graphContent(falkordb(), graph())).nodes.Memory).toBe(600);
  });
});

describe('a graph that is populated', () => {
  async function populated(): Promise<FalkordbInventory> {
    await cypher(`UNWIND range(1, 500) AS n CREATE (:Memory {id: 'old' + n, user: 'acme'}), (:Visitor {id: n})`);
    await cypher(
      `MATCH (a:Memory {id:'old1'}), (b:Memory) CREATE (a)-[:RELATES {kind:'co_occurs', strength: 0.5}]->(b)`,
    );
    await cypher('CREATE INDEX FOR (v:Visitor) ON (v.id)');
    await untilBuilt(falkordb(), 20_000, new AbortController().signal);
    return now();
  }

  test('is moved aside whole, and an undo puts it back', async () => {
    const before = await populated();
    const { ctx, facts, safetyCopies } = await rebuilt();
    expect(safetyCopies).toEqual([
      { of: 'graph novamem', at: expect.stringContaining(`novamem-before-${ctx.runId}`) },
    ]);
    expect((await now()).graphs[facts.safety!]).toEqual(before.graphs.novamem);
    expect((await follow(falkordbRebuild.undo!(params(), ctx, facts))).error).toBeUndefined();
    expect(differences(before, await now())).toEqual([]);
    expect(await falkordb().graphs()).toEqual(['novamem']);
  });

  test('stands after a restart of the server as it stood before, also what was undone', async () => {
    const before = await populated();
    const { ctx, facts } = await rebuilt();
    await restart();
    expect((await now()).graphs[facts.safety!]).toEqual(before.graphs.novamem);
    expect((await follow(falkordbRebuild.undo!(params(), ctx, facts))).error).toBeUndefined();
    await restart();
    expect(differences(before, await now())).toEqual([]);
  });

  test('is counted live, and what it has more than Postgres is said', async () => {
    await populated();
    const ctx = real.context();
    const { destroys } = await falkordbRebuild.plan(params(), ctx);
    expect(destroys).toEqual([
      expect.stringMatching(
        /^graph novamem at redis:.*: 1,000 nodes \(of these 500 Visitor\), 500 relationships: 500 co_occurs$/,
      ),
    ]);
    expect(await warningsOf(ctx)).toContainEqual(
      expect.stringMatching(/^warning: this way loses of what the graph now holds: 500 nodes, \d+ co_occurs$/),
    );
  });

  test('is as it was when it could not be moved', async () => {
    const before = await populated();
    const ctx = real.context();
    await falkordb().change(open, `novamem-before-${ctx.runId}`, 'CREATE (:Visitor)');
    const { error, facts } = await perform(falkordbRebuild, {}, ctx);
    expect(error?.message).toMatch(/that name is taken/);
    expect(facts.before).toBeUndefined();
    await falkordb().deleteGraph(open, `novamem-before-${ctx.runId}`);
    expect(differences(before, await now())).toEqual([]);
  });
});

describe('a graph that is there and empty', () => {
  test('is built into without a copy, and empty again after an undo', async () => {
    await cypher('CREATE INDEX FOR (m:Memory) ON (m.id)');
    const { ctx, facts, safetyCopies } = await rebuilt();
    expect(safetyCopies).toEqual([]);
    expect((await follow(falkordbRebuild.undo!(params(), ctx, facts))).error).toBeUndefined();
    expect(await graphContent(falkordb(), graph())).toEqual({ nodes: {}, relationships: {} });
    expect(await falkordb().graphs()).toEqual(['novamem']);
  });
});

describe('a server that is down', () => {
  test('is not started on the files that it has: they are moved aside, and an undo puts them back and leaves it down', async () => {
    await rebuilt();
    const before = await now();
    const driver = real.cluster.driver('falkordb')!;
    await falkordb().shutdownWithoutSaving(open);
    await eventually('it is gone', async () => (await driver.state()) === 'stopped');
    const ctx = real.context();
    const { facts, safetyCopies } = await rebuilt({}, ctx);
    expect(safetyCopies.map((copy) => copy.of)).toContain('appendonlydir');
    for (const copy of safetyCopies) expect(existsSync(copy.at)).toBe(true);

    expect((await follow(falkordbRebuild.undo!(params(), ctx, facts))).error).toBeUndefined();
    expect(await driver.state()).toBe('stopped');
    await start();
    expect(differences(before, await now())).toEqual([]);
  });

  test('and whose folder is gone gets it back', async () => {
    await rebuilt();
    await real.cluster.driver('falkordb')!.stop(open, { onLine: () => {} });
    const gone = `${real.places.falkordbData}-gone`;
    renameSync(real.places.falkordbData, gone);
    await rebuilt();
    rmSync(gone, { recursive: true });
  });
});

describe('what Postgres does not have', () => {
  test('is said before anything is done: the validity, and what a backup holds more, by kind', async () => {
    const inventory = structuredClone(backup.inventory!);
    inventory.falkordb!.graphs.novamem!.relationships['RELATES co_occurs']!.count += 40;
    inventory.falkordb!.graphs.novamem!.nodes['[Memory]']!.count += 2;
    const said = await findings(falkordbRebuild, {}, real.context({ backup: { ...backup, inventory } }));
    expect(said).toContainEqual(
      expect.stringMatching(
        /^info: Postgres holds 600 nodes, [\d,]+ relationships: [\d,]+ vector_neighbour, \d+ co_occurs, \d+ co_inferred$/,
      ),
    );
    expect(said).toContainEqual(
      expect.stringMatching(/^warning: Postgres has no validFrom and no validTo: all [\d,]+ relationships/),
    );
    expect(said).toContainEqual(`warning: this way loses of what backup ${backup.id} holds: 2 nodes, 40 co_occurs`);
  });

  test.each([
    [
      'no memory',
      'ALTER TABLE memory_entries RENAME TO kept; CREATE TABLE memory_entries (LIKE kept)',
      /holds no memory/,
    ],
    ['no table of relations', 'ALTER TABLE memory_relations RENAME TO kept', /no table memory_relations/],
  ])('when it has %s, nothing is begun', async (what, sql, said) => {
    await real.sql(sql);
    try {
      expect(await findings(falkordbRebuild, {}, real.context())).toContainEqual(
        expect.stringMatching(new RegExp(`^blocking: .*${said.source}`)),
      );
    } finally {
      await real.sql(
        what === 'no memory'
          ? 'DROP TABLE memory_entries; ALTER TABLE kept RENAME TO memory_entries'
          : 'ALTER TABLE kept RENAME TO memory_relations',
      );
    }
  });
});

describe('the evidence', () => {
  beforeEach(async () => {
    await rebuilt();
  });

  test.each([
    ['a node is missing', `MATCH (m:Memory) WITH m LIMIT 1 DETACH DELETE m`, /Memory nodes: expected 600, found 599/],
    ['a node is too many', `CREATE (:Visitor)`, /, nodes: expected 600, found 601/],
    [
      'a relationship is there twice',
      `MATCH (a)-[r:RELATES {kind:'co_occurs'}]->(b) WITH a, b LIMIT 1 CREATE (a)-[:RELATES {kind:'co_occurs', strength: 0}]->(b)`,
      /co_occurs relationships: expected (\d+), found/,
    ],
    [
      'a kind is there that Postgres does not know',
      `MATCH (a:Memory), (b:Memory) WITH a, b LIMIT 1 CREATE (a)-[:RELATES {kind:'made_up'}]->(b)`,
      /made_up relationships: expected 0, found 1/,
    ],
    [
      'strengths are others',
      `MATCH ()-[r:RELATES {kind:'co_inferred'}]->() SET r.strength = 0`,
      /co_inferred strength/,
    ],
    [
      'relationships point elsewhere with equal counts',
      `MATCH (a)-[r:RELATES]->(b) WITH a, b, r.kind AS kind, r.strength AS strength, r DELETE r CREATE (b)-[:RELATES {kind: kind, strength: strength}]->(a)`,
      /sampled memories/,
    ],
    [
      'an index is missing',
      'DROP INDEX ON :Memory(user)',
      /index on Memory.user: expected OPERATIONAL, found absent/,
    ],
  ])('does not hold when %s', async (_what, text, said) => {
    await cypher(text);
    expect(await unequal(falkordbRebuild, {}, real.context(), {})).toContainEqual(expect.stringMatching(said));
  });

  test('F11: does not make a graph that is absent', async () => {
    await falkordb().deleteGraph(open, graph());
    expect(await unequal(falkordbRebuild, {}, real.context(), {})).toEqual([
      'falkordb, graph novamem: expected present, found absent',
    ]);
    await falkordbRebuild.plan(params(), real.context());
    expect(await falkordb().graphs()).toEqual([]);
  });
});
