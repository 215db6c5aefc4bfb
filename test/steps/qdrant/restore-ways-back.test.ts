import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { sha256Of } from '../../../src/hosts/files.js';
import { collectionOf } from '../../../src/sandbox/embedding.js';
import { qdrantRestore } from '../../../src/steps/qdrant/restore.js';
import type { BackupSet } from '../../../src/stores/backup-set/backup-set.js';
import { Cluster } from '../../../src/stores/cluster.js';
import { compareQdrant, inventoryQdrant, type QdrantInventory } from '../../../src/stores/qdrant/inventory.js';
import { uploadSnapshot } from '../../../src/stores/qdrant/transfer.js';
import { faultyProxy, qdrantError } from '../../support/faulty-proxy.js';
import { findings, follow, open, perform, type RealCluster, realCluster, unequal } from '../../support/sandbox.js';
import { tempFolder } from '../../support/temp.js';

const ACME = collectionOf('acme', null, 'default');

let real: RealCluster;

beforeAll(async () => {
  real = await realCluster();
});

const qdrant = () => real.cluster.qdrant;
const now = () => inventoryQdrant(qdrant());
const params = () => qdrantRestore.params.parse({});
const differences = (expected: QdrantInventory, actual: QdrantInventory) =>
  compareQdrant(expected, actual)
    .filter((check) => !check.ok)
    .map((check) => `${check.subject}, ${check.what}: expected ${check.expected}, found ${check.actual}`);

describe('a collection that an upload of a damaged snapshot broke', () => {
  let backup: BackupSet;

  beforeAll(async () => {
    backup = await real.backup();
    const bytes = readFileSync(backup.qdrant.find((one) => one.collection === ACME)!.file);
    // Deep inside, in the state of a segment: the server finds it only once the old collection is gone.
    bytes.write('#version#', bytes.indexOf('"version"'));
    const file = join(tempFolder('damaged'), 'damaged.snapshot');
    writeFileSync(file, bytes);
    const damaged = { collection: ACME, file, sha256: await sha256Of(file), uploadName: 'damaged.snapshot' };
    await expect(uploadSnapshot(open, qdrant(), damaged)).rejects.toThrow(/HTTP 500/);
    await expect(qdrant().client.count(ACME, { exact: true })).rejects.toThrow();
  });

  test('Q1: is named in what the plan destroys, and blocks nothing', async () => {
    const ctx = real.context({ backup });
    const { destroys } = await qdrantRestore.plan(params(), ctx);
    expect(destroys).toContainEqual(expect.stringMatching(new RegExp(`${ACME}.* cannot be read: no safety copy`)));
    const others = backup.qdrant.map((one) => one.collection).filter((name) => name !== ACME);
    for (const name of others) expect(destroys.join('\n')).not.toContain(name);
    expect((await findings(qdrantRestore, {}, ctx)).filter((line) => line.startsWith('blocking'))).toEqual([]);
  });

  test('Q1: is restored all the same, with a safety snapshot of every other, and that it had none is an exception', async () => {
    const ctx = real.context({ backup });
    const { facts, error } = await perform(qdrantRestore, {}, ctx);
    expect(error).toBeUndefined();
    expect(await unequal(qdrantRestore, {}, ctx, facts)).toEqual([]);
    expect(differences(backup.inventory!.qdrant!, await now())).toEqual([]);
    const kept = backup.qdrant.map((one) => one.collection).filter((name) => name !== ACME);
    expect(Object.keys(facts.safety!).sort()).toEqual(kept);
    expect(qdrantRestore.conclusion!(facts)).toEqual({
      text: expect.stringMatching(
        new RegExp(`^replaced without a safety copy, since it could not be read: ${ACME} \\(.+\\)$`),
      ),
      exception: true,
    });
    expect(await qdrantRestore.probe(params(), ctx, facts)).toBe('done');
  });
});

describe('a collection that only did not tell how many points it holds', () => {
  test.each([
    ['whose answer was lost', '', /other side closed|socket hang up|ECONNRESET/],
    ['before which something said 503', qdrantError(503, 'no upstream'), /HTTP 503: no upstream/],
  ])('(%s) is not taken for broken: nothing is replaced, and it says what to do', async (_what, answer, words) => {
    const backup = await real.backup();
    await qdrant().client.deletePayload(ACME, { wait: true, keys: ['source'], filter: {} });
    const before = await now();
    const proxy = await faultyProxy(real.cluster.profile.qdrant.url);
    await proxy.become({ kind: 'answers', to: new RegExp(`^POST /collections/${ACME}/points/count`), answer });
    const { profile } = real.cluster;
    const cluster = new Cluster({ ...profile, qdrant: { ...profile.qdrant, url: proxy.url } });
    const ctx = real.context({ backup, cluster });
    await expect(qdrantRestore.plan(params(), ctx)).rejects.toThrow(words);
    const { facts, error, output } = await perform(qdrantRestore, {}, ctx);
    expect(error?.message).toMatch(words);
    expect(error?.message).toMatch(
      new RegExp(`^how many points ${ACME} holds could not be told .*Nothing is replaced .*then retry$`),
    );
    expect(output.join()).not.toContain('WITHOUT A SAFETY COPY');
    expect(facts.unsaved ?? {}).toEqual({});
    expect(proxy.met).toBeGreaterThan(0);
    expect(differences(before, await now())).toEqual([]);
  });
});

describe('two collections whose names differ only in a sign that a file name may not hold', () => {
  const NAMES = ['novamem_u_x@y_default', 'novamem_u_x_y_default'] as const;

  afterEach(async () => {
    for (const name of NAMES) await qdrant().client.deleteCollection(name);
  });

  test('each have a safety snapshot of their own, and are undone and restored again', async () => {
    const { client } = qdrant();
    for (const [index, name] of NAMES.entries()) {
      await client.createCollection(name, { vectors: { size: 2, distance: 'Dot' } });
      const points = Array.from({ length: index + 3 }, (_, id) => ({ id, vector: [1, id], payload: { of: name } }));
      await client.upsert(name, { wait: true, points });
    }
    const backup = await real.backup();
    for (const name of NAMES)
      await client.upsert(name, {
        wait: true,
        points: [{ id: 900, vector: [9, 9], payload: { of: `new ${name}` } }],
      });
    const before = await now();
    expect(differences(backup.inventory!.qdrant!, before)).not.toEqual([]);

    const ctx = real.context({ backup });
    for (const round of [1, 2]) {
      const { facts, error, safetyCopies } = await perform(qdrantRestore, {}, ctx);
      expect(error, `round ${round}`).toBeUndefined();
      expect(differences(backup.inventory!.qdrant!, await now())).toEqual([]);
      expect(safetyCopies).toHaveLength(backup.qdrant.length);
      expect(new Set(safetyCopies.map((copy) => copy.at)).size).toBe(backup.qdrant.length);
      for (const name of NAMES) {
        const { file, sha256 } = facts.safety![name]!;
        expect(existsSync(file)).toBe(true);
        expect(await sha256Of(file)).toBe(sha256);
      }
      const undone = await follow(qdrantRestore.undo!(params(), ctx, facts));
      expect(undone.error, `undo of round ${round}`).toBeUndefined();
      expect(differences(before, await now())).toEqual([]);
    }
    const last = await perform(qdrantRestore, {}, ctx);
    expect(last.error).toBeUndefined();
    expect(await unequal(qdrantRestore, {}, ctx, last.facts)).toEqual([]);
  });
});
