import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { clusterCrosscheck } from '../../../src/steps/cluster/crosscheck.js';
import { falkordbRestore } from '../../../src/steps/falkordb/restore.js';
import { postgresRestore } from '../../../src/steps/postgres/restore.js';
import { qdrantRestore } from '../../../src/steps/qdrant/restore.js';
import type { AnyStepKind, StepContext } from '../../../src/steps/step.js';
import type { BackupSet } from '../../../src/stores/backup-set/backup-set.js';
import { idsFrom, LONG_AGO, Memories } from '../../support/memories.js';
import { findings, perform, type RealCluster, realCluster, unequal } from '../../support/sandbox.js';
import { outcomesIn, step, tinyRun } from '../../support/tiny-run.js';

const DAY = 86_400_000;
const IDS = idsFrom(300);

let real: RealCluster;
let memories: Memories;

beforeAll(async () => {
  real = await realCluster(10);
  memories = new Memories(real);
});

beforeEach(() => memories.clear());

/** What of the evidence speaks against it, and what was said; the step itself never fails for a difference. */
async function crosschecked(given: object = {}, ctx: StepContext = real.context()) {
  const { facts, output, error } = await perform(clusterCrosscheck, given, ctx);
  expect(error).toBeUndefined();
  return { against: await unequal(clusterCrosscheck, given, ctx, facts), output: output.join('\n'), facts };
}

/** The context of a run that has restored these stores from a set. */
const restored = (backup: BackupSet, ...kinds: { kind: string }[]) =>
  real.context({
    backup,
    factsOf: (kind) => (kinds.some((one) => one.kind === kind.kind) ? [{} as never] : []),
  });
const ALL = [postgresRestore, qdrantRestore, falkordbRestore];

const linesOf = (file: string | undefined) =>
  readFileSync(file!, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { memory: string; kind: string; reason: string });

describe('where nothing was restored', () => {
  test('stores that agree pass, with evidence', async () => {
    await memories.everywhere(IDS);
    const ctx = real.context();
    const { facts, output } = await perform(clusterCrosscheck, {}, ctx);
    expect(await unequal(clusterCrosscheck, {}, ctx, facts)).toEqual([]);
    expect(facts.checks).toHaveLength(8);
    expect(facts.files).toEqual({});
    expect(output).toContain('the stores agree about all of them');
  });

  test('any difference speaks against it, and every id of it is in a file', async () => {
    await memories.everywhere(IDS);
    await memories.forget(IDS.slice(0, 7));
    await memories.deleteVectors(IDS.slice(10, 12));
    await memories.deleteNodes(IDS.slice(20, 21));
    await memories.vectors([IDS[30]!], 'novamem_u_acme_notes');
    const { against, output, facts } = await crosschecked();
    expect(against.map((line) => line.replace(/: [0-9A-Z]{26}.*/, ''))).toEqual([
      'qdrant, missing vectors: expected none, found 2',
      'qdrant, stray vectors: expected none, found 7',
      'qdrant, double vectors: expected none, found 1',
      'falkordb, missing nodes: expected none, found 1',
      'falkordb, stray nodes: expected none, found 7',
    ]);
    expect(against[0]).toContain(IDS[10]);
    expect(
      linesOf(facts.files!['stray-vectors'])
        .map((line) => line.memory)
        .sort(),
    ).toEqual(IDS.slice(0, 7));
    expect(
      linesOf(facts.files!['missing-vectors'])
        .map((line) => line.memory)
        .sort(),
    ).toEqual(IDS.slice(10, 12));
    expect(output).toContain('7 vectors in Qdrant belong to no memory in Postgres');
    expect(output).toContain(`all of them: ${facts.files!['stray-vectors']}`);
  });

  test('what is allowed passes, is said loudly and is listed', async () => {
    await memories.everywhere(IDS);
    await memories.forget(IDS.slice(0, 3));
    await memories.deleteNodes(IDS.slice(20, 22));
    const { against, output, facts } = await crosschecked({ allow: ['stray'] });
    expect(against.map((line) => line.slice(0, 51))).toEqual(['falkordb, missing nodes: expected none, found 2: 01']);
    expect(output).toMatch(/warning: 3 vectors in Qdrant belong to no memory/);
    expect(output).toMatch(/NOT AS IT SHOULD BE: 2 memories in Postgres have no node/);
    expect(linesOf(facts.files!['stray-nodes'])).toHaveLength(3);
  });

  test('after a point in time strays pass that are younger than Postgres, and older ones do not', async () => {
    const young = idsFrom(9, LONG_AGO + DAY);
    await memories.everywhere([...IDS, ...young]);
    await memories.forget(young);
    expect((await crosschecked()).against).toHaveLength(2);
    const { against, output } = await crosschecked({ allow: ['younger'] });
    expect(against).toEqual([]);
    expect(output).toMatch(/warning: 9 nodes .*\(9 younger than what that store holds\)/);
    await memories.forget([IDS[5]!]);
    expect((await crosschecked({ allow: ['younger'] })).against).toEqual(
      [
        `qdrant, stray vectors: expected none, found 1, 9 explained: ${IDS[5]}`,
        `falkordb, stray nodes: expected none, found 1, 9 explained: ${IDS[5]}`,
      ].map((line) => expect.stringContaining(line.slice(0, 60))),
    );
  });

  test('a memory without a vector does not pass as younger', async () => {
    await memories.everywhere(IDS);
    await memories.deleteVectors(IDS.slice(-3));
    expect((await crosschecked({ allow: ['younger'] })).against).toHaveLength(1);
    expect((await crosschecked({ allow: ['missing'] })).against).toEqual([]);
  });

  test('stores of two clusters never pass, whatever is allowed', async () => {
    await memories.rows(IDS);
    await memories.vectors(idsFrom(20, LONG_AGO + DAY));
    await memories.nodes(idsFrom(20, LONG_AGO + DAY));
    const { against } = await crosschecked({ allow: ['younger', 'stray', 'missing', 'double'] });
    expect(against).toEqual([
      'qdrant, vectors matched: expected more than 0, found 0',
      'falkordb, nodes matched: expected more than 0, found 0',
    ]);
  });

  test('a Postgres without a single memory never passes beside vectors', async () => {
    await memories.vectors(IDS);
    const { against } = await crosschecked({ allow: ['younger', 'stray'] });
    expect(against).toEqual(['qdrant, vectors matched: expected more than 0, found 0']);
  });

  test('three empty stores agree', async () => {
    expect((await crosschecked()).against).toEqual([]);
  });

  test('vectors yet to be made pass', async () => {
    await memories.everywhere(IDS);
    const pending = idsFrom(4, LONG_AGO + DAY);
    await memories.rows(pending, null);
    await memories.nodes(pending);
    const { against, output } = await crosschecked();
    expect(against).toEqual([]);
    expect(output).toContain('4 memories have yet to be embedded by novamem');
  });
});

describe('where all three stores were restored from one set', () => {
  test('of stores that stood still, they must agree: one vector less is a loss', async () => {
    await memories.everywhere(IDS);
    const backup = await real.backup();
    expect(backup.inventory?.agreement).toMatchObject({ memories: 300, moved: false });
    const ctx = restored(backup, ...ALL);
    expect((await crosschecked({}, ctx)).against).toEqual([]);
    await memories.deleteVectors(IDS.slice(4, 5));
    const { against } = await crosschecked({}, ctx);
    expect(against).toEqual([
      'qdrant, vectors in all: expected at least 300, found 299',
      `qdrant, missing vectors: expected none, found 1: ${IDS[4]}`,
    ]);
  });

  test('differences that were there when the backup was taken pass, and one more does not', async () => {
    await memories.everywhere(IDS);
    await memories.deleteVectors(IDS.slice(0, 3));
    await memories.forget(IDS.slice(10, 12));
    const backup = await real.backup();
    expect(backup.inventory?.agreement?.differences).toMatchObject({ 'missing-vectors': 3, 'stray-nodes': 2 });
    const ctx = restored(backup, ...ALL);
    const { against, output } = await crosschecked({}, ctx);
    expect(against).toEqual([]);
    expect(output).toMatch(/warning: 3 memories in Postgres have no vector/);
    await memories.forget(IDS.slice(20, 21));
    expect((await crosschecked({}, ctx)).against.map((line) => line.replace(/: 0.*/, ''))).toEqual([
      'qdrant, stray vectors: expected at most 2, found 3',
      'falkordb, stray nodes: expected at most 2, found 3',
    ]);
  });

  test('what was written while the backup was taken passes, in both ways', async () => {
    const young = idsFrom(30, Date.now() - 5_000, 1);
    await memories.everywhere([...IDS, ...young]);
    const backup = await real.backup();
    await memories.forget(young.slice(0, 10));
    await memories.deleteNodes(young.slice(20));
    const { against, output } = await crosschecked({}, restored(backup, ...ALL));
    expect(against).toEqual(['falkordb, nodes in all: expected at least 330, found 320']);
    expect(output).toMatch(/warning: 10 vectors .*younger/);
  });

  test('that was written to meanwhile, a small share may differ, but no vector may be fewer', async () => {
    await memories.everywhere(IDS);
    const backup = await real.backup();
    const { agreement } = backup.inventory!;
    const moved = { ...backup, inventory: { ...backup.inventory!, agreement: { ...agreement!, moved: true } } };
    const ctx = restored(moved, ...ALL);
    await memories.forget(IDS.slice(0, 3));
    expect((await crosschecked({}, ctx)).against).toEqual([]);
    await memories.forget(IDS.slice(3, 4));
    const many = (await crosschecked({}, ctx)).against;
    expect(many.map((line) => line.replace(/: 0.*/, ''))).toEqual([
      'qdrant, stray vectors: expected at most 3, found 4',
      'falkordb, stray nodes: expected at most 3, found 4',
    ]);
    expect((await crosschecked({ tolerance: 0.05 }, ctx)).against).toEqual([]);
    await memories.rows(IDS.slice(0, 4));
    await memories.deleteVectors(IDS.slice(0, 1));
    expect((await crosschecked({}, ctx)).against).toEqual([
      'qdrant, vectors in all: expected at least 300, found 299',
    ]);
  });

  test('of loose files, a small share may differ; a whole collection that is missing is an exception of the run', async () => {
    await memories.everywhere(IDS.slice(0, 280));
    await memories.everywhere(IDS.slice(280), 'novamem_u_acme_notes');
    const { inventory: _, moving: __, ...whole } = await real.backup();
    const ctx = restored({ ...whole, kind: 'loose' }, ...ALL);
    await memories.deleteVectors(IDS.slice(0, 2));
    const few = await crosschecked({}, ctx);
    expect(few.against).toEqual([]);
    expect(clusterCrosscheck.conclusion?.(few.facts)).toEqual({
      text: 'let pass: 2 missing vectors',
      exception: false,
    });
    await real.cluster.qdrant.client.deleteCollection('novamem_u_acme_notes');
    await memories.vectors([idsFrom(1, LONG_AGO + 300 * 60_000)[0]!]);
    const { against, facts, output } = await crosschecked({}, ctx);
    expect(against).toEqual([]);
    expect(output).toMatch(/NOT AS IT SHOULD BE: \d+ memories in Postgres have no vector/);
    expect(clusterCrosscheck.conclusion?.(facts)).toEqual({
      exception: true,
      text: expect.stringMatching(/^the stores do not agree: \d+ missing vectors.*; loose files cannot say/),
    });
  });

  test('of loose files whose points name no memory at all, nothing can be compared, and nothing is an exception', async () => {
    await memories.everywhere(IDS.slice(0, 20));
    const { inventory: _, moving: __, ...whole } = await real.backup();
    const ctx = restored({ ...whole, kind: 'loose' }, ...ALL);
    const { qdrant } = real.cluster;
    for (const name of (await qdrant.client.getCollections()).collections.map((one) => one.name))
      await qdrant.client.clearPayload(name, { wait: true, filter: {} });
    const { against, facts } = await crosschecked({}, ctx);
    expect(against).toEqual([]);
    expect(clusterCrosscheck.conclusion?.(facts)).toMatchObject({ exception: false });
  });

  test('a set without a record of its own is held to full agreement, unless it says that it was written to', async () => {
    await memories.everywhere(IDS);
    const backup = await real.backup();
    const { agreement: _, ...inventory } = backup.inventory!;
    await memories.forget(IDS.slice(0, 1));
    expect((await crosschecked({}, restored({ ...backup, inventory }, ...ALL))).against).toHaveLength(2);
    const moving = { qdrant: {}, falkordb: inventory.falkordb! };
    expect((await crosschecked({}, restored({ ...backup, inventory, moving }, ...ALL))).against).toEqual([]);
  });
});

describe('where one store alone was restored', () => {
  test('what was written since is said, and passes only where it is allowed', async () => {
    await memories.everywhere(IDS);
    const backup = await real.backup();
    const since = idsFrom(5, Date.now(), 1);
    await memories.vectors(since);
    await memories.nodes(since);
    const ctx = restored(backup, postgresRestore);
    expect((await crosschecked({}, ctx)).against).toHaveLength(2);
    const { against, facts } = await crosschecked({ allow: ['younger'] }, ctx);
    expect(against).toEqual([]);
    expect(linesOf(facts.files!['stray-vectors']).map((line) => line.reason)).toEqual(Array(5).fill('younger'));
  });
});

describe('as a step of a run', () => {
  const params = (given = {}) => clusterCrosscheck.params.parse(given);
  const check = (given = {}) => ({ ...step('cross-check', clusterCrosscheck as AnyStepKind), params: params(given) });

  test('a loss fails the run, and what passes does not', async () => {
    await memories.everywhere(IDS);
    await memories.forget(IDS.slice(0, 1));
    const strict = tinyRun([check()], { cluster: real.cluster, onFailure: 'stop' });
    expect(await strict.toEnd()).toBe('failed');
    expect(strict.stepOf('cross-check').reason).toMatch(/2 of 8 checks failed; the first: qdrant, stray vectors/);
    const lenient = tinyRun([check({ allow: ['stray'] })], { cluster: real.cluster, onFailure: 'stop' });
    expect(await lenient.toEnd()).toBe('recovered');
    expect(outcomesIn(lenient.run)).toEqual({ 'cross-check': 'succeeded' });
  });

  test('a retry writes its lists anew', async () => {
    await memories.everywhere(IDS);
    await memories.forget(IDS.slice(0, 9));
    const ctx = real.context();
    const first = await crosschecked({}, ctx);
    await memories.rows(IDS.slice(0, 8));
    const second = await crosschecked({}, ctx);
    expect(second.facts.files).toEqual(first.facts.files);
    expect(linesOf(second.facts.files!['stray-nodes'])).toHaveLength(1);
  });

  test('an abort ends it half-way', async () => {
    await memories.everywhere(IDS);
    const abort = new AbortController();
    const working = perform(clusterCrosscheck, {}, real.context(), {
      signal: abort.signal,
      onOutput: () => abort.abort(new Error('aborted by the operator')),
    });
    expect((await working).error?.message).toBe('aborted by the operator');
  });

  test('is blocked by a store that does not answer and by a database without memories', async () => {
    const { falkordb, ...profile } = real.cluster.profile;
    const { Cluster } = await import('../../../src/stores/cluster.js');
    const nowhere = new Cluster({ ...profile, falkordb: { ...falkordb, url: 'redis://127.0.0.1:1' } });
    expect(await findings(clusterCrosscheck, {}, real.context({ cluster: nowhere }))).toEqual([
      expect.stringMatching(/^blocking: FalkorDB does not answer/),
    ]);
    const before = { cluster: nowhere, phase: 'preflight' as const };
    expect(await findings(clusterCrosscheck, {}, real.context(before))).toEqual([
      expect.stringMatching(/^warning: FalkorDB does not answer/),
    ]);
    expect(await findings(clusterCrosscheck, {}, real.context({ ...before, startsEarlier: () => true }))).toEqual([]);
    const other = `${real.cluster.profile.postgres.url.replace(/novamem$/, '')}postgres`;
    const empty = new Cluster({
      ...real.cluster.profile,
      postgres: { ...real.cluster.profile.postgres, url: other },
    });
    expect(await findings(clusterCrosscheck, {}, real.context({ cluster: empty }))).toEqual([
      expect.stringMatching(/^blocking: there is no table memory_entries/),
    ]);
  });

  test('writes nothing but its lists', async () => {
    await memories.everywhere(IDS);
    await memories.forget(IDS.slice(0, 2));
    const ctx = real.context();
    const { facts } = await perform(clusterCrosscheck, {}, ctx);
    expect(Object.values(facts.files!).sort()).toEqual(
      ['stray-nodes', 'stray-vectors'].map((kind) => join(ctx.workFolder, `${kind}.jsonl`)),
    );
  });
});
