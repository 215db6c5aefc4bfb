import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openGateway } from '../../../src/hosts/gateway.js';
import { pointIdOf } from '../../../src/sandbox/embedding.js';
import { clusterCrosscheck } from '../../../src/steps/cluster/crosscheck.js';
import { clusterReconcile } from '../../../src/steps/cluster/reconcile.js';
import type { AnyStepKind, StepContext } from '../../../src/steps/step.js';
import { idsFrom, LONG_AGO, Memories } from '../../support/memories.js';
import {
  findings,
  follow,
  perform,
  type RealCluster,
  realCluster,
  recordingGateway,
  unequal,
} from '../../support/sandbox.js';
import { attempt, step, tinyRun, undo } from '../../support/tiny-run.js';

const NOTES = 'novamem_u_acme_notes';
const ALLOW = { allow: ['younger', 'stray', 'missing', 'double'] };

let real: RealCluster;
let memories: Memories;

beforeAll(async () => {
  real = await realCluster(10);
  memories = new Memories(real);
});

beforeEach(() => memories.clear());

const params = (given = {}) => clusterReconcile.params.parse(given);
const now = async () => ({ points: await memories.allPoints(), graph: await memories.wholeGraph() });

/** The context of a run whose cross-check has just looked. */
async function looked(more: Partial<StepContext> = {}): Promise<StepContext> {
  const { facts, error } = await perform(clusterCrosscheck, ALLOW, real.context());
  expect(error).toBeUndefined();
  return real.context({
    factsOf: (kind) => (kind.kind === clusterCrosscheck.kind ? [facts as never] : []),
    ...more,
  });
}

async function undone(ctx: StepContext, facts: object): Promise<string | undefined> {
  const { error } = await follow(clusterReconcile.undo!(params(), ctx, facts));
  if (error === undefined) expect(await notPutBack(ctx, facts)).toEqual([]);
  return error?.message;
}

/** What the evidence of an undo says against it. */
async function notPutBack(ctx: StepContext, facts: object): Promise<string[]> {
  const checks = await clusterReconcile.verifyUndo!(params(), ctx, facts);
  return checks
    .filter((check) => !check.ok)
    .map(({ subject, what, expected, actual }) => `${subject}, ${what}: expected ${expected}, found ${actual}`);
}

/** Thirty memories; six of them are forgotten, with every kind of relationship between what stays and what goes. */
async function smallWorld(): Promise<{ ids: string[]; gone: string[] }> {
  const ids = idsFrom(30);
  const gone = ids.slice(0, 6);
  await memories.everywhere(ids.slice(0, 20));
  await memories.everywhere(ids.slice(20), NOTES);
  const relate = (from: number, to: number, text: string) =>
    memories.cypher(
      `MATCH (a:Memory {id: '${ids[from]}'}), (b:Memory {id: '${ids[to]}'}) CREATE (a)-[:RELATES ${text}]->(b)`,
    );
  await relate(0, 10, "{kind: 'co_occurs', strength: 0.875, validFrom: 1767225600000, validTo: 0}");
  await relate(11, 0, "{kind: 'it''s', strength: 1.0}".replace("''", "\\'"));
  await relate(0, 1, "{kind: 'between strays', strength: 0.333333333333333}");
  await relate(0, 1, "{kind: 'between strays', strength: 0.333333333333333}");
  await relate(1, 0, "{kind: 'and back'}");
  await relate(2, 2, "{kind: 'itself', list: [1, 2.5, 'x', true]}");
  await relate(12, 13, "{kind: 'stays', strength: 0.5}");
  await memories.cypher(
    `MATCH (a:Memory {id: '${ids[3]}'}) CREATE (a)<-[:MENTIONS]-(:Visitor {id: 'late'}) SET a.note = 'ü "q" \\\\', a.score = 2.0, a:Pinned`,
  );
  await memories.forget(gone);
  return { ids, gone };
}

describe('reconciling', () => {
  test('deletes what has no memory, all of it and nothing else, after a copy; undo brings all of it back', async () => {
    const { ids, gone } = await smallWorld();
    const before = await now();
    const { gateway, changes } = recordingGateway();
    const ctx = await looked({ gateway });
    const { facts, safetyCopies, output, error } = await perform(clusterReconcile, {}, ctx);
    expect(error).toBeUndefined();
    expect(await unequal(clusterReconcile, {}, ctx, facts)).toEqual([]);
    expect(output).toContain('deleted: 6 vectors, 6 nodes, 7 relationships');

    const after = await now();
    const isGone = (line: string) => gone.some((id) => line.includes(id));
    expect(after.points).toEqual(before.points.filter((line) => !isGone(line)));
    expect(after.points).toHaveLength(ids.length - gone.length);
    expect(after.graph).toEqual(before.graph.filter((line) => !isGone(line)));

    expect(safetyCopies.map((copy) => copy.of)).toEqual(['6 vectors', '6 nodes']);
    for (const copy of safetyCopies)
      expect(gone.every((id) => readFileSync(copy.at, 'utf8').includes(id))).toBe(true);
    const first = (pattern: RegExp) => changes.findIndex((change) => pattern.test(change.text));
    expect(first(/copy of all nodes/)).toBeLessThan(first(/points\/delete/));

    expect(await undone(ctx, facts)).toBeUndefined();
    expect(await now()).toEqual(before);
  });

  test('an undo that is done twice does nothing twice', async () => {
    await smallWorld();
    const before = await now();
    const ctx = await looked();
    const { facts } = await perform(clusterReconcile, {}, ctx);
    expect(await undone(ctx, facts)).toBeUndefined();
    expect(await undone(ctx, facts)).toBeUndefined();
    expect(await now()).toEqual(before);
  });

  test.each([
    [/CREATE .* saved node/, 'before the nodes'],
    [/CREATE .* saved relationship/, 'before the relationships'],
    [/runbookNode = null/, 'before the marks are off'],
  ])('an undo that breaks off at %s (%s) is ended by another', async (pattern) => {
    await smallWorld();
    const before = await now();
    const ctx = await looked();
    const { facts } = await perform(clusterReconcile, {}, ctx);
    const breaking = openGateway(({ text }) => {
      if (pattern.test(text)) throw new Error('the line went dead');
    });
    expect(await undone({ ...ctx, gateway: breaking }, facts)).toBe('the line went dead');
    expect(await undone(ctx, facts)).toBeUndefined();
    expect(await now()).toEqual(before);
  });

  test('two nodes of one memory both go, and both come back with what each was related to', async () => {
    const ids = idsFrom(12);
    await memories.everywhere(ids);
    await memories.cypher(
      `MATCH (b:Memory {id: '${ids[9]}'}) CREATE (:Memory {id: '${ids[0]}', twin: 1})-[:RELATES {kind: 'x'}]->(b)`,
    );
    await memories.cypher(
      `MATCH (a:Memory {id: '${ids[0]}'}), (b:Memory {id: '${ids[9]}'}) WHERE a.twin IS NULL CREATE (a)-[:RELATES {kind: 'x'}]->(b)`,
    );
    await memories.vectors([ids[0]!], NOTES);
    await memories.forget([ids[0]!]);
    const before = await now();
    const ctx = await looked();
    const { facts, output } = await perform(clusterReconcile, {}, ctx);
    expect(output).toContain('deleted: 2 vectors, 2 nodes, 2 relationships');
    expect(await unequal(clusterReconcile, {}, ctx, facts)).toEqual([]);
    expect(await undone(ctx, facts)).toBeUndefined();
    expect(await now()).toEqual(before);
  });

  test('goes over the borders of its batches', async () => {
    const ids = idsFrom(3_000, LONG_AGO, 10);
    const gone = ids.slice(0, 1_251);
    await memories.everywhere(ids.slice(0, 1_700));
    await memories.everywhere(ids.slice(1_700), NOTES);
    await memories.cypher(
      'MATCH (a:Memory), (b:Memory) WHERE ID(b) = ID(a) + 1 AND ID(a) < 1400 CREATE (a)-[:RELATES {strength: 0.25}]->(b)',
    );
    await memories.forget(gone);
    const before = await now();
    const ctx = await looked();
    const { facts, output } = await perform(clusterReconcile, {}, ctx);
    expect(output).toContain('deleted: 1,251 vectors, 1,251 nodes, 1,251 relationships');
    expect(await unequal(clusterReconcile, {}, ctx, facts)).toEqual([]);
    expect(await undone(ctx, facts)).toBeUndefined();
    expect(await now()).toEqual(before);
  });

  test('knows ids of every kind', async () => {
    const odd = ["it's", 'say "so"', 'back\\slash\\', 'two\nlines', '🙂 漢字 é', 'a\u2028b', '`', '{}$1', '%27;--'];
    await memories.everywhere([...odd, ...idsFrom(20)]);
    await memories.cypher(
      "MATCH (a:Memory), (b:Memory) WHERE ID(b) = ID(a) + 1 CREATE (a)-[:RELATES {kind: 'next'}]->(b)",
    );
    await memories.forget(odd);
    const before = await now();
    const ctx = await looked();
    const { facts, error } = await perform(clusterReconcile, {}, ctx);
    expect(error).toBeUndefined();
    expect(await unequal(clusterReconcile, {}, ctx, facts)).toEqual([]);
    expect((await now()).points).toHaveLength(20);
    expect(await undone(ctx, facts)).toBeUndefined();
    expect(await now()).toEqual(before);
  });

  test('spares what has a memory again, at whatever moment it came', async () => {
    const { gone } = await smallWorld();
    const ctx = await looked();
    await memories.rows(gone.slice(0, 2));
    let wrote = false;
    // Written after the copy was taken, and before anything is deleted.
    const { facts, output, error } = await perform(
      clusterReconcile,
      {},
      {
        ...ctx,
        cluster: ctx.cluster,
        gateway: {
          async change(change, act) {
            if (/points\/delete/.test(change.text) && !wrote) {
              wrote = true;
              await memories.rows(gone.slice(2, 3));
            }
            return act();
          },
        },
      },
    );
    expect(error).toBeUndefined();
    expect(output).toContain('deleted: 4 vectors, 3 nodes, 1 relationship');
    expect(await memories.wholeGraph()).toContainEqual(expect.stringContaining(gone[2]!));
    const { points } = await now();
    for (const id of gone.slice(0, 2)) expect(points).toContainEqual(expect.stringContaining(id));
    expect(await unequal(clusterReconcile, {}, ctx, facts)).toEqual([]);
  });

  test('leaves points and nodes alone that name no memory', async () => {
    await smallWorld();
    await real.cluster.qdrant.client.upsert(NOTES, {
      wait: true,
      points: [{ id: 1, vector: [1, 0, 0, 0], payload: { note: 'nameless' } }],
    });
    await memories.cypher("CREATE (:Memory {user: 'nameless'})");
    const ctx = await looked();
    const { facts } = await perform(clusterReconcile, {}, ctx);
    expect(await unequal(clusterReconcile, {}, ctx, facts)).toEqual([]);
    const { points, graph } = await now();
    expect(points).toContainEqual(expect.stringContaining('nameless'));
    expect(graph).toContainEqual(expect.stringContaining('nameless'));
  });

  test('with nothing to delete deletes nothing, and proves it', async () => {
    await memories.everywhere(idsFrom(5));
    const before = await now();
    const ctx = await looked();
    const { facts, safetyCopies } = await perform(clusterReconcile, {}, ctx);
    expect(safetyCopies).toEqual([]);
    expect(await unequal(clusterReconcile, {}, ctx, facts)).toEqual([]);
    expect((await clusterReconcile.plan(params(), ctx)).destroys).toEqual([]);
    expect(await now()).toEqual(before);
  });

  test('F11: a graph that is absent is not made by deleting from it', async () => {
    const ids = idsFrom(12);
    await memories.rows(ids.slice(2));
    await memories.vectors(ids);
    const ctx = await looked();
    const { facts, output } = await perform(clusterReconcile, {}, ctx);
    expect(output).toContain('deleted: 2 vectors, 0 nodes, 0 relationships');
    expect(await unequal(clusterReconcile, {}, ctx, facts)).toEqual([]);
    expect(await real.cluster.falkordb.graphs()).toEqual([]);
  });

  test('deletes nothing where a property could not be written again', async () => {
    const { gone } = await smallWorld();
    await memories.cypher(`MATCH (m:Memory {id: '${gone[1]}'}) SET m.day = date('2026-01-02')`);
    const before = await now();
    const { error } = await perform(clusterReconcile, {}, await looked());
    expect(error?.message).toMatch(/could not be written again/);
    expect(await now()).toEqual(before);
  });
});

describe('the evidence', () => {
  test('speaks against it when something that was deleted is there again, or something else is gone', async () => {
    const { ids, gone } = await smallWorld();
    const ctx = await looked();
    const { facts } = await perform(clusterReconcile, {}, ctx);
    await memories.vectors(gone.slice(0, 1));
    await memories.deleteNodes([ids[25]!]);
    const said = await unequal(clusterReconcile, {}, ctx, facts);
    expect(said).toEqual([
      'qdrant collection novamem_u_acme_default, points left: expected 14, found 15',
      'falkordb, nodes left: expected 24, found 23',
      'qdrant, strays left: expected none, found 1',
    ]);
  });

  test('of an undo counts what is not as it was, but for memories that Postgres has again', async () => {
    const { gone } = await smallWorld();
    const ctx = await looked();
    const { facts } = await perform(clusterReconcile, {}, ctx);
    expect(await notPutBack(ctx, facts)).toEqual([
      'qdrant collection novamem_u_acme_default, deleted points as before: expected 6, found 0',
      'falkordb, deleted nodes as before: expected 6, found 0',
      expect.stringMatching(/^falkordb, edges of theirs as before: expected \d+, found 0$/),
    ]);
    expect(await undone(ctx, facts)).toBeUndefined();
    await memories.deleteVectors(gone.slice(0, 1));
    await real.cluster.qdrant.client.setPayload('novamem_u_acme_default', {
      wait: true,
      payload: { source: 'elsewhere' },
      points: [pointIdOf(gone[1]!)],
    });
    await memories.cypher(`MATCH (m:Memory {id: '${gone[3]}'}) SET m.note = 'another'`);
    await memories.cypher(`MATCH (:Memory {id: '${gone[2]}'})-[r {kind: 'itself'}]->() DELETE r`);
    expect(await notPutBack(ctx, facts)).toEqual([
      'qdrant collection novamem_u_acme_default, deleted points as before: expected 6, found 4',
      'falkordb, deleted nodes as before: expected 6, found 5',
      expect.stringMatching(/^falkordb, edges of theirs as before: expected (\d+), found \d+$/),
    ]);
    await memories.rows(gone.slice(0, 4));
    expect(await notPutBack(ctx, facts)).toEqual([]);
  });

  test('speaks against it when the copy is not what was written, and undo refuses it', async () => {
    await smallWorld();
    const ctx = await looked();
    const { facts } = await perform(clusterReconcile, {}, ctx);
    appendFileSync(facts.copies![0]!.nodes.file, '{}\n');
    expect(await unequal(clusterReconcile, {}, ctx, facts)).toEqual([
      expect.stringMatching(/^falkordb, safety copy: expected whole, found .*7 lines of 6/),
    ]);
    const after = await now();
    expect(await undone(ctx, facts)).toMatch(/is not what was written/);
    expect((await now()).graph).toEqual(after.graph);
  });
});

describe('the plan', () => {
  test('counts live what would go', async () => {
    const { gone } = await smallWorld();
    const ctx = await looked();
    expect((await clusterReconcile.plan(params(), ctx)).destroys).toEqual([
      '6 vectors in collection novamem_u_acme_default',
      '6 nodes of the graph novamem, with their relationships',
    ]);
    await memories.rows(gone.slice(0, 2));
    await memories.deleteVectors(gone.slice(2, 3));
    expect((await clusterReconcile.plan(params(), ctx)).summary).toBe(
      'Delete 3 vectors and 4 nodes that have no memory in Postgres',
    );
  });

  test('without a cross-check of the same run is blocked when its turn comes', async () => {
    expect(await findings(clusterReconcile, {}, real.context({ phase: 'preflight' }))).toEqual([]);
    expect(await findings(clusterReconcile, {}, real.context())).toEqual([
      'blocking: no cross-check of this run says what to delete',
    ]);
  });

  test('that would delete most of a store is blocked: more likely is the wrong Postgres', async () => {
    const ids = idsFrom(20);
    await memories.everywhere(ids);
    await memories.forget(ids.slice(0, 11));
    const ctx = await looked();
    expect(await findings(clusterReconcile, {}, ctx)).toEqual([
      expect.stringMatching(/^blocking: 11 of 20 vectors have no memory in Postgres, which holds 9/),
      expect.stringMatching(/^blocking: 11 of 20 nodes/),
      expect.stringMatching(/^info: novamem is running/),
    ]);
    const accepted = await findings(clusterReconcile, { acceptMost: true }, ctx);
    expect(accepted.filter((line) => line.startsWith('blocking'))).toEqual([]);
  });
});

describe('as a step of a run', () => {
  const look = { ...step('look', clusterCrosscheck as AnyStepKind), params: clusterCrosscheck.params.parse(ALLOW) };
  const reconcile = { ...step('reconcile', clusterReconcile as AnyStepKind, ['look']), params: params() };

  /** Postgres, which goes away at the second asking of the deletion. */
  function breakingAt(batch: number) {
    let seen = 0;
    return openGateway(({ text }) => {
      if (/points\/delete|DELETE m/.test(text) && ++seen === batch) throw new Error('the line went dead');
    });
  }

  test('that breaks off half-way is partial; undo brings everything back', async () => {
    await smallWorld();
    const before = await now();
    const ctx = await looked();
    const { facts, error } = await perform(clusterReconcile, {}, { ...ctx, gateway: breakingAt(2) });
    expect(error?.message).toBe('the line went dead');
    expect((await now()).points).toHaveLength(before.points.length - 6);
    expect((await now()).graph).toEqual(before.graph);
    expect(await clusterReconcile.probe(params(), ctx, facts)).toBe('partial');
    expect(await undone(ctx, facts)).toBeUndefined();
    expect(await now()).toEqual(before);
  });

  test('that is tried again deletes the rest, and undo brings back what both attempts deleted', async () => {
    await smallWorld();
    const before = await now();
    const ctx = await looked();
    const first = await perform(clusterReconcile, {}, { ...ctx, gateway: breakingAt(2) });
    const second = await perform(clusterReconcile, {}, { ...ctx, earlier: first.facts as Record<string, unknown> });
    expect(second.error).toBeUndefined();
    expect(second.facts.copies).toHaveLength(2);
    const facts = { ...first.facts, ...second.facts };
    expect(await unequal(clusterReconcile, {}, ctx, facts)).toEqual([]);
    expect(await clusterReconcile.probe(params(), ctx, facts)).toBe('done');
    expect(await undone(ctx, facts)).toBeUndefined();
    expect(await now()).toEqual(before);
  });

  test('that is aborted leaves nothing deleted that is not in its copy', async () => {
    const ids = idsFrom(1_400, LONG_AGO, 10);
    await memories.everywhere(ids);
    await memories.forget(ids.slice(0, 600));
    const before = await now();
    const ctx = await looked();
    const abort = new AbortController();
    const { facts, error } = await perform(
      clusterReconcile,
      {},
      {
        ...ctx,
        gateway: openGateway(({ text }) => {
          if (/points\/delete/.test(text)) abort.abort(new Error('aborted by the operator'));
        }),
      },
      { signal: abort.signal },
    );
    expect(error?.message).toBe('aborted by the operator');
    expect(before.points.length - (await now()).points.length).toBe(250);
    expect(facts.deleted).toEqual({ points: { novamem_u_acme_default: 250 }, nodes: 0, relationships: 0 });
    expect(await undone(ctx, facts)).toBeUndefined();
    expect(await now()).toEqual(before);
  });

  test('is asked for with the cluster’s name, fails when its evidence does, and is undone', async () => {
    const { gone } = await smallWorld();
    const before = await now();
    const neverProven = {
      ...clusterReconcile,
      verify: async (...given: Parameters<typeof clusterReconcile.verify>) => [
        ...(await clusterReconcile.verify(...given)),
        { subject: 'test', what: 'is', expected: 'never', actual: 'proven', ok: false },
      ],
    };
    const { run, begin, stepOf } = tinyRun([look, { ...reconcile, kind: neverProven as AnyStepKind }], {
      cluster: real.cluster,
    });
    await begin();
    await attempt(run, 'reconcile');
    expect(stepOf('reconcile').plan?.destroys).toHaveLength(2);
    expect((await now()).points.some((line) => line.includes(gone[0]!))).toBe(false);
    for (const copy of stepOf('reconcile').safetyCopies) expect(existsSync(copy.at)).toBe(true);
    await undo(run, 'reconcile');
    run.intend({ type: 'abort' });
    await run.finished;
    expect(await now()).toEqual(before);
  });
});

test('a vector that was put back is found under the id that it had', async () => {
  const ids = idsFrom(5);
  await memories.everywhere(ids);
  await memories.forget(ids.slice(0, 1));
  const ctx = await looked();
  const { facts } = await perform(clusterReconcile, {}, ctx);
  const { client } = real.cluster.qdrant;
  const ask = () => client.retrieve('novamem_u_acme_default', { ids: [pointIdOf(ids[0]!)], with_vector: true });
  expect(await ask()).toEqual([]);
  expect(await undone(ctx, facts)).toBeUndefined();
  expect(await ask()).toMatchObject([{ id: pointIdOf(ids[0]!), payload: { entryId: ids[0] } }]);
});
