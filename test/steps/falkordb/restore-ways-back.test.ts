import { cpSync, existsSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openGateway } from '../../../src/hosts/gateway.js';
import { waitFor } from '../../../src/hosts/waiting.js';
import { falkordbRestore } from '../../../src/steps/falkordb/restore.js';
import type { StepContext } from '../../../src/steps/step.js';
import type { BackupSet } from '../../../src/stores/backup-set/backup-set.js';
import { openBackupSet } from '../../../src/stores/backup-set/open-backup-set.js';
import {
  compareFalkordb,
  type FalkordbInventory,
  inventoryFalkordb,
} from '../../../src/stores/falkordb/inventory.js';
import { eventually } from '../../support/eventually.js';
import { falkordbOf } from '../../support/falkordb.js';
import {
  follow,
  open,
  perform,
  type RealCluster,
  realCluster,
  recordingGateway,
  unequal,
} from '../../support/sandbox.js';
import { tempFolder } from '../../support/temp.js';

let real: RealCluster;
let backup: BackupSet;

beforeAll(async () => {
  real = await realCluster();
  backup = await real.backup();
});

type Facts = Parameters<typeof falkordbRestore.verify>[2];

const data = (...names: string[]) => join(real.places.falkordbData, ...names);
const falkordb = () => real.cluster.falkordb;
const now = () => inventoryFalkordb(falkordb());
const params = (given = {}) => falkordbRestore.params.parse(given);
const undo = (ctx: StepContext, facts: Partial<Facts>, given = {}) =>
  follow(falkordbRestore.undo!(params(given), ctx, facts));
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
    expect((await undo(ctx, facts)).error).toBeUndefined();
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
    expect((await undo(ctx, facts)).error).toBeUndefined();
    expect(differences(before, await now())).toEqual([]);
  });
});

describe('a server that is down and does not start on its files', () => {
  test('is restored; an undo brings its damaged files back and leaves it down', async () => {
    const server = falkordbOf(real);
    await server.down();
    const directory = join(real.places.falkordbData, 'appendonlydir');
    const base = readdirSync(directory).find((name) => name.includes('.base.'))!;
    rmSync(join(directory, base));
    const left = readdirSync(directory).sort();
    const ctx = real.context({ backup });
    const { error, facts } = await perform(falkordbRestore, {}, ctx);
    expect(error).toBeUndefined();
    expect(await unequal(falkordbRestore, {}, ctx, facts)).toEqual([]);
    expect((await follow(falkordbRestore.undo!(params(), ctx, facts))).error).toBeUndefined();
    expect(await server.driver.state()).toBe('stopped');
    expect(readdirSync(directory).sort()).toEqual(left);
  });
});

describe('a server that keeps no append-only file and has not saved for a while', () => {
  test('has what is in its memory copied before it is stopped, and an undo brings that back', async () => {
    await falkordb().write(open, 'CONFIG', 'SET', 'save', '');
    const configuration = real.places.falkordbConfig;
    const text = readFileSync(configuration, 'utf8');
    const server = falkordbOf(real);
    await server.down();
    writeFileSync(configuration, `${text.replace('appendonly yes', 'appendonly no')}save ""\n`);
    const dump = join(tempFolder('rdb'), 'dump.rdb');
    try {
      await server.start();
      await server.cypher(`UNWIND range(1, 50) AS n CREATE (:Memory {id: 'saved' + n})`);
      await falkordb().write(open, 'SAVE');
      cpSync(join(real.places.falkordbData, 'dump.rdb'), dump);
      await server.cypher(`UNWIND range(1, 50) AS n CREATE (:Memory {id: 'unsaved' + n})`);
      const before = await now();
      const set = await openBackupSet(dirname(dump));
      const ctx = real.context({ backup: set });
      const { error, facts, safetyCopies } = await perform(falkordbRestore, {}, ctx);
      expect(error).toBeUndefined();
      expect(safetyCopies[0]).toEqual({ of: 'what FalkorDB held in memory', at: facts.memory });
      expect((await follow(falkordbRestore.undo!(params(), ctx, facts))).error).toBeUndefined();
      expect(differences(before, await now())).toEqual([]);
    } finally {
      await server.down();
      writeFileSync(configuration, text);
      await server.start();
    }
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
  expect((await undo(ctx, { ...first.facts, ...second.facts })).error).toBeUndefined();
  expect(differences(before, await now())).toEqual([]);
});

/** What keeps an attempt from moving even the first file, until it is cleared away. */
interface Obstacle {
  attempt(): ReturnType<typeof perform<unknown, Facts>>;
  clear(): void | Promise<void>;
}

/** Like a supervisor that wants the server to run. */
function startedAgainAndAgain(ctx: StepContext): Obstacle {
  const driver = real.cluster.driver('falkordb')!;
  let cleared = false;
  const supervising = waitFor(
    async () => {
      if ((await driver.state()) === 'stopped') await driver.start(open, { onLine() {} });
      return cleared || undefined;
    },
    { timeoutMs: 60_000, slowest: 50 },
  );
  return {
    async attempt() {
      const performed = await perform(falkordbRestore, { patienceSeconds: 3 }, ctx);
      await eventually('it answers again', answers);
      return performed;
    },
    async clear() {
      cleared = true;
      await supervising;
    },
  };
}

function nameTaken(ctx: StepContext): Obstacle {
  const file = data(`before-${ctx.runId}`);
  writeFileSync(file, '');
  return { attempt: () => perform(falkordbRestore, {}, ctx), clear: () => rmSync(file) };
}

function abortedMeanwhile(ctx: StepContext): Obstacle {
  const abort = new AbortController();
  const onOutput = (line: string) => line.startsWith('SHUTDOWN') && abort.abort(new Error('aborted by the operator'));
  return { attempt: () => perform(falkordbRestore, {}, ctx, { signal: abort.signal, onOutput }), clear: () => {} };
}

describe.each([
  ['something starts the server again and again', startedAgainAndAgain, /still runs/],
  ['the name of the folder for the old files is taken', nameTaken, /EEXIST/],
  ['it was aborted while the server was being stopped', abortedMeanwhile, /aborted/],
])('an attempt that moved nothing aside, since %s,', (_, obstacleIn, refusal) => {
  const filesNow = () => ['appendonlydir', 'dump.rdb'].map((name) => statSync(data(name)).ino);

  beforeEach(async () => {
    await falkordb().write(open, 'SAVE');
  });

  test('is undone with every file where it was, also while that still stands in the way', async () => {
    const before = await disturb('NEW');
    const files = filesNow();
    const ctx = real.context({ backup });
    const { attempt, clear } = obstacleIn(ctx);
    try {
      const { facts, error } = await attempt();
      expect(error?.message).toMatch(refusal);
      const { gateway, changes } = recordingGateway();
      expect((await undo({ ...ctx, gateway }, facts, { patienceSeconds: 3 })).error).toBeUndefined();
      expect(changes.filter((change) => change.channel === 'file')).toEqual([]);
      expect(filesNow()).toEqual(files);
      expect(differences(before, await now())).toEqual([]);
    } finally {
      await clear();
    }
  });

  test('goes through when it is tried again, and undo then brings back what was there', async () => {
    const before = await disturb('NEW');
    const ctx = real.context({ backup });
    const { attempt, clear } = obstacleIn(ctx);
    const first = await attempt().finally(clear);
    expect(first.error?.message).toMatch(refusal);
    const second = await perform(falkordbRestore, {}, { ...ctx, earlier: { ...first.facts } });
    expect(second.error).toBeUndefined();
    expect(await unequal(falkordbRestore, {}, ctx, second.facts)).toEqual([]);
    expect((await undo(ctx, { ...first.facts, ...second.facts })).error).toBeUndefined();
    expect(differences(before, await now())).toEqual([]);
  });
});

describe('an attempt that had moved only some of the files aside', () => {
  /** Lets the append-only directory be moved, and then takes away the dump.rdb that was to be moved next. */
  function losingItsSecondFile() {
    const gateway = openGateway(({ text }) => {
      if (/^mv .*dump\.rdb/.test(text)) renameSync(data('dump.rdb'), data('dump.rdb-gone'));
    });
    return { gateway, bringBack: () => renameSync(data('dump.rdb-gone'), data('dump.rdb')) };
  }

  beforeEach(async () => {
    await falkordb().write(open, 'SAVE');
  });

  test('goes through when it is tried again, and undo then brings back all of them', async () => {
    const before = await disturb('NEW');
    const rdb = statSync(data('dump.rdb')).ino;
    const ctx = real.context({ backup });
    const { gateway, bringBack } = losingItsSecondFile();
    const first = await perform(falkordbRestore, {}, { ...ctx, gateway });
    expect(first.error?.message).toMatch(/ENOENT/);
    bringBack();
    const second = await perform(falkordbRestore, {}, { ...ctx, earlier: { ...first.facts } });
    expect(second.error).toBeUndefined();
    expect(await unequal(falkordbRestore, {}, ctx, second.facts)).toEqual([]);
    expect((await undo(ctx, { ...first.facts, ...second.facts })).error).toBeUndefined();
    expect(statSync(data('dump.rdb')).ino).toBe(rdb);
    expect(differences(before, await now())).toEqual([]);
  });

  test('is undone also after another that only started the server, which then made files of its own', async () => {
    const before = await disturb('NEW');
    const ctx = real.context({ backup });
    const { gateway, bringBack } = losingItsSecondFile();
    const first = await perform(falkordbRestore, {}, { ...ctx, gateway });
    expect(first.error?.message).toMatch(/ENOENT/);
    bringBack();
    const second = await abortedMeanwhile({ ...ctx, earlier: { ...first.facts } }).attempt();
    expect(second.error?.message).toMatch(/aborted/);
    expect(existsSync(data('appendonlydir'))).toBe(true);
    expect((await undo(ctx, { ...first.facts, ...second.facts })).error).toBeUndefined();
    expect(differences(before, await now())).toEqual([]);
  });
});

test('an undo after which the server could not be started leaves the files of before to the next undo', async () => {
  const before = await disturb('NEW');
  const ctx = real.context({ backup });
  const { facts, error } = await perform(falkordbRestore, {}, ctx);
  expect(error).toBeUndefined();
  renameSync(real.places.falkordbConfig, `${real.places.falkordbConfig}-gone`);
  const first = await undo(ctx, facts).finally(() =>
    renameSync(`${real.places.falkordbConfig}-gone`, real.places.falkordbConfig),
  );
  expect(first.error?.message).toMatch(/ended at once/);
  expect((await undo(ctx, { ...facts, ...first.facts })).error).toBeUndefined();
  expect(differences(before, await now())).toEqual([]);
});
