import { cpSync, existsSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openGateway } from '../../src/hosts/gateway.js';
import { falkordbRestore } from '../../src/steps/falkordb-restore.js';
import type { BackupSet } from '../../src/stores/backup-set/backup-set.js';
import { compareFalkordb, type FalkordbInventory, inventoryFalkordb } from '../../src/stores/falkordb/inventory.js';
import { follow, open, perform, type RealCluster, realCluster, unequal } from '../support/sandbox.js';
import { tempFolder } from '../support/temp.js';

let real: RealCluster;
let backup: BackupSet;

beforeAll(async () => {
  real = await realCluster();
  backup = await real.backup();
});

const falkordb = () => real.cluster.falkordb;
const now = () => inventoryFalkordb(falkordb());
const params = () => falkordbRestore.params.parse({});
const answers = async () => (await real.cluster.answering('falkordb')).answers;
const differences = (before: FalkordbInventory, after: FalkordbInventory) =>
  compareFalkordb(before, after)
    .filter((check) => !check.ok)
    .map((check) => `${check.subject}, ${check.what}: expected ${check.expected}, found ${check.actual}`);

async function disturb(id: string): Promise<FalkordbInventory> {
  await falkordb().write(open, 'GRAPH.QUERY', falkordb().graph, `CREATE (:Memory {id:'${id}'}), (:Other {id:'x'})`);
  const inventory = await now();
  expect(differences(backup.inventory!.falkordb!, inventory)).not.toEqual([]);
  return inventory;
}

/** The backup with files of its own, which go away as soon as the server is being shut down. */
function vanishing() {
  const folder = tempFolder('vanishing');
  const path = join(folder, 'appendonlydir');
  cpSync(backup.falkordb!.path, path, { recursive: true });
  const files = backup.falkordb!.files.map((one) => ({
    ...one,
    file: one.file.replace(backup.falkordb!.path, path),
  }));
  const set: BackupSet = { ...backup, falkordb: { ...backup.falkordb!, path, files } };
  const gateway = openGateway(({ text }) => {
    if (/SHUTDOWN/.test(text)) renameSync(path, `${path}-gone`);
  });
  return { set, gateway, bringBack: () => renameSync(`${path}-gone`, path) };
}

beforeEach(async () => {
  const { error } = await perform(falkordbRestore, {}, real.context({ backup }));
  if (error) throw error;
});

describe('a restore whose files cannot be placed once the server is stopped', () => {
  test('is partial, and its undo starts the server again with the data of before', async () => {
    const before = await disturb('NEW');
    const { set, gateway } = vanishing();
    const ctx = real.context({ backup: set });
    const { facts, error, safetyCopies } = await perform(falkordbRestore, {}, { ...ctx, gateway });
    expect(error?.message).toMatch(/ENOENT/);
    expect(await answers()).toBe(false);
    for (const copy of safetyCopies) expect(existsSync(copy.at)).toBe(true);
    expect(await falkordbRestore.probe(params(), ctx, facts)).toBe('partial');
    expect((await follow(falkordbRestore.undo!(params(), ctx, facts))).error).toBeUndefined();
    expect(await answers()).toBe(true);
    expect(differences(before, await now())).toEqual([]);
  });

  test('goes through at a second attempt, and undo then brings back what was there before the first', async () => {
    const before = await disturb('NEW');
    const { set, gateway, bringBack } = vanishing();
    const ctx = real.context({ backup: set });
    const first = await perform(falkordbRestore, {}, { ...ctx, gateway });
    expect(first.error?.message).toMatch(/ENOENT/);
    bringBack();
    const second = await perform(falkordbRestore, {}, { ...ctx, earlier: { ...first.facts } });
    expect(second.error).toBeUndefined();
    expect(second.facts.aside).toEqual(first.facts.aside);
    expect(await unequal(falkordbRestore, {}, ctx, second.facts)).toEqual([]);
    const facts = { ...first.facts, ...second.facts };
    expect((await follow(falkordbRestore.undo!(params(), ctx, facts))).error).toBeUndefined();
    expect(differences(before, await now())).toEqual([]);
  });
});

test('two attempts that both went through keep the files of before the first, and undo brings those back', async () => {
  const before = await disturb('FIRST');
  const ctx = real.context({ backup });
  const first = await perform(falkordbRestore, {}, ctx);
  expect(first.error).toBeUndefined();
  await disturb('BETWEEN');
  const second = await perform(falkordbRestore, {}, { ...ctx, earlier: { ...first.facts } });
  expect(second.error).toBeUndefined();
  expect(second.facts.aside).toEqual(first.facts.aside);
  for (const { to } of first.facts.aside!) expect(existsSync(to)).toBe(true);
  expect(
    (await follow(falkordbRestore.undo!(params(), ctx, { ...first.facts, ...second.facts }))).error,
  ).toBeUndefined();
  expect(differences(before, await now())).toEqual([]);
});
