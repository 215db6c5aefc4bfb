import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { sha256Of } from '../../../src/hosts/files.js';
import { collectionOf, embed, pointIdOf } from '../../../src/sandbox/embedding.js';
import { qdrantReindex } from '../../../src/steps/qdrant/reindex.js';
import { qdrantRestore } from '../../../src/steps/qdrant/restore.js';
import type { BackupSet } from '../../../src/stores/backup-set/backup-set.js';
import { compareQdrant, inventoryQdrant } from '../../../src/stores/qdrant/inventory.js';
import { uploadSnapshot } from '../../../src/stores/qdrant/transfer.js';
import { eventually } from '../../support/eventually.js';
import { findings, follow, open, perform, type RealCluster, realCluster, unequal } from '../../support/sandbox.js';
import { restartNovamem } from '../../support/stand-in.js';
import { tempFolder } from '../../support/temp.js';

const MEMORIES = 300;
const ACME = collectionOf('acme', null, 'default');
const NOTES = collectionOf('acme', null, 'notes');
const QUEUE = { by: 'queue' } as const;
const MISSING = { by: 'queue', only: 'missing' } as const;
const AFTER = { by: 'queue', only: 'missing', afterRestore: true } as const;
const ENDPOINT = { by: 'endpoint' } as const;

let real: RealCluster;
let backup: BackupSet;

beforeAll(async () => {
  real = await realCluster(MEMORIES);
  backup = await real.backup();
});

const client = () => real.cluster.qdrant.client;
const params = (given: object) => qdrantReindex.params.parse(given);
const context = (more = {}) => real.context({ backup, ...more });

async function undo(facts: object, given: object = QUEUE, ctx = context()) {
  const told = await follow(qdrantReindex.undo!(params(given), ctx, facts));
  if (told.error === undefined) expect(await notPutBack({ ...facts, ...told.facts })).toEqual([]);
  return told;
}

/** What the evidence of an undo says against it: expected, found. */
const notPutBack = async (facts: object) =>
  (await qdrantReindex.verifyUndo!(params(QUEUE), context(), facts))
    .filter((check) => !check.ok)
    .map(({ expected, actual }) => [expected, actual]);

/** What differs from the backup: points, vectors, payloads, aliases, indexes. The stand-in embeds the same text alike. */
const differences = async () =>
  compareQdrant(backup.inventory!.qdrant!, await inventoryQdrant(real.cluster.qdrant))
    .filter((check) => !check.ok)
    .map((check) => `${check.subject}, ${check.what}: expected ${check.expected}, found ${check.actual}`);

/** When each memory was embedded and changed, and all else of it, in one checksum each. */
async function rows() {
  const [row] = await real.sql(
    `SELECT sum(hashtextextended(id || embedded_at::text, 0)::numeric)::text AS embedded,
            sum(hashtextextended((to_jsonb(m) - 'embedded_at')::text, 0)::numeric)::text AS rest,
            count(*) FILTER (WHERE embedded_at IS NULL)::int AS waiting FROM memory_entries m`,
  );
  return row!;
}

async function loseCollections(names = Object.keys(backup.inventory!.qdrant!.collections)): Promise<void> {
  for (const name of names) await client().deleteCollection(name);
}

beforeEach(async () => {
  // As the backup has it, with an embedder that works and nothing queued.
  await restartNovamem(real, { embeddingsPerMinute: 60_000, reindexEndpoint: false });
  await real.sql('UPDATE memory_entries SET embedded_at = created_at');
  if ((await differences()).length === 0) return;
  const { error } = await perform(qdrantRestore, {}, context());
  if (error) throw error;
});

describe('embedding again through the queue', () => {
  test('brings every vector back after the collections were lost, with aliases and payload indexes', async () => {
    await loseCollections();
    await restartNovamem(real);
    const ctx = context();
    const { facts, error, safetyCopies } = await perform(qdrantReindex, QUEUE, ctx);
    expect(error).toBeUndefined();
    expect(safetyCopies.map((copy) => copy.of)).toEqual(['embedded_at of 300 rows']);
    expect(await unequal(qdrantReindex, QUEUE, ctx, facts)).toEqual([]);
    expect(await differences()).toEqual([]);
    expect(await qdrantReindex.probe(params(QUEUE), ctx, facts)).toBe('done');
  });

  test('says how many memories there are and how long it takes, before and while it runs', async () => {
    const plan = await qdrantReindex.plan(params(QUEUE), context());
    expect(plan.summary).toBe('Queue all 300 memories to be embedded again (about 45 s)');
    expect(await findings(qdrantReindex, { ...QUEUE, perMinute: 1200 }, context())).toContainEqual(
      'info: to embed: 300 memories, about 15 s at 1200 a minute',
    );
    await restartNovamem(real, { embeddingsPerMinute: 1_500 });
    const texts: string[] = [];
    for await (const event of qdrantReindex.run(params(QUEUE), context(), new AbortController().signal))
      if (event.type === 'progress') texts.push(`${event.done} of ${event.total}: ${event.text}`);
    expect(texts.join('\n')).toMatch(/^\d+ of 300: .* left if novamem does 400 a minute$/m);
    expect(texts.join('\n')).toMatch(/^\d+ of 300: about [\d,]+ a minute, .* left$/m);
    expect(texts.at(-1)).toBe('300 of 300: nothing waits for a vector any more');
  });

  test('of what is missing leaves every other memory alone', async () => {
    const { points } = await client().scroll(ACME, { limit: 7, with_payload: true });
    await client().delete(ACME, { wait: true, points: points.map((point) => point.id) });
    await loseCollections([NOTES]);
    await restartNovamem(real);
    const lost = points.length + backup.inventory!.qdrant!.collections[NOTES]!.points;
    const ctx = context();
    expect((await qdrantReindex.plan(params(MISSING), ctx)).summary).toContain(`${lost} memories`);
    const { facts, error } = await perform(qdrantReindex, MISSING, ctx);
    expect(error).toBeUndefined();
    expect(facts.kept?.rows).toBe(lost);
    const [changed] = await real.sql(
      'SELECT count(*)::int AS count FROM memory_entries WHERE embedded_at <> created_at',
    );
    expect(changed!.count).toBe(lost);
    expect(await unequal(qdrantReindex, MISSING, ctx, facts)).toEqual([]);
    expect(await differences()).toEqual([]);
  });

  test('where nothing is missing queues nothing, and proves it', async () => {
    const before = await rows();
    const { facts, error } = await perform(qdrantReindex, MISSING, context());
    expect(error).toBeUndefined();
    expect(await rows()).toEqual(before);
    expect(await unequal(qdrantReindex, MISSING, context(), facts)).toEqual([]);
  });

  test('restarts a Qdrant whose storage went away under it, and then a novamem that still believes in its collections', async () => {
    rmSync(join(real.places.qdrantData, 'storage'), { recursive: true });
    const { error, output, facts } = await perform(qdrantReindex, MISSING, context());
    expect(error).toBeUndefined();
    expect(output).toContain('novamem is restarted, so that it makes its collections again');
    expect(facts.kept?.rows).toBe(MEMORIES);
    expect(await differences()).toEqual([]);
  });

  test('restarts a Qdrant that only lost the files of some collections, which a snapshot of another does not show', async () => {
    for (const name of [ACME, NOTES])
      rmSync(join(real.places.qdrantData, 'storage', 'collections', name), { recursive: true });
    const { error, output } = await perform(qdrantReindex, MISSING, context());
    expect(error).toBeUndefined();
    expect(output.join('\n')).toMatch(
      /2 collections without files.*the first: novamem_u_acme_default.*restarting it/,
    );
    expect(await differences()).toEqual([]);
  });
});

describe('an embedder that is out of order', () => {
  const STALLING = { ...QUEUE, stallSeconds: 1 };

  test('is said beforehand, and the stall says what was seen, what is safe and what to do', async () => {
    await restartNovamem(real, { embeddingsPerMinute: 0 });
    expect(await findings(qdrantReindex, QUEUE, context())).toContainEqual(
      expect.stringMatching(/^warning: novamem says: embedder failing\. Nothing gets a vector until/),
    );
    const { error, output } = await perform(qdrantReindex, STALLING, context());
    expect(output).toContain('novamem says: embedder failing');
    expect(error?.message).toMatch(
      /^no memory got its vector for 1\.0 s: 300 of 300 still wait; the first: \S+, \S+, \S+; novamem answers; novamem says: embedder failing\. Nothing is lost: the rows stay queued.*retry, which queues nothing twice$/,
    );
  });

  test('leaves a queue that an undo takes back exactly, also after a second attempt', async () => {
    await restartNovamem(real, { embeddingsPerMinute: 0 });
    const before = await rows();
    const ctx = context();
    const first = await perform(qdrantReindex, STALLING, ctx);
    expect(await rows()).toEqual({ ...before, embedded: null, waiting: MEMORIES });
    expect(await qdrantReindex.probe(params(QUEUE), ctx, first.facts)).toBe('partial');
    const second = await perform(qdrantReindex, STALLING, { ...ctx, earlier: first.facts });
    expect(second.safetyCopies).toEqual([]);
    const facts = { ...first.facts, ...second.facts };
    expect(await notPutBack({ ...facts, undoBegan: '2026-01-01 00:00:00+00' })).toEqual([['300', '0']]);
    const undone = await undo(facts);
    expect(undone.error).toBeUndefined();
    expect(undone.output).toEqual([expect.stringMatching(/^300 rows have their embedded_at back; vectors/)]);
    expect(await rows()).toEqual(before);

    // What novamem had in its hands it embeds after the undo; what has another instant of before was not put back.
    await real.sql(
      `UPDATE memory_entries SET embedded_at = CASE WHEN n <= 3 THEN now() - interval '1 h' ELSE now() END
         FROM (SELECT id AS of, row_number() OVER (ORDER BY id) AS n FROM memory_entries) k WHERE id = of AND n <= 5`,
    );
    expect(await notPutBack({ ...facts, ...undone.facts })).toEqual([['300', '297']]);
    expect((await undo(facts)).error).toBeUndefined();
    expect((await rows()).embedded).toBe(before.embedded);
  });

  test('is mended, and a retry follows what is queued already to its end', async () => {
    await loseCollections();
    await restartNovamem(real, { embeddingsPerMinute: 0 });
    const ctx = context();
    const { facts } = await perform(qdrantReindex, STALLING, ctx);
    await restartNovamem(real, { embeddingsPerMinute: 60_000 });
    const again = await perform(qdrantReindex, QUEUE, { ...ctx, earlier: facts });
    expect(again.error).toBeUndefined();
    expect(again.output).toContain('the rows were queued by an earlier attempt: nothing is queued twice');
    expect(await differences()).toEqual([]);
  });

  test('a changed safety copy is not put back', async () => {
    await restartNovamem(real, { embeddingsPerMinute: 0 });
    const { facts } = await perform(qdrantReindex, STALLING, context());
    writeFileSync(facts.kept!.file, readFileSync(facts.kept!.file, 'utf8').replace('2026', '2025'));
    expect((await undo(facts)).error?.message).toMatch(/is not what was written .* nothing was put back/);
    expect((await rows()).waiting).toBe(MEMORIES);
  });

  test('an abort leaves what was queued in the queue, and can be undone', async () => {
    await restartNovamem(real, { embeddingsPerMinute: 0 });
    const before = await rows();
    const abort = new AbortController();
    const { facts, error } = await perform(qdrantReindex, QUEUE, context(), {
      signal: abort.signal,
      onOutput: (line) => line.startsWith('queued:') && abort.abort(new Error('aborted by the operator')),
    });
    expect(error?.message).toBe('aborted by the operator');
    expect((await rows()).waiting).toBe(MEMORIES);
    expect((await undo(facts)).error).toBeUndefined();
    expect(await rows()).toEqual(before);
  });
});

test('a novamem that ran while its collections were lost gets nowhere, and a restart is what the stall advises', async () => {
  // It has seen its collection once.
  const memory = { content: 'billing depends on the new schema', namespace: 'default' };
  await real.cluster.novamem!.ask('/v1/remember', memory);
  await loseCollections([ACME]);
  const ctx = context();
  const stalled = await perform(qdrantReindex, { ...MISSING, stallSeconds: 1 }, ctx);
  expect(stalled.error?.message).toMatch(/must be restarted: it does not make its collections again/);
  await restartNovamem(real);
  expect((await perform(qdrantReindex, MISSING, { ...ctx, earlier: stalled.facts })).error).toBeUndefined();
  expect(await unequal(qdrantReindex, MISSING, ctx, stalled.facts)).toEqual([]);
  await real.sql(`DELETE FROM memory_entries WHERE content = '${memory.content}'`);
});

describe('after snapshots were restored', () => {
  test('what was written and what was changed since gets its vector, and nothing else does', async () => {
    const { id: fresh } = (
      await real.cluster.novamem!.ask('/v1/remember', { content: 'login replaces the audit log entirely' })
    ).body as { id: string };
    const [changed] = await real.sql(
      `UPDATE memory_entries SET content = 'the mobile app now calls the retry policy', embedded_at = now()
        WHERE id = (SELECT id FROM memory_entries WHERE user_id = 'acme' AND project_id IS NULL AND namespace = 'default' ORDER BY created_at LIMIT 1)
       RETURNING id, content`,
    );
    await perform(qdrantRestore, {}, context());
    const ctx = context();
    const [age] = (await findings(qdrantRestore, {}, ctx)).filter((line) => /^warning: the snapshots are/.test(line));
    expect(age).toMatch(/old: 1 memory was written and 1 embedded again since: their vectors are not in them/);
    const { facts, error } = await perform(qdrantReindex, AFTER, ctx);
    expect(error).toBeUndefined();
    expect(facts.kept?.rows).toBe(2);
    expect(await unequal(qdrantReindex, AFTER, ctx, facts)).toEqual([]);
    const [point] = await client().retrieve(ACME, { ids: [pointIdOf(changed!.id)], with_vector: true });
    const expected = embed(changed!.content);
    const found = point!.vector as number[];
    expect(Math.max(...found.map((value, index) => Math.abs(value - expected[index]!)))).toBeLessThan(1e-4);
    expect(await client().retrieve(ACME, { ids: [pointIdOf(fresh)] })).toHaveLength(1);
    await real.sql(`DELETE FROM memory_entries WHERE id = '${fresh}'`);
    await client().delete(ACME, { wait: true, points: [pointIdOf(fresh)] });
  });

  test('points of memories that were forgotten since are no failure, and are said', async () => {
    await real.sql(`INSERT INTO memory_entries SELECT 'FORGOTTEN', user_id, project_id, content, namespace, source,
        metadata, cold, content_hash, created_at, updated_at, NULL FROM memory_entries ORDER BY id LIMIT 1`);
    await eventually('it is embedded', async () => (await rows()).waiting === 0);
    await real.sql(`DELETE FROM memory_entries WHERE id = 'FORGOTTEN'`);
    const ctx = context();
    const { facts } = await perform(qdrantReindex, AFTER, ctx);
    const checks = await qdrantReindex.verify(params(AFTER), ctx, facts as never);
    expect(checks.filter((check) => !check.ok)).toEqual([]);
    expect(checks.map((check) => check.actual)).toContainEqual(
      expect.stringMatching(/^\d+, and 1 of memories that are not in Postgres$/),
    );
  });
});

describe('a novamem without a queue', () => {
  beforeEach(() => real.sql('ALTER TABLE memory_entries RENAME COLUMN embedded_at TO embedded_once'));
  const mend = () => real.sql('ALTER TABLE memory_entries RENAME COLUMN embedded_once TO embedded_at');

  test('blocks the queue, and skips what would complete a restore with the number of those that stay without', async () => {
    try {
      expect(await findings(qdrantReindex, QUEUE, context())).toContainEqual(
        expect.stringMatching(/^blocking: this novamem keeps no queue .*no column embedded_at/),
      );
      const complete = await qdrantReindex.plan(params(AFTER), context());
      expect(complete.notApplicable).toBeUndefined();
      const { facts, error } = await perform(qdrantReindex, AFTER, context());
      expect(error).toBeUndefined();
      expect(await unequal(qdrantReindex, AFTER, context(), facts)).toEqual([]);

      const { points } = await client().scroll(ACME, { limit: 3 });
      await client().delete(ACME, { wait: true, points: points.map((point) => point.id) });
      expect((await qdrantReindex.plan(params(AFTER), context())).notApplicable).toMatch(
        /no column embedded_at\): 3 memories without a vector can only be found by keyword/,
      );
      expect((await findings(qdrantReindex, AFTER, context())).filter((line) => /^blocking/.test(line))).toEqual([]);
      expect(await unequal(qdrantReindex, AFTER, context(), facts)).toContainEqual(
        expect.stringMatching(/^novamem memories, with a vector: expected 300, found 297 \(without: /),
      );
    } finally {
      await mend();
    }
  });
});

describe('novamem’s own endpoint', () => {
  test('that most servers do not have is a blocking finding, with what to do', async () => {
    const found = await qdrantReindex.check(params(ENDPOINT), context());
    const blocking = found.filter((finding) => finding.level === 'blocking');
    expect(blocking).toHaveLength(1);
    expect(blocking[0]!.message).toMatch(/this novamem has no \/v1\/admin\/reindex: .*answers HTTP 404/);
    expect(blocking[0]!.next).toMatch(/the queue, snapshots.*--set <step>\.endpointExists=true/);
    const { error } = await perform(qdrantReindex, { ...ENDPOINT, endpointExists: true }, context());
    expect(error?.message).toMatch(/POST \/v1\/admin\/reindex answered HTTP 404 .*nothing was started/);
    expect((await rows()).waiting).toBe(0);
  });

  test('is found without being started, and is still known while novamem is stopped', async () => {
    await restartNovamem(real, { reindexEndpoint: true });
    const before = await rows();
    for (const phase of ['preflight', 'ready'] as const) {
      await qdrantReindex.plan(params(ENDPOINT), context({ phase }));
      const found = await findings(qdrantReindex, ENDPOINT, context({ phase }));
      expect(found).toContain('info: /openapi.json has POST /v1/admin/reindex');
    }
    expect(await rows()).toEqual(before);
    await real.cluster.driver('novamem')!.stop(open, { onLine: () => {} });
    const stopped = context({ phase: 'preflight', startsEarlier: () => true });
    const found = await findings(qdrantReindex, ENDPOINT, stopped);
    expect(found).toContain('info: /openapi.json has POST /v1/admin/reindex (before it was stopped)');
    expect(found.filter((line) => /^blocking/.test(line))).toEqual([]);
  });

  test('embeds everything again; undo gives every row its instant back', async () => {
    await restartNovamem(real, { reindexEndpoint: true });
    const before = await rows();
    await loseCollections();
    await restartNovamem(real);
    const ctx = context();
    const { facts, error, output } = await perform(qdrantReindex, ENDPOINT, ctx);
    expect(error).toBeUndefined();
    expect(output).toContain('novamem has begun: HTTP 202 {"queued":300}');
    expect(await unequal(qdrantReindex, ENDPOINT, ctx, facts)).toEqual([]);
    expect(await differences()).toEqual([]);
    expect((await rows()).embedded).not.toBe(before.embedded);
    expect((await undo(facts, ENDPOINT)).error).toBeUndefined();
    expect((await rows()).embedded).toBe(before.embedded);
  });

  test('cannot be asked for what is missing only', () => {
    expect(() => params({ ...ENDPOINT, only: 'missing' })).toThrow(/the endpoint embeds everything/);
  });
});

describe('what stands in the way', () => {
  test('a collection that a broken snapshot made unreadable blocks it, with how to remove it', async () => {
    const bytes = readFileSync(backup.qdrant.find((one) => one.collection === NOTES)!.file);
    bytes.write('#version#', bytes.indexOf('"version"'));
    const file = join(tempFolder('damaged'), 'damaged.snapshot');
    writeFileSync(file, bytes);
    const damaged = { collection: NOTES, file, sha256: await sha256Of(file), uploadName: 'damaged.snapshot' };
    await expect(uploadSnapshot(open, real.cluster.qdrant, damaged)).rejects.toThrow(/HTTP 500/);
    const found = await qdrantReindex.check(params(MISSING), context());
    const [broken, ...others] = found.filter((finding) => finding.level === 'blocking');
    expect(others).toEqual([]);
    expect(broken!.message).toMatch(new RegExp(`^${NOTES}: there, but cannot be read`));
    expect(broken!.next).toContain(`-X DELETE '${real.cluster.qdrant.address}/collections/${NOTES}'`);
    await loseCollections([NOTES]);
    expect((await perform(qdrantReindex, MISSING, context())).error).toBeUndefined();
    expect(await differences()).toEqual([]);
  });

  test('points that name no memory: what is missing cannot be told, and nothing is queued', async () => {
    const { points } = await client().scroll(ACME, { limit: 2 });
    await client().overwritePayload(ACME, { wait: true, payload: { other: 1 }, points: points.map(({ id }) => id) });
    const before = await rows();
    const { error } = await perform(qdrantReindex, MISSING, context());
    expect(error?.message).toMatch(/2 points in Qdrant do not name a memory .*nothing was queued.*<step>\.only=all/);
    expect(await rows()).toEqual(before);
  });

  test('a role that may not update the memories is found before', async () => {
    await real.sql(
      `CREATE ROLE reader LOGIN PASSWORD 'reading'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader`,
    );
    const { Cluster } = await import('../../../src/stores/cluster.js');
    process.env.TEST_READER = 'reading';
    const url = real.cluster.profile.postgres.url.replace('novamem@', 'reader@');
    const profile = { ...real.cluster.profile, postgres: { url, passwordFrom: 'env:TEST_READER' } };
    const found = await findings(qdrantReindex, QUEUE, context({ cluster: new Cluster(profile) }));
    expect(found).toContain('blocking: role reader may not update memory_entries.embedded_at');
    expect(found).toContainEqual(
      expect.stringMatching(/^warning: every update of a memory sets off memory_entries_touch/),
    );
    await real.sql('DROP OWNED BY reader; DROP ROLE reader');
  });
});
