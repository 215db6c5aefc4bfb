import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, existsSync, openSync, readFileSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { profileSchema } from '../../src/config/profile.js';
import { filesBelow, sha256Of } from '../../src/hosts/files.js';
import { qdrantBackup } from '../../src/steps/qdrant/backup.js';
import { qdrantReindex } from '../../src/steps/qdrant/reindex.js';
import { qdrantRestore } from '../../src/steps/qdrant/restore.js';
import { takeSafetySnapshot } from '../../src/steps/qdrant/safety-snapshot.js';
import { makeSnapshot, removeSnapshot } from '../../src/steps/qdrant/snapshots.js';
import type { StepContext } from '../../src/steps/step.js';
import type { BackupSet } from '../../src/stores/backup-set/backup-set.js';
import { Cluster } from '../../src/stores/cluster.js';
import { collectionHealth, compareQdrant, inventoryQdrant } from '../../src/stores/qdrant/inventory.js';
import { recoveriesRunning } from '../../src/stores/qdrant/server.js';
import { downloadSnapshot } from '../../src/stores/qdrant/transfer.js';
import { eventually } from '../support/eventually.js';
import { losingProxy } from '../support/losing-proxy.js';
import { ROOT } from '../support/program.js';
import { type QdrantNode, startQdrant, startQdrantCluster } from '../support/qdrant-node.js';
import { contextOf, findings, open, perform, recordingGateway, unequal } from '../support/sandbox.js';
import { tempFolder } from '../support/temp.js';

// Each of these is provoked on a real server of the test's own; what it does of itself is shown first where that can be.

const NAME = 'novamem_u_acme_default';
const MEBIBYTE = 1024 * 1024;

/** A cluster of which only Qdrant is there. */
function clusterAt(url: string, more: object = {}): Cluster {
  return new Cluster(
    profileSchema.parse({
      name: 'acme-test',
      postgres: { url: 'postgres://novamem@127.0.0.1:1/novamem' },
      qdrant: { url, ...more },
      falkordb: { url: 'redis://127.0.0.1:1' },
    }),
  );
}

const contextAt = (url: string, more: Partial<StepContext> = {}, qdrant: object = {}) =>
  contextOf(clusterAt(url, qdrant), more);

/** Makes a collection again and fills it. `bytes`: how large each point's payload is. */
async function fill({ client }: QdrantNode, name: string, points: number, bytes = 20): Promise<void> {
  await client.deleteCollection(name);
  await client.createCollection(name, { vectors: { size: 4, distance: 'Dot' } });
  const AT_ONCE = Math.max(1, Math.min(500, Math.floor((8 * MEBIBYTE) / bytes)));
  for (let from = 0; from < points; from += AT_ONCE)
    await client.upsert(name, {
      wait: true,
      points: Array.from({ length: Math.min(AT_ONCE, points - from) }, (_, index) => ({
        id: from + index,
        vector: [1, from + index, 2, 3],
        payload: { entryId: `${name} ${from + index}`, text: randomBytes(bytes / 2).toString('hex') },
      })),
    });
}

const pointsIn = async ({ client }: QdrantNode, name: string) => (await client.count(name, { exact: true })).count;

/** A backup set of all collections of a node, with its inventory. */
async function backupOf({ qdrant, client }: QdrantNode): Promise<BackupSet> {
  const folder = tempFolder('set');
  const inventory = await inventoryQdrant(qdrant);
  const snapshots: BackupSet['qdrant'] = [];
  for (const collection of Object.keys(inventory.collections)) {
    const made = (await client.createSnapshot(collection))!;
    const file = join(folder, `${collection}.snapshot`);
    const { bytes, sha256 } = await downloadSnapshot(open, qdrant, { collection, snapshot: made.name, file });
    await client.deleteSnapshot(collection, made.name);
    snapshots.push({ collection, file, bytes, sha256 });
  }
  const takenAt = new Date();
  return {
    id: 'set',
    folder,
    kind: 'manifest',
    takenAt,
    bytes: 0,
    qdrant: snapshots,
    unnamed: [],
    otherFalkordb: [],
    goldenSearches: [],
    inventory: { takenAt: takenAt.toISOString(), qdrant: inventory },
    unproven: [],
  };
}

/** Every snapshot file on a node's disk. */
const filesOn = async ({ folder }: QdrantNode) => {
  const snapshots = join(folder, 'snapshots');
  return existsSync(snapshots) ? (await filesBelow(snapshots)).filter((name) => !name.endsWith('.checksum')) : [];
};

const differences = async (set: BackupSet, node: QdrantNode) =>
  compareQdrant(set.inventory!.qdrant!, await inventoryQdrant(node.qdrant)).filter((check) => !check.ok);

const blocking = (found: string[]) => found.filter((line) => line.startsWith('blocking'));

describe('one server', () => {
  let node: QdrantNode;
  let set: BackupSet;

  beforeAll(async () => {
    node = await startQdrant();
    await fill(node, NAME, 300, 200_000);
    set = await backupOf(node);
    expect(set.qdrant[0]!.bytes).toBeGreaterThan(50 * MEBIBYTE);
  });

  const damage = async () => {
    await node.client.delete(NAME, { wait: true, points: [1, 2, 3] });
    expect(await differences(set, node)).not.toEqual([]);
  };

  describe('that is sent a snapshot of other vectors', () => {
    test('Q3: the preflight says that Qdrant will refuse it; the refusal leaves the collection as it was', async () => {
      await fill(node, 'novamem_other', 20);
      const other = await backupOf(node);
      await node.client.deleteCollection('novamem_other');
      await node.client.createCollection('novamem_other', { vectors: { size: 8, distance: 'Dot' } });
      await node.client.upsert('novamem_other', { wait: true, points: [{ id: 1, vector: Array(8).fill(1) }] });
      const ctx = contextAt(node.url, { backup: other });
      const only = { collections: ['novamem_other'] };
      expect(blocking(await findings(qdrantRestore, only, ctx))).toEqual([
        expect.stringMatching(/novamem_other: other vector parameters .* Qdrant refuses/),
      ]);
      const { error } = await perform(qdrantRestore, only, ctx);
      expect(error?.message).toMatch(/HTTP 4\d\d .*novamem_other was put back as it was before/s);
      expect(await pointsIn(node, 'novamem_other')).toBe(1);
      await node.client.deleteCollection('novamem_other');
    });

    test.each([
      ['1.16.0', false],
      ['1.15.4', false],
      ['1.12.6', true],
      ['1.17.0', true],
      ['2.0.0', true],
    ])('Q3: a snapshot of Qdrant %s is warned of: %s', async (serverVersion, isWarned) => {
      const inventory = { ...set.inventory!, qdrant: { ...set.inventory!.qdrant!, serverVersion } };
      const found = await findings(qdrantRestore, {}, contextAt(node.url, { backup: { ...set, inventory } }));
      expect(found.filter((line) => /^warning: the snapshots are of Qdrant/.test(line))).toHaveLength(
        isWarned ? 1 : 0,
      );
      expect(blocking(found)).toEqual([]);
    });
  });

  describe('whose answer does not arrive', () => {
    test('Q5: with wait=false a snapshot that is refused is answered as accepted; the tool always waits', async () => {
      const junk = new FormData();
      junk.append('snapshot', new Blob([randomBytes(1000)]), 'junk.snapshot');
      const url = `${node.url}/collections/${NAME}/snapshots/upload?wait=false`;
      const answer = await fetch(url, { method: 'POST', body: junk });
      expect(answer.status).toBe(202);
      await eventually('the junk is on its disk', async () =>
        (await filesOn(node)).some((file) => /junk/.test(file)),
      );
      await node.client.deleteSnapshot(NAME, 'junk.snapshot');

      const { gateway, changes } = recordingGateway();
      for (const upload of [false, true])
        await perform(qdrantRestore, { upload }, contextAt(node.url, { backup: set, gateway }));
      const given = changes.filter((change) => /snapshots\/(recover|upload)/.test(change.text));
      expect(given).toHaveLength(2);
      for (const { text } of given) expect(text).toContain('wait=true');
    });

    test.each([
      { behaviour: 'cut', upload: false },
      { behaviour: 'gave up', upload: false },
      { behaviour: 'cut', upload: true },
      { behaviour: 'gave up', upload: true },
    ])('Q5: a connection that was $behaviour does not cancel the work: it is asked until it has ended, nothing is sent again (by upload: $upload)', async ({
      behaviour,
      upload,
    }) => {
      const proxy = await losingProxy(node.url);
      Object.assign(proxy, { behaviour, loses: 1 });
      await damage();
      const files = await filesOn(node);
      const ctx = contextAt(proxy.url, { backup: set });
      const { error, facts, output } = await perform(qdrantRestore, { upload }, ctx);
      expect(error).toBeUndefined();
      expect(proxy.uploads).toBe(1);
      expect(output.join('\n')).toMatch(/Qdrant goes on by itself: nothing is sent again/);
      expect(await differences(set, node)).toEqual([]);
      expect(await unequal(qdrantRestore, {}, ctx, facts)).toEqual([]);
      expect(await filesOn(node)).toEqual(files);
    });

    test('Q5: one that does not tell what it is at is compared with the backup until it is equal', async () => {
      const proxy = await losingProxy(node.url);
      Object.assign(proxy, { hidesMetrics: true, loses: 1 });
      await damage();
      const { error } = await perform(qdrantRestore, {}, contextAt(proxy.url, { backup: set }));
      expect(error).toBeUndefined();
      expect(proxy.uploads).toBe(1);
      expect(await differences(set, node)).toEqual([]);
    });

    test('Q5: where nothing can be known nothing is sent again, not even the safety copy', async () => {
      const proxy = await losingProxy(node.url);
      Object.assign(proxy, { hidesMetrics: true, loses: 1 });
      await damage();
      const { inventory: _, ...loose } = set;
      const { error, safetyCopies } = await perform(qdrantRestore, {}, contextAt(proxy.url, { backup: loose }));
      expect(error?.message).toMatch(/does not tell whether it is still at it.*Nothing was sent again/);
      expect(safetyCopies).toHaveLength(1);
      expect(proxy.uploads).toBe(1);
      await eventually(
        'Qdrant has ended it by itself',
        async () => (await pointsIn(node, NAME).catch(() => 0)) === 300,
      );
      await eventually('and is idle', async () => (await recoveriesRunning(node.qdrant, [NAME])) === 0);
    });

    test('Q5: a snapshot that turns out to be broken is only followed by the safety copy once the server has ended', async () => {
      const proxy = await losingProxy(node.url);
      Object.assign(proxy, { loses: 1 });
      const own = set.qdrant[0]!;
      const bytes = readFileSync(own.file);
      bytes.write('#version#', bytes.indexOf('"version"'));
      const file = join(tempFolder('broken'), `${NAME}.snapshot`);
      writeFileSync(file, bytes);
      const broken = { ...set, qdrant: [{ collection: NAME, file, bytes: own.bytes }] };
      await damage();
      const before = await inventoryQdrant(node.qdrant);
      const { error } = await perform(qdrantRestore, {}, contextAt(proxy.url, { backup: broken }));
      expect(error?.message).toMatch(
        /Qdrant has ended its work since, and .* is not what the backup holds.*put back/,
      );
      expect(proxy.uploads).toBe(2);
      expect(proxy.overlapping).toBe(0);
      expect(compareQdrant(before, await inventoryQdrant(node.qdrant)).filter((check) => !check.ok)).toEqual([]);
    });
  });

  describe('that keeps what was uploaded', () => {
    test('Q6: an upload of an equal name writes over a snapshot of the server; the tool’s names are its own', async () => {
      const { qdrant, client } = node;
      await fill(node, 'novamem_small', 10);
      const small = await backupOf(node);
      const own = small.qdrant.filter((one) => one.collection === 'novamem_small');
      const upload = async () => {
        const form = new FormData();
        form.append('snapshot', new Blob([readFileSync(own[0]!.file)]), 'novamem_small.snapshot');
        const url = qdrant.urlOf('collections', 'novamem_small', 'snapshots', 'upload');
        expect((await fetch(url, { method: 'POST', body: form })).status).toBe(200);
      };
      await upload();
      const theirs = join(node.folder, 'snapshots/novamem_small/novamem_small.snapshot');
      writeFileSync(theirs, 'what somebody keeps on the server');
      await upload();
      expect(statSync(theirs).size).toBe(own[0]!.bytes);

      writeFileSync(theirs, 'what somebody keeps on the server');
      const ctx = contextAt(node.url, { backup: { ...small, qdrant: own } });
      for (const _ of [1, 2]) expect((await perform(qdrantRestore, {}, ctx)).error).toBeUndefined();
      expect(readFileSync(theirs, 'utf8')).toBe('what somebody keeps on the server');
      expect((await client.listSnapshots('novamem_small')).map((one) => one.name)).toEqual([
        'novamem_small.snapshot',
      ]);
      await client.deleteSnapshot('novamem_small', 'novamem_small.snapshot');
      await client.deleteCollection('novamem_small');
    });

    test('Q6: what a refused upload into a missing collection leaves is removed by the next good one of the run', async () => {
      const small = { collection: 'novamem_gone' };
      await fill(node, small.collection, 10);
      const whole = await backupOf(node);
      const [own] = whole.qdrant.filter((one) => one.collection === small.collection);
      await node.client.deleteCollection(small.collection);
      const files = await filesOn(node);
      const junk = join(tempFolder('junk'), 'junk.snapshot');
      writeFileSync(junk, randomBytes(50_000));
      const ctx = contextAt(node.url, { backup: { ...whole, qdrant: [{ ...small, file: junk, bytes: 50_000 }] } });
      expect((await perform(qdrantRestore, { upload: true }, ctx)).error?.message).toMatch(/HTTP 5\d\d/);
      expect(await filesOn(node)).toHaveLength(files.length + 1);
      const again = { ...ctx, backup: { ...whole, qdrant: [own!] } };
      expect((await perform(qdrantRestore, { upload: true }, again)).error).toBeUndefined();
      expect(await filesOn(node)).toEqual(files);
      await node.client.deleteCollection(small.collection);
    });

    test('Q10: two snapshots of one second are one file; somebody else’s is left to them', async () => {
      const { qdrant, client } = node;
      await fill(node, 'novamem_second', 10);
      const ctx = contextAt(node.url);
      // Until both fall into the same second.
      const { theirs, ours } = await eventually('two of the same second', async () => {
        const first = (await client.createSnapshot('novamem_second'))!.name;
        const second = await makeSnapshot(qdrant, ctx, 'novamem_second');
        if (first === second.name) return { theirs: first, ours: second };
        await removeSnapshot(qdrant, ctx, 'novamem_second', second);
        await client.deleteSnapshot('novamem_second', first);
        return undefined;
      });
      expect(ours.shared).toBe(true);
      await removeSnapshot(qdrant, ctx, 'novamem_second', ours);
      const listed = async () => (await client.listSnapshots('novamem_second')).map((one) => one.name);
      expect(await listed()).toEqual([theirs]);

      const signal = new AbortController().signal;
      const kept = [];
      for (const _ of [1, 2]) kept.push(await takeSafetySnapshot(qdrant, ctx, 'novamem_second', signal));
      expect(new Set(kept.map((one) => one.file)).size).toBe(2);
      for (const one of kept) expect(await sha256Of(one.file)).toBe(one.sha256);
      expect(await listed()).toEqual([theirs]);
      await client.deleteSnapshot('novamem_second', theirs);
      await client.deleteCollection('novamem_second');
    });
  });

  test('Q11: a snapshot of 100 MB and more is uploaded in a memory far smaller than itself', async () => {
    await fill(node, 'novamem_large', 600, 250_000);
    const large = (await backupOf(node)).qdrant.find((one) => one.collection === 'novamem_large')!;
    expect(large.bytes).toBeGreaterThan(120 * MEBIBYTE);
    await node.client.deleteCollection('novamem_large');
    const module = (name: string) => JSON.stringify(pathToFileURL(join(ROOT, 'dist', name)).href);
    const script = `
      const { uploadSnapshot } = await import(${module('stores/qdrant/transfer.js')});
      const { Qdrant } = await import(${module('stores/qdrant/connection.js')});
      const { openGateway } = await import(${module('hosts/gateway.js')});
      const qdrant = new Qdrant({ url: ${JSON.stringify(node.url)}, collectionPrefix: 'novamem_' });
      const peak = () => process.resourceUsage().maxRSS;
      const before = peak();
      await uploadSnapshot(openGateway(() => {}), qdrant, ${JSON.stringify({ ...large, uploadName: 'large.snapshot' })});
      console.log(JSON.stringify({ before, after: peak() }));`;
    const ended = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
    expect(ended.stderr).toBe('');
    const { before, after } = JSON.parse(ended.stdout) as { before: number; after: number };
    const grown = (after - before) * 1024;
    expect(await pointsIn(node, 'novamem_large')).toBe(600);
    expect(grown).toBeLessThan(64 * MEBIBYTE);
    await node.client.deleteSnapshot('novamem_large', 'large.snapshot');
    await node.client.deleteCollection('novamem_large');
  });

  describe('whose disk is small', () => {
    test('Q9: more than is free is a blocking finding, with what is needed', async () => {
      const folder = tempFolder('sparse');
      const file = join(folder, `${NAME}.snapshot`);
      // Sparse: it takes no room itself.
      const bytes = 2 ** 43;
      const handle = openSync(file, 'w');
      writeSync(handle, Buffer.alloc(1), 0, 1, bytes - 1);
      closeSync(handle);
      const ctx = contextAt(
        node.url,
        { backup: { ...set, qdrant: [{ collection: NAME, file, bytes }] } },
        { dataDir: folder },
      );
      expect(blocking(await findings(qdrantRestore, {}, ctx))).toEqual([
        expect.stringMatching(/are free in .*, and the restore needs about 18\.0 TiB: a disk that fills up half-way/),
      ]);
    });

    test('Q9: that it cannot be known is said', async () => {
      for (const where of [{}, { dataDir: '/nowhere/at/all' }]) {
        const found = await findings(qdrantRestore, {}, contextAt(node.url, { backup: set }, where));
        expect(found).toContainEqual(
          expect.stringMatching(/^info: about \d+ MiB must be free .*; how much is free cannot be seen from here/),
        );
      }
    });
  });
});

describe('a disk that fills up half-way', () => {
  const mount = join(tempFolder('mount'), 'disk');
  let mounted = false;

  beforeAll(() => {
    mounted =
      process.getuid?.() === 0 &&
      spawnSync('sh', ['-c', `mkdir '${mount}' && mount -t tmpfs -o size=220m tmpfs '${mount}'`]).status === 0;
  });
  afterAll(() => {
    if (mounted) spawnSync('umount', ['-l', mount]);
  });

  test('Q9: fails the upload of a snapshot that would fit once, and the preflight says so before', async (task) => {
    if (!mounted) return task.skip('only root may mount a small disk');
    const roomy = await startQdrant();
    await fill(roomy, NAME, 400, 250_000);
    const set = await backupOf(roomy);
    const [own] = set.qdrant;
    const small = await startQdrant({ folder: join(mount, 'qdrant') });
    const ctx = contextAt(small.url, { backup: set }, { dataDir: mount });
    expect(own!.bytes).toBeLessThan(220 * MEBIBYTE);
    expect(blocking(await findings(qdrantRestore, {}, ctx))).toEqual([
      expect.stringMatching(/MiB are free in .*, and the restore needs about/),
    ]);
    expect((await perform(qdrantRestore, { upload: true }, ctx)).error?.message).toMatch(/HTTP 5\d\d|No space left/);
    await small.kill();
  });
});

describe('a key that may only read', () => {
  let node: QdrantNode;
  let set: BackupSet;

  beforeAll(async () => {
    process.env.TEST_FULL_KEY = 'full-key-of-the-test';
    process.env.TEST_READ_KEY = 'reading-key-of-the-test';
    node = await startQdrant({
      keyFrom: 'env:TEST_FULL_KEY',
      environment: {
        QDRANT__SERVICE__API_KEY: process.env.TEST_FULL_KEY,
        QDRANT__SERVICE__READ_ONLY_API_KEY: process.env.TEST_READ_KEY,
      },
    });
    const { client } = node.qdrant;
    await client.createCollection(NAME, { vectors: { size: 4, distance: 'Dot' } });
    await client.upsert(NAME, { wait: true, points: [{ id: 1, vector: [1, 2, 3, 4] }] });
    set = await backupOf({ ...node, client });
  });

  test('Q7: reads everything and is refused with 403 at the upload', async () => {
    const headers = { 'api-key': process.env.TEST_READ_KEY! };
    expect((await fetch(`${node.url}/collections/${NAME}`, { headers })).status).toBe(200);
    const form = new FormData();
    form.append('snapshot', new Blob([readFileSync(set.qdrant[0]!.file)]), 'x.snapshot');
    const url = `${node.url}/collections/${NAME}/snapshots/upload`;
    expect((await fetch(url, { method: 'POST', body: form, headers })).status).toBe(403);
  });

  test.each([
    ['restore', qdrantRestore, {}],
    ['backup', qdrantBackup, {}],
    ['re-embedding', qdrantReindex, { by: 'queue' }],
  ] as const)('Q7: blocks the %s before anything, and the full key does not', async (_what, kind, params) => {
    const ask = async (apiKeyFrom: string) => {
      const newBackup = { id: 'new', folder: join(tempFolder('new'), 'new') };
      const ctx = contextAt(node.url, { backup: set, newBackup }, { apiKeyFrom });
      const found = await findings<unknown, unknown>(kind as never, params, ctx);
      return found.filter((line) => /may not manage Qdrant/.test(line));
    };
    expect(await ask('env:TEST_READ_KEY')).toEqual([expect.stringMatching(/^blocking: /)]);
    expect(await ask('env:TEST_FULL_KEY')).toEqual([]);
  });
});

describe('three nodes', () => {
  let nodes: QdrantNode[];

  beforeAll(async () => {
    // The last takes in no shards: one of its own that has died then stays dead.
    nodes = await startQdrantCluster(3, { QDRANT__STORAGE__PERFORMANCE__INCOMING_SHARD_TRANSFERS_LIMIT: '0' });
    const { client } = nodes[0]!;
    await client.createCollection('novamem_spread', { vectors: { size: 4, distance: 'Dot' }, shard_number: 3 });
    await client.createCollection('novamem_replicated', {
      vectors: { size: 4, distance: 'Dot' },
      shard_number: 1,
      replication_factor: 3,
    });
    const points = Array.from({ length: 300 }, (_, id) => ({ id, vector: [1, id, 2, 3] }));
    for (const name of ['novamem_spread', 'novamem_replicated']) await client.upsert(name, { wait: true, points });
  });

  test('Q12: are noticed, and block what goes through one of them: restore and backup', async () => {
    const [first] = nodes;
    const set = await backupOf(first!);
    const newBackup = { id: 'new', folder: join(tempFolder('new'), 'new') };
    for (const [kind, word] of [
      [qdrantRestore, 'restores'],
      [qdrantBackup, 'holds'],
    ] as const) {
      const found = await findings<unknown, unknown>(
        kind as never,
        {},
        contextAt(first!.url, { backup: set, newBackup }),
      );
      expect(blocking(found)).toEqual([
        expect.stringMatching(
          new RegExp(`is one of 3 nodes \\(.*\\): a snapshot .* here ${word} only the shards of this one`),
        ),
      ]);
    }
  });

  test('Q8: a restore through one node brings back the shards of that node only', async () => {
    const [first] = nodes;
    const set = await backupOf(first!);
    expect(await pointsIn(first!, 'novamem_spread')).toBe(300);
    await first!.client.delete('novamem_spread', { wait: true, filter: {} });
    const only = { collections: ['novamem_spread'] };
    const ctx = contextAt(first!.url, { backup: set });
    // As if the finding had been passed over: the evidence finds it.
    const { facts } = await perform(qdrantRestore, only, ctx);
    const left = await pointsIn(first!, 'novamem_spread');
    expect(left).toBeGreaterThan(0);
    expect(left).toBeLessThan(300);
    expect(await unequal(qdrantRestore, only, ctx, facts)).toContainEqual(
      expect.stringMatching(/novamem_spread, points: expected 300, found \d+/),
    );
  });

  test('Q8: a shard that is not active is found although the status of its collection is green', async () => {
    const [first, , last] = nodes;
    await last!.kill();
    await first!.client.upsert('novamem_replicated', { wait: true, points: [{ id: 1000, vector: [1, 2, 3, 4] }] });
    await eventually('the others hold it for dead', async () =>
      (await collectionHealth(first!.qdrant, 'novamem_replicated')).inactiveShards.some((one) =>
        /on node .*: Dead/.test(one),
      ),
    );
    await last!.start();
    const health = await eventually('it knows that it is dead', async () => {
      const seen = await collectionHealth(last!.qdrant, 'novamem_replicated');
      return seen.inactiveShards.includes('0: Dead') ? seen : undefined;
    });
    expect(health.status).toBe('green');
  });
});
