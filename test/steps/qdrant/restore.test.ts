import { closeSync, copyFileSync, existsSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { filesBelow } from '../../../src/hosts/files.js';
import { collectionOf, embed } from '../../../src/sandbox/embedding.js';
import { qdrantRestore } from '../../../src/steps/qdrant/restore.js';
import type { AnyStepKind } from '../../../src/steps/step.js';
import type { BackupSet } from '../../../src/stores/backup-set/backup-set.js';
import { openBackupSet } from '../../../src/stores/backup-set/open-backup-set.js';
import { Cluster } from '../../../src/stores/cluster.js';
import { compareQdrant, inventoryQdrant, type QdrantInventory } from '../../../src/stores/qdrant/inventory.js';
import { faultyProxy, qdrantError } from '../../support/faulty-proxy.js';
import {
  findings,
  follow,
  perform,
  type RealCluster,
  realCluster,
  recordingGateway,
  unequal,
} from '../../support/sandbox.js';
import { tempFolder } from '../../support/temp.js';
import { attempt, retry, step, tinyRun, undo } from '../../support/tiny-run.js';

const ACME = collectionOf('acme', null, 'default');
const GLOBEX = collectionOf('globex', null, 'default');

let real: RealCluster;
let backup: BackupSet;

beforeAll(async () => {
  real = await realCluster();
  backup = await real.backup();
});

const now = () => inventoryQdrant(real.cluster.qdrant);
const differences = (expected: QdrantInventory, actual: QdrantInventory) =>
  compareQdrant(expected, actual)
    .filter((check) => !check.ok)
    .map((check) => `${check.subject}, ${check.what}: expected ${check.expected}, found ${check.actual}`);
const expected = () => backup.inventory!.qdrant!;
const contextWith = (set: BackupSet, more = {}) => real.context({ backup: set, ...more });
const params = (given = {}) => qdrantRestore.params.parse(given);

/** Every snapshot file that lies on the server's disk. */
const left = async () => {
  const folder = join(real.places.qdrantData, 'snapshots');
  return existsSync(folder) ? (await filesBelow(folder)).filter((name) => name.includes('.snapshot')) : [];
};

/** Points too many, too few and altered in one collection. */
async function disturb(): Promise<QdrantInventory> {
  const { client } = real.cluster.qdrant;
  const { points } = await client.scroll(ACME, { limit: 20 });
  await client.delete(ACME, { wait: true, points: points.slice(0, 10).map((point) => point.id) });
  await client.setPayload(ACME, { wait: true, payload: { source: 'altered' }, points: [points[15]!.id] });
  await client.upsert(ACME, {
    wait: true,
    points: [{ id: '00000000-0000-0000-0000-000000000001', vector: embed('new'), payload: { entryId: 'NEW' } }],
  });
  const inventory = await now();
  expect(differences(expected(), inventory)).not.toEqual([]);
  return inventory;
}

beforeEach(async () => {
  const { error } = await perform(qdrantRestore, {}, contextWith(backup));
  if (error) throw error;
});

describe('restoring Qdrant', () => {
  test('brings a populated collection back exactly, after a snapshot of it was taken; undo puts that back', async () => {
    const before = await disturb();
    const ctx = contextWith(backup);
    const { facts, safetyCopies, error } = await perform(qdrantRestore, {}, ctx);
    expect(error).toBeUndefined();
    expect(await unequal(qdrantRestore, {}, ctx, facts)).toEqual([]);
    expect(differences(expected(), await now())).toEqual([]);
    expect(safetyCopies.map((copy) => copy.of).sort()).toEqual(
      backup.qdrant.map((one) => `collection ${one.collection}`),
    );
    for (const copy of safetyCopies) expect(existsSync(copy.at)).toBe(true);
    expect((await follow(qdrantRestore.undo!(params(), ctx, facts))).error).toBeUndefined();
    expect(differences(before, await now())).toEqual([]);
  });

  test.each([
    false,
    true,
  ])('Q6: leaves no snapshot file on the disk of the server (by upload: %s)', async (upload) => {
    await disturb();
    const files = await left();
    expect((await perform(qdrantRestore, { upload }, contextWith(backup))).error).toBeUndefined();
    expect(await left()).toEqual(files);
  });

  test('Q4: makes what was lost again, with its aliases; undo removes it again', async () => {
    const { client } = real.cluster.qdrant;
    for (const { collection } of backup.qdrant) await client.deleteCollection(collection);
    expect(Object.keys((await now()).collections)).toEqual([]);
    const ctx = contextWith(backup);
    const { facts, safetyCopies, error } = await perform(qdrantRestore, {}, ctx);
    expect(error).toBeUndefined();
    expect(safetyCopies).toEqual([]);
    const restored = await now();
    expect(restored.aliases).toEqual({ novamem_acme: ACME });
    expect(differences(expected(), restored)).toEqual([]);
    expect(await unequal(qdrantRestore, {}, ctx, facts)).toEqual([]);
    await follow(qdrantRestore.undo!(params(), ctx, facts));
    expect(Object.keys((await now()).collections)).toEqual([]);
  });

  test('Q4: points an alias back that points elsewhere', async () => {
    const { client } = real.cluster.qdrant;
    await client.updateCollectionAliases({
      actions: [
        { delete_alias: { alias_name: 'novamem_acme' } },
        { create_alias: { alias_name: 'novamem_acme', collection_name: GLOBEX } },
      ],
    });
    const ctx = contextWith(backup);
    const { facts } = await perform(qdrantRestore, {}, ctx);
    expect((await now()).aliases).toEqual({ novamem_acme: ACME });
    expect(await unequal(qdrantRestore, {}, ctx, facts)).toEqual([]);
  });

  test('of one collection alone needs no alias of another', async () => {
    const { client } = real.cluster.qdrant;
    for (const { collection } of backup.qdrant) await client.deleteCollection(collection);
    const ctx = contextWith(backup);
    const { facts, error } = await perform(qdrantRestore, { collections: [GLOBEX] }, ctx);
    expect(error).toBeUndefined();
    expect(await unequal(qdrantRestore, { collections: [GLOBEX] }, ctx, facts)).toEqual([]);
    expect(Object.keys((await now()).collections)).toEqual([GLOBEX]);
  });

  test('keeps the copy of what was there first when it is tried again: undo brings that back', async () => {
    const before = await disturb();
    const collections = {
      ...expected().collections,
      [GLOBEX]: { ...expected().collections[GLOBEX]!, points: 1 },
    };
    const neverEqual = { ...backup, inventory: { ...backup.inventory!, qdrant: { ...expected(), collections } } };
    const { run, begin } = tinyRun([{ ...step('restore', qdrantRestore as AnyStepKind), params: params() }], {
      cluster: real.cluster,
      backup: neverEqual,
    });
    await begin();
    await attempt(run, 'restore');
    const copies = run.getSnapshot().steps[0]!.safetyCopies;
    await retry(run, 'restore');
    const lost = copies.filter((copy) => !existsSync(copy.at)).map((copy) => copy.of);
    await undo(run, 'restore');
    run.intend({ type: 'abort' });
    await run.finished;
    expect(lost).toEqual([]);
    expect(differences(before, await now())).toEqual([]);
  });
});

describe('a server on this machine', () => {
  const given = (changes: readonly { text: string }[], how: 'recover' | 'upload') =>
    changes.filter(({ text }) => text.includes(`/snapshots/${how}?`));

  test('reads the snapshots itself: none is sent, and they stay as they are', async () => {
    const before = backup.qdrant.map(({ file }) => readFileSync(file));
    await disturb();
    const { gateway, changes } = recordingGateway();
    const ctx = contextWith(backup, { gateway });
    const plan = await qdrantRestore.plan(params(), ctx);
    expect((await perform(qdrantRestore, {}, ctx)).error).toBeUndefined();
    expect(given(changes, 'upload')).toEqual([]);
    expect(given(changes, 'recover').map(({ text }) => text)).toEqual(expect.arrayContaining(plan.commands));
    expect(plan.commands).toHaveLength(backup.qdrant.length);
    expect(differences(expected(), await now())).toEqual([]);
    expect(backup.qdrant.map(({ file }) => readFileSync(file)).every((file, n) => file.equals(before[n]!))).toBe(
      true,
    );
  });

  test('that does not find them there is asked for one, and then is sent them all', async () => {
    await disturb();
    // What it opens by this name is another folder, or none.
    const folder = openSync(dirname(backup.qdrant[0]!.file), 'r');
    const set = {
      ...backup,
      qdrant: backup.qdrant.map((one) => ({ ...one, file: `/proc/self/fd/${folder}/${basename(one.file)}` })),
    };
    const { gateway, changes } = recordingGateway();
    const { error, output } = await perform(qdrantRestore, { atOnce: 1 }, contextWith(set, { gateway }));
    closeSync(folder);
    expect(error).toBeUndefined();
    expect(output.join('\n')).toMatch(
      /HTTP 400 Bad request: .* does not exist: nothing was touched, it is uploaded instead/,
    );
    expect(given(changes, 'recover')).toHaveLength(1);
    expect(given(changes, 'upload')).toHaveLength(backup.qdrant.length);
    expect(differences(expected(), await now())).toEqual([]);
  });

  test('that may not read them is sent them', async () => {
    const { qdrant } = real.cluster.profile;
    // The words of Qdrant 1.16 as an ordinary user, of files that only root may read.
    const words =
      'Service internal error: failed to open file `/backups/novamem_u_acme_default.snapshot`: Permission denied (os error 13)';
    const proxy = await faultyProxy(qdrant.url);
    await proxy.become({
      kind: 'answers',
      to: /^PUT .*_u_acme_default\/snapshots\/recover/,
      answer: qdrantError(500, words),
    });
    const cluster = new Cluster({ ...real.cluster.profile, qdrant: { ...qdrant, url: proxy.url } });
    await disturb();
    const { error, output } = await perform(qdrantRestore, {}, contextWith(backup, { cluster }));
    expect(error).toBeUndefined();
    expect(output.join('\n')).toMatch(
      /Permission denied \(os error 13\): nothing was touched, it is uploaded instead/,
    );
    expect(differences(expected(), await now())).toEqual([]);
  });
});

describe('a snapshot that is not the one that was backed up', () => {
  /** A set whose snapshot of one collection has a byte altered, deep inside. */
  function withAlteredSnapshot(): BackupSet {
    const file = join(tempFolder('altered'), `${ACME}.snapshot`);
    const own = backup.qdrant.find((one) => one.collection === ACME)!;
    const bytes = readFileSync(own.file);
    bytes[Math.floor(bytes.length / 2)]! ^= 1;
    writeFileSync(file, bytes);
    return { ...backup, qdrant: [{ ...own, file }] };
  }

  test('Q1: is refused before anything is touched', async () => {
    const before = await disturb();
    const files = await left();
    const { gateway, changes } = recordingGateway();
    const { error, safetyCopies } = await perform(qdrantRestore, {}, contextWith(withAlteredSnapshot(), { gateway }));
    expect(error?.message).toMatch(/not the one that was backed up: .*was not touched/);
    expect(changes.filter((change) => /upload|PUT/.test(change.text))).toEqual([]);
    expect(safetyCopies).toEqual([]);
    expect(differences(before, await now())).toEqual([]);
    expect(await left()).toEqual(files);
  });

  test('Q1: is read once where nothing can be lost: the server refuses it by the checksum, and makes no collection of it', async () => {
    const { client } = real.cluster.qdrant;
    await client.deleteCollection(ACME);
    const { gateway, changes } = recordingGateway();
    const set = withAlteredSnapshot();
    const { error } = await perform(qdrantRestore, {}, contextWith(set, { gateway }));
    expect(error?.message).toMatch(/not the one that was backed up: .*was not touched/);
    expect(changes.filter((change) => change.text.includes(`checksum=${set.qdrant[0]!.sha256}`))).toHaveLength(1);
    expect((await client.collectionExists(ACME)).exists).toBe(false);
  });

  test('is found in the preflight when its size differs, or when it is absent', async () => {
    const set = withAlteredSnapshot();
    const [own] = set.qdrant;
    const other = { ...set, qdrant: [{ ...own!, bytes: own!.bytes + 1 }] };
    expect(await findings(qdrantRestore, {}, contextWith(other))).toContainEqual(
      expect.stringMatching(/^blocking: .*the manifest says/),
    );
    const absent = { ...set, qdrant: [{ ...own!, file: '/nowhere/x.snapshot' }] };
    expect(await findings(qdrantRestore, {}, contextWith(absent))).toContainEqual(
      expect.stringMatching(/^blocking: .*is not there/),
    );
  });

  test('Q1: that no checksum vouches for and that the server refuses leaves the collection as it was, and no file behind', async () => {
    const before = await disturb();
    const files = await left();
    const file = join(tempFolder('junk'), `${ACME}.snapshot`);
    writeFileSync(file, Buffer.alloc(200_000, 'junk'));
    const set: BackupSet = { ...backup, qdrant: [{ collection: ACME, file, bytes: 200_000 }] };
    const { error } = await perform(qdrantRestore, {}, contextWith(set));
    expect(error?.message).toMatch(/was put back as it was before/);
    expect(differences(before, await now())).toEqual([]);
    expect(await left()).toEqual(files);
  });
});

describe('into which collection a snapshot goes', () => {
  /** A folder as a plain curl leaves it. */
  function loose(name: string): Promise<BackupSet> {
    const folder = tempFolder('loose');
    copyFileSync(backup.qdrant.find((one) => one.collection === ACME)!.file, join(folder, name));
    return openBackupSet(folder);
  }

  test('snap.tgz does not tell: that is a blocking finding, with what to type', async () => {
    const set = await loose('snap.tgz');
    const found = await qdrantRestore.check(params(), contextWith(set));
    const blocking = found.filter((finding) => finding.level === 'blocking');
    expect(blocking).toHaveLength(1);
    expect(blocking[0]!.message).toContain('snap.tgz');
    expect(blocking[0]!.next).toMatch(/<step>\.collection=NAME/);
  });

  test('it can be said, and then is restored', async () => {
    await disturb();
    const set = await loose('snap.tgz');
    const ctx = contextWith(set);
    const given = { collection: ACME };
    expect((await findings(qdrantRestore, given, ctx)).filter((line) => line.startsWith('blocking'))).toEqual([]);
    const { facts, error } = await perform(qdrantRestore, given, ctx);
    expect(error).toBeUndefined();
    expect(await unequal(qdrantRestore, given, ctx, facts)).toEqual([]);
    expect(differences(expected(), await now())).toEqual([]);
  });

  test('Q2: one whose name does not fit this cluster would make a new collection: that is blocking', async () => {
    const set = await loose('typo_acme_default.snapshot');
    expect(await findings(qdrantRestore, {}, contextWith(set))).toContainEqual(
      expect.stringMatching(/^blocking: typo_acme_default: no collection of this cluster/),
    );
  });

  describe('when its own collection is gone', () => {
    const TYPO = 'novamem_u_acme_defualt';
    const strange = (found: string[]) => found.filter((line) => /no memory in Postgres belongs there/.test(line));

    test('Q2: the server makes a new one of a name that was typed wrongly; the preflight asks Postgres, and names what was meant', async () => {
      const { client } = real.cluster.qdrant;
      await client.deleteCollection(ACME);
      const ctx = contextWith(await loose('snap.tgz'));
      const found = await qdrantRestore.check(params({ collection: TYPO }), ctx);
      const [blocking] = found.filter((finding) => finding.level === 'blocking');
      expect(blocking).toEqual({
        level: 'blocking',
        message: `${TYPO}: no memory in Postgres belongs there; the upload would make a new collection`,
        next: `was one of these meant? ${ACME}`,
      });
      expect(strange(await findings(qdrantRestore, { collection: ACME }, ctx))).toEqual([]);
      // What the server does of itself, were it passed over.
      expect((await perform(qdrantRestore, { collection: TYPO }, ctx)).error).toBeUndefined();
      const now = (await client.getCollections()).collections.map((one) => one.name);
      expect([now.includes(TYPO), now.includes(ACME)]).toEqual([true, false]);
      await client.deleteCollection(TYPO);
    });

    test('Q2: a file of such a name is warned of; one that the manifest knows is not', async () => {
      await real.cluster.qdrant.client.deleteCollection(ACME);
      const set = await loose(`${TYPO}.snapshot`);
      expect(strange(await findings(qdrantRestore, {}, contextWith(set)))).toEqual([
        expect.stringMatching(new RegExp(`^warning: ${TYPO}: `)),
      ]);
      expect(strange(await findings(qdrantRestore, {}, contextWith(backup)))).toEqual([]);
    });
  });
});

test('the plan counts live what would be destroyed', async () => {
  const plan = await qdrantRestore.plan(params(), contextWith(backup));
  const { qdrant } = real.cluster;
  expect(plan.destroys).toEqual([`10 collections at ${qdrant.address} with 600 points`]);
  expect(plan.commands).toHaveLength(10);
  for (const command of plan.commands) expect(command).not.toContain(qdrant.apiKey);
});
