import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { clusterInventory } from '../../../src/steps/cluster/inventory.js';
import { falkordbRestore } from '../../../src/steps/falkordb/restore.js';
import type { AnyStepKind } from '../../../src/steps/step.js';
import type { BackupSet } from '../../../src/stores/backup-set/backup-set.js';
import { openBackupSet } from '../../../src/stores/backup-set/open-backup-set.js';
import { readAof } from '../../../src/stores/falkordb/aof.js';
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
import { tempFolder } from '../../support/temp.js';
import { attempt, retry, step, tinyRun, undo } from '../../support/tiny-run.js';

let real: RealCluster;
let backup: BackupSet;
/** The files of the server as it was seeded: every command is in the increment, the base is empty. */
let seeded: string;
/** What a SAVE of the same data wrote. */
let savedRdb: string;

const data = (...names: string[]) => join(real.places.falkordbData, ...names);
const falkordb = () => real.cluster.falkordb;
const now = () => inventoryFalkordb(falkordb());
const expected = () => backup.inventory!.falkordb!;
const params = (given = {}) => falkordbRestore.params.parse(given);
const differences = (before: FalkordbInventory, after: FalkordbInventory) =>
  compareFalkordb(before, after)
    .filter((check) => !check.ok)
    .map((check) => `${check.subject}, ${check.what}: expected ${check.expected}, found ${check.actual}`);

beforeAll(async () => {
  real = await realCluster();
  seeded = join(tempFolder('seeded'), 'appendonlydir');
  await eventually('the append-only file is whole on disk', async () => {
    cpSync(data('appendonlydir'), seeded, { recursive: true });
    const { commands, fault } = await readAof(join(seeded, 'appendonly.aof.1.incr.aof'));
    return fault === '' && commands > 5;
  });
  await falkordb().write(open, 'SAVE');
  savedRdb = join(tempFolder('saved'), 'dump.rdb');
  copyFileSync(data('dump.rdb'), savedRdb);
  backup = await real.backup();
});

/** A folder of loose files, opened as a backup set. */
function loose(make: (folder: string) => void): Promise<BackupSet> {
  const folder = tempFolder('loose');
  make(folder);
  return openBackupSet(folder);
}
const looseDirectory = (change: (directory: string) => void) =>
  loose((folder) => {
    const directory = join(folder, 'appendonlydir');
    cpSync(seeded, directory, { recursive: true });
    change(directory);
  });

const contextWith = (set: BackupSet, more = {}) => real.context({ backup: set, ...more });

/** Nodes too many, too few and altered. */
async function disturb(): Promise<FalkordbInventory> {
  const { graph } = falkordb();
  await falkordb().write(open, 'GRAPH.QUERY', graph, `CREATE (:Memory {id:'NEW'}), (:Other {id:'x'})`);
  await falkordb().write(open, 'GRAPH.QUERY', graph, `MATCH (m:Memory {user:'initech'}) DELETE m`);
  const inventory = await now();
  expect(differences(expected(), inventory)).not.toEqual([]);
  return inventory;
}

async function restored(set: BackupSet, given = {}) {
  const ctx = contextWith(set);
  const performed = await perform(falkordbRestore, given, ctx);
  expect(performed.error).toBeUndefined();
  expect(await unequal(falkordbRestore, given, ctx, performed.facts)).toEqual([]);
  expect(differences(expected(), await now())).toEqual([]);
  return { ctx, ...performed };
}

const blockingOf = async (set: BackupSet, given = {}) =>
  (await findings(falkordbRestore, given, contextWith(set))).filter((line) => line.startsWith('blocking'));

beforeEach(async () => {
  const { error } = await perform(falkordbRestore, {}, contextWith(backup));
  if (error) throw error;
});

describe('a server with "appendonly yes" gets back', () => {
  test('the directory of a backup set; what was there is moved aside, not deleted, and undo puts it back', async () => {
    const before = await disturb();
    const { ctx, facts, safetyCopies } = await restored(backup);
    expect(safetyCopies.map((copy) => copy.of)).toContain('appendonlydir');
    for (const copy of safetyCopies) expect(existsSync(copy.at)).toBe(true);
    const undone = await follow(falkordbRestore.undo!(params(), ctx, facts));
    expect(undone.error).toBeUndefined();
    expect(differences(before, await now())).toEqual([]);
  });

  test('F1: a dump.rdb, which it would otherwise ignore and write over', async () => {
    await disturb();
    const set = await loose((folder) => copyFileSync(savedRdb, join(folder, 'dump.rdb')));
    const { facts } = await restored(set);
    expect(facts.form).toBe('dump.rdb');
    expect(readFileSync(data('appendonlydir', 'appendonly.aof.manifest'), 'utf8')).toContain('base.rdb seq 1 type b');
  });

  test('F4: a single appendonly.aof of commands, which it would ignore beside a manifest', async () => {
    await disturb();
    const set = await loose((folder) =>
      copyFileSync(join(seeded, 'appendonly.aof.1.incr.aof'), join(folder, 'appendonly.aof')),
    );
    expect((await restored(set)).facts.form).toBe('appendonly.aof');
  });

  test('a single appendonly.aof that begins with an RDB part', async () => {
    await disturb();
    const set = await loose((folder) => copyFileSync(savedRdb, join(folder, 'appendonly.aof')));
    expect((await restored(set)).facts.form).toBe('appendonly.aof');
  });

  test('a loose directory with its manifest', async () => {
    await disturb();
    expect((await restored(await looseDirectory(() => {}))).facts.form).toBe('appendonlydir');
  });

  test('its data once more after a restart: what was placed is what it goes on with', async () => {
    await disturb();
    await restored(await loose((folder) => copyFileSync(savedRdb, join(folder, 'dump.rdb'))));
    await falkordb().write(open, 'GRAPH.QUERY', falkordb().graph, `CREATE (:Memory {id:'AFTER'})`);
    const driver = real.cluster.driver('falkordb')!;
    const before = await now();
    await driver.stop(open, { onLine: () => {} });
    await driver.start(open, { onLine: () => {} });
    await eventually('it answers again', async () => (await real.cluster.answering('falkordb')).answers);
    expect(differences(before, await now())).toEqual([]);
  });

  test('its data also when its folder is gone', async () => {
    await real.cluster.driver('falkordb')!.stop(open, { onLine: () => {} });
    const gone = `${real.places.falkordbData}-gone`;
    renameSync(real.places.falkordbData, gone);
    await restored(backup);
    rmSync(gone, { recursive: true });
  });
});

describe('files that would not bring everything back are a blocking finding:', () => {
  test('F7: an append-only file that is cut off, unless the loss is accepted', async () => {
    const set = await looseDirectory((directory) =>
      truncateSync(join(directory, 'appendonly.aof.1.incr.aof'), 20_000),
    );
    expect(await blockingOf(set)).toEqual([expect.stringMatching(/bytes would be dropped/)]);
    expect(await blockingOf(set, { acceptDamaged: true })).toEqual([]);
  });

  test('F7: a single appendonly.aof that is cut off', async () => {
    const set = await loose((folder) => {
      copyFileSync(join(seeded, 'appendonly.aof.1.incr.aof'), join(folder, 'appendonly.aof'));
      truncateSync(join(folder, 'appendonly.aof'), 20_000);
    });
    expect(await blockingOf(set)).toEqual([expect.stringMatching(/bytes would be dropped/)]);
  });

  test('a dump.rdb that is cut off', async () => {
    const set = await loose((folder) => {
      copyFileSync(savedRdb, join(folder, 'dump.rdb'));
      truncateSync(join(folder, 'dump.rdb'), 5_000);
    });
    expect(await blockingOf(set)).toEqual([expect.stringMatching(/cut off/)]);
  });

  test('F5: a directory without its manifest', async () => {
    const set = await looseDirectory((directory) => rmSync(join(directory, 'appendonly.aof.manifest')));
    expect(await blockingOf(set)).toEqual([expect.stringMatching(/manifest/)]);
  });

  test('F6: a manifest that names a file that is absent', async () => {
    const set = await looseDirectory((directory) => rmSync(join(directory, 'appendonly.aof.1.base.rdb')));
    expect(await blockingOf(set)).toEqual([
      expect.stringMatching(/names appendonly\.aof\.1\.base\.rdb, which is absent/),
    ]);
  });

  test('a backup set without any', async () => {
    const { falkordb: _, ...without } = backup;
    expect(await blockingOf(without)).toEqual([expect.stringMatching(/holds no FalkorDB data/)]);
  });
});

test('files that are not those of the manifest are refused before the server is stopped', async () => {
  const folder = tempFolder('altered');
  const files = backup.falkordb!.files.map((file, index) => {
    const copy = join(folder, `file-${index}`);
    copyFileSync(file.file, copy);
    return { ...file, file: copy };
  });
  const bytes = readFileSync(files[0]!.file);
  bytes[Math.floor(bytes.length / 2)]! ^= 1;
  writeFileSync(files[0]!.file, bytes);
  const before = await disturb();
  const { gateway, changes } = recordingGateway();
  const set = { ...backup, falkordb: { ...backup.falkordb!, files } };
  const { error } = await perform(falkordbRestore, {}, contextWith(set, { gateway }));
  expect(error?.message).toMatch(/not the one that was backed up: .*Nothing was changed/);
  expect(changes).toEqual([]);
  expect(differences(before, await now())).toEqual([]);
});

test('what was there first is what undo brings back, also after a second attempt', async () => {
  const before = await disturb();
  const graphs = { ...expected().graphs, elsewhere: expected().graphs.novamem! };
  const neverEqual = { ...backup, inventory: { ...backup.inventory!, falkordb: { ...expected(), graphs } } };
  const { run, begin } = tinyRun([{ ...step('restore', falkordbRestore as AnyStepKind), params: params() }], {
    cluster: real.cluster,
    backup: neverEqual,
  });
  await begin();
  await attempt(run, 'restore');
  await retry(run, 'restore');
  const copies = run.getSnapshot().steps[0]!.safetyCopies;
  expect(copies.filter((copy) => !existsSync(copy.at))).toEqual([]);
  expect(new Set(copies.map((copy) => copy.at)).size).toBe(copies.length);
  await undo(run, 'restore');
  run.intend({ type: 'abort' });
  await run.finished;
  expect(differences(before, await now())).toEqual([]);
});

describe('looking at an absent graph does not make it', () => {
  test('F11: neither plan, check, verify nor the comparison of the cluster', async () => {
    const { graph } = falkordb();
    await falkordb().write(open, 'GRAPH.DELETE', graph);
    const ctx = contextWith(backup);
    await falkordbRestore.plan(params(), ctx);
    await falkordbRestore.check(params(), ctx);
    const seen = await unequal(falkordbRestore, {}, ctx, { dir: real.places.falkordbData });
    expect(seen).toContainEqual(expect.stringMatching(/graph novamem: expected present, found absent$/));
    await perform(clusterInventory, {}, ctx);
    await expect(falkordb().query(graph, 'MATCH (m) RETURN m')).rejects.toThrow();
    expect(await falkordb().graphs()).toEqual([]);
  });

  test('F11: since a reading connection refuses the command that would', async () => {
    await expect(falkordb().read('GRAPH.QUERY', 'new-graph', 'MATCH (m) RETURN m')).rejects.toThrow(/only reads/);
    await expect(falkordb().read('CONFIG', 'SET', 'save', '')).rejects.toThrow(/only reads/);
    expect(await falkordb().graphs()).not.toContain('new-graph');
  });
});

test('the plan counts live what would be destroyed, and shows no password', async () => {
  const plan = await falkordbRestore.plan(params(), contextWith(backup));
  expect(plan.destroys).toEqual([expect.stringMatching(/^1 graph at redis:.*: 600 nodes, [\d,]+ relationships$/)]);
  expect(plan.commands[0]).toMatch(/SHUTDOWN NOSAVE$/);
  const password = readFileSync(real.places.secret('falkordb'), 'utf8').trim();
  expect(plan.commands.join('\n')).not.toContain(password);
});

test('a folder with neither dump, snapshot nor FalkorDB files is no backup set', async () => {
  await expect(loose((folder) => mkdirSync(join(folder, 'empty')))).rejects.toThrow(/is no backup set/);
});
