import { beforeAll, describe, expect, test } from 'vitest';
import { collectionOf, pointIdOf } from '../../src/sandbox/embedding.js';
import { eventually } from '../support/eventually.js';
import { open, type RealCluster, realCluster } from '../support/sandbox.js';
import { restartNovamem } from '../support/stand-in.js';

let real: RealCluster;

beforeAll(async () => {
  real = await realCluster(200);
});

const novamem = () => real.cluster.novamem!;
const waiting = async () =>
  (await real.sql('SELECT count(*)::int AS count FROM memory_entries WHERE embedded_at IS NULL'))[0]!.count as number;
const hasVector = async (collection: string, id: string) =>
  (await real.cluster.qdrant.client.retrieve(collection, { ids: [pointIdOf(id)] })).length === 1;
const pending = async () => {
  const { body } = await novamem().get('/v1/admin/health/deep');
  return body as { ok: boolean; deps: Record<string, string>; pendingEmbeddings: number };
};

describe('the background of the stand-in', () => {
  test('embeds rows whose embedded_at is NULL, and makes a collection that is missing', async () => {
    const collection = collectionOf('acme', null, 'notes');
    const [row] = await real.sql(
      `SELECT id FROM memory_entries WHERE user_id = 'acme' AND project_id IS NULL AND namespace = 'notes' LIMIT 1`,
    );
    await real.cluster.qdrant.client.deleteCollection(collection);
    await real.sql(`UPDATE memory_entries SET embedded_at = NULL WHERE namespace = 'notes'`);
    await eventually('nothing waits', async () => (await waiting()) === 0);
    expect(await hasVector(collection, row!.id)).toBe(true);
  });

  test('embeds a memory later that was written while Qdrant was down', async () => {
    const qdrant = real.cluster.driver('qdrant')!;
    await qdrant.stop(open, { onLine: () => {} });
    const { status, body } = await novamem().ask('/v1/remember', { content: 'onboarding is measured by team Orion' });
    expect([status, body]).toEqual([201, { id: expect.any(String), embedded: false }]);
    expect(await waiting()).toBe(1);
    await qdrant.start(open, { onLine: () => {} });
    await eventually('nothing waits', async () => (await waiting()) === 0);
    expect(await hasVector(collectionOf('acme', null, 'default'), (body as { id: string }).id)).toBe(true);
  });

  test('goes no faster than it is told, and not at all when the embedder is out of order', async () => {
    await restartNovamem(real, { embeddingsPerMinute: 0 });
    await real.sql('UPDATE memory_entries SET embedded_at = NULL');
    expect(await pending()).toMatchObject({
      ok: true,
      deps: { embedder: 'failing' },
      pendingEmbeddings: await waiting(),
    });
    const all = await waiting();
    await restartNovamem(real, { embeddingsPerMinute: 1_200 });
    const started = Date.now();
    const left = await eventually('some are embedded', async () => {
      const now = await waiting();
      return now < all ? now : undefined;
    });
    expect(all - left).toBeLessThanOrEqual(((Date.now() - started) / 60_000) * 1_200 + 10);
    await restartNovamem(real, { embeddingsPerMinute: 60_000 });
    await eventually('nothing waits', async () => (await waiting()) === 0);
  });
});

describe('the endpoint that re-embeds everything', () => {
  test('is there only where the settings say so', async () => {
    expect((await novamem().ask('/v1/admin/reindex', {})).status).toBe(404);
    expect(await waiting()).toBe(0);
    await restartNovamem(real, { reindexEndpoint: true });
    const { status, body } = await novamem().ask('/v1/admin/reindex', {});
    const [row] = await real.sql('SELECT count(*)::int AS count FROM memory_entries');
    expect([status, body]).toEqual([202, { queued: row!.count }]);
    await eventually('nothing waits', async () => (await waiting()) === 0);
  });
});
