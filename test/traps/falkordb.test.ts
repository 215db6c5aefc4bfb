import {
  chmodSync,
  chownSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { delimiter, join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openGateway } from '../../src/hosts/gateway.js';
import { HERE } from '../../src/hosts/host.js';
import { inspectCommand } from '../../src/hosts/run-command.js';
import { falkordbBackup } from '../../src/steps/falkordb/backup.js';
import { falkordbRebuild } from '../../src/steps/falkordb/rebuild.js';
import { falkordbReset } from '../../src/steps/falkordb/reset.js';
import { falkordbRestore } from '../../src/steps/falkordb/restore.js';
import { falkordbSurvey } from '../../src/steps/falkordb/survey.js';
import type { StepKind } from '../../src/steps/step.js';
import type { BackupSet } from '../../src/stores/backup-set/backup-set.js';
import { openBackupSet } from '../../src/stores/backup-set/open-backup-set.js';
import { Cluster } from '../../src/stores/cluster.js';
import { aofManifestText, readAof } from '../../src/stores/falkordb/aof.js';
import { processOf } from '../../src/stores/falkordb/check-tool.js';
import { unbuilt } from '../../src/stores/falkordb/indexes.js';
import { filesFaults } from '../../src/stores/falkordb/persistence.js';
import { eventually } from '../support/eventually.js';
import { differencesOf, falkordbOf } from '../support/falkordb.js';
import {
  findings,
  open,
  perform,
  type RealCluster,
  realCluster,
  recordingGateway,
  unequal,
} from '../support/sandbox.js';
import { tempFolder } from '../support/temp.js';

// What the server itself does when its files are handled by hand, and what this program does about it.

let real: RealCluster;
let backup: BackupSet;
let server: ReturnType<typeof falkordbOf>;
let configuration: string;
/** What a SAVE of the whole graph wrote. */
let savedRdb: string;
/** The append-only directory of the server as it was seeded: every command is in the increment, the base is empty. */
let seeded: string;

const data = (...names: string[]) => join(real.places.falkordbData, ...names);
const expected = () => backup.inventory!.falkordb!;

beforeAll(async () => {
  real = await realCluster();
  server = falkordbOf(real);
  configuration = readFileSync(real.places.falkordbConfig, 'utf8');
  seeded = join(tempFolder('seeded'), 'appendonlydir');
  await eventually('the append-only file is whole on disk', async () => {
    cpSync(data('appendonlydir'), seeded, { recursive: true });
    const { commands, fault } = await readAof(join(seeded, 'appendonly.aof.1.incr.aof'));
    return fault === '' && commands > 5;
  });
  await server.falkordb.write(open, 'SAVE');
  savedRdb = join(tempFolder('saved'), 'dump.rdb');
  copyFileSync(data('dump.rdb'), savedRdb);
  backup = await real.backup();
});

/** Settings in the configuration file; the server is down, its folder empty. */
async function configure(settings: Record<string, string | undefined>): Promise<void> {
  await server.down();
  rmSync(data(), { recursive: true, force: true });
  mkdirSync(data(), { mode: 0o700 });
  const kept = configuration.split('\n').filter((line) => !Object.keys(settings).includes(line.split(' ')[0]!));
  const added = Object.entries(settings).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name} ${value}`],
  );
  writeFileSync(real.places.falkordbConfig, [...kept, ...added, ''].join('\n'));
}

/** Puts files into the empty folder of the server, starts it, and answers which graphs it has. */
async function startedOn(place: () => void): Promise<string[]> {
  place();
  await server.start();
  return server.falkordb.graphs();
}

/** A set of loose files. */
function loose(make: (folder: string) => void): Promise<BackupSet> {
  const folder = tempFolder('loose');
  make(folder);
  return openBackupSet(folder);
}

const found = async <P, F>(kind: StepKind<P, F>, more: Parameters<RealCluster['context']>[0] = {}, given = {}) =>
  (await findings(kind, given, real.context({ backup, ...more }))).filter((line) => !line.startsWith('info'));

async function restored(set: BackupSet): Promise<string[]> {
  const ctx = real.context({ backup: set });
  const { error, facts, output } = await perform(falkordbRestore, {}, ctx);
  expect(error).toBeUndefined();
  expect(await unequal(falkordbRestore, {}, ctx, facts)).toEqual([]);
  expect(differencesOf(expected(), await server.now())).toEqual([]);
  return output;
}

beforeEach(() => configure({}));

afterEach(async () => {
  await configure({});
  await server.start();
});

describe('F1', () => {
  test('F1: a dump.rdb beside "appendonly yes" is ignored by the server and written over by its next save; the survey warns of it', async () => {
    copyFileSync(savedRdb, data('dump.rdb'));
    expect(await found(falkordbSurvey)).toEqual([
      expect.stringMatching(
        /^warning: FalkorDB is down, but its .*dump\.rdb looks whole\. With "appendonly yes" the server would ignore it/,
      ),
    ]);
    expect(await startedOn(() => {})).toEqual([]);
    await server.falkordb.write(open, 'SAVE');
    expect(statSync(data('dump.rdb')).size).toBeLessThan(statSync(savedRdb).size / 10);
  });

  test('F1: it is restored as the base of an append-only directory, and never out of the folder that is emptied for it', async () => {
    copyFileSync(savedRdb, data('dump.rdb'));
    const inPlace = await openBackupSet(data());
    expect(await found(falkordbRestore, { backup: inPlace })).toContainEqual(
      expect.stringMatching(/^blocking: .* lies in the server's own folder/),
    );
    await restored(await loose((folder) => copyFileSync(savedRdb, join(folder, 'dump.rdb'))));
    expect(readFileSync(data('appendonlydir', 'appendonly.aof.manifest'), 'utf8')).toContain('base.rdb seq 1 type b');
  });
});

test('F2: a SIGTERM writes over a file that was just placed; the restore ends the server without a save', async () => {
  await configure({ appendonly: 'no', save: '3600 1' });
  await startedOn(() => {});
  await server.cypher(`CREATE (:Visitor {id: 'in memory'})`);
  copyFileSync(savedRdb, data('dump.rdb'));
  await server.stop();
  expect(readFileSync(data('dump.rdb')).equals(readFileSync(savedRdb))).toBe(false);

  await server.start();
  const set = await loose((folder) => copyFileSync(savedRdb, join(folder, 'dump.rdb')));
  const output = await restored(set);
  expect(output).toContain('SHUTDOWN NOSAVE sent');
});

test('F3: with "appendonly no" an append-only directory is ignored; it is not begun, and it is said', async () => {
  await configure({ appendonly: 'no' });
  expect(await startedOn(() => cpSync(seeded, data('appendonlydir'), { recursive: true }))).toEqual([]);
  expect(await found(falkordbRestore)).toEqual([
    'blocking: this server runs with "appendonly no": it would ignore appendonlydir and start empty',
  ]);
  const { error, facts } = await perform(falkordbRestore, {}, real.context({ backup }));
  expect(error?.message).toMatch(/would ignore appendonlydir/);
  expect(facts.dir).toBeUndefined();
});

test('F4: a legacy appendonly.aof beside a manifest is ignored by the server; it is restored as a base with a manifest of its own', async () => {
  const legacy = join(seeded, 'appendonly.aof.1.incr.aof');
  await startedOn(() => {});
  await server.cypher(`CREATE (:Visitor {id: 'stale'})`);
  await server.stop();
  copyFileSync(legacy, data('appendonly.aof'));
  await server.start();
  expect((await server.now()).graphs.novamem!.nodes).toEqual({ '[Visitor]': { count: 1, ids: expect.any(String) } });
  await restored(await loose((folder) => copyFileSync(legacy, join(folder, 'appendonly.aof'))));
  expect(existsSync(data('appendonly.aof'))).toBe(false);
});

test('F5: without its manifest an append-only directory is nothing to the server', async () => {
  const graphs = await startedOn(() => {
    cpSync(seeded, data('appendonlydir'), { recursive: true });
    rmSync(data('appendonlydir', 'appendonly.aof.manifest'));
  });
  expect(graphs).toEqual([]);
});

describe('F6', () => {
  test('F6: a server whose manifest names a missing file does not start; its files are moved aside and it is restored all the same', async () => {
    cpSync(seeded, data('appendonlydir'), { recursive: true });
    rmSync(data('appendonlydir', 'appendonly.aof.1.base.rdb'));
    await server.driver.start(open, { onLine: () => {} });
    await eventually('it has ended', async () => (await server.driver.state()) === 'stopped');
    expect(readFileSync(real.places.log('falkordb'), 'utf8')).toMatch(/base\.rdb.*(doesn't exist|No such file)/);
    await restored(backup);
  });

  test('F6: an increment of zero bytes after an empty base starts empty; such a backup is a blocking finding', async () => {
    const emptied = (folder: string) => {
      cpSync(seeded, folder, { recursive: true });
      truncateSync(join(folder, 'appendonly.aof.1.incr.aof'), 0);
    };
    const set = await loose((folder) => emptied(join(folder, 'appendonlydir')));
    expect(await startedOn(() => emptied(data('appendonlydir')))).toEqual([]);
    expect(await found(falkordbRestore, { backup: set })).toEqual([
      expect.stringMatching(/^blocking: .*appendonlydir holds no key at all: a server would start empty/),
    ]);
  });
});

test('F7: a cut append-only file loses its tail without a word when the server starts on it; one that is down is not started on it', async () => {
  const cut = () => {
    cpSync(seeded, data('appendonlydir'), { recursive: true });
    truncateSync(data('appendonlydir', 'appendonly.aof.1.incr.aof'), 20_000);
  };
  await startedOn(cut);
  expect(statSync(data('appendonlydir', 'appendonly.aof.1.incr.aof')).size).toBeLessThan(20_000);
  expect(differencesOf(expected(), await server.now())).not.toEqual([]);

  await configure({});
  cut();
  const ctx = real.context();
  const { facts, error } = await perform(falkordbReset, {}, ctx);
  expect(error).toBeUndefined();
  const aside = facts.aside!.find(({ from }) => from.endsWith('appendonlydir'))!;
  expect(statSync(join(aside.to, 'appendonly.aof.1.incr.aof')).size).toBe(20_000);
});

test('F8: files under other names than the server’s own are ignored; they are restored under the names that it says', async () => {
  await configure({ dbfilename: 'graph.rdb', appendfilename: 'graph.aof', appenddirname: 'graphdir' });
  expect(
    await startedOn(() => {
      cpSync(seeded, data('appendonlydir'), { recursive: true });
      copyFileSync(savedRdb, data('dump.rdb'));
    }),
  ).toEqual([]);
  await restored(backup);
  expect(readdirSync(data('graphdir'))).toContain('graph.aof.manifest');

  await configure({ dbfilename: 'graph.rdb', appendonly: 'no' });
  expect(await startedOn(() => copyFileSync(savedRdb, data('dump.rdb')))).toEqual([]);
  await restored(await loose((folder) => copyFileSync(savedRdb, join(folder, 'dump.rdb'))));
  expect(existsSync(data('graph.rdb'))).toBe(true);
});

describe('F9', () => {
  test('F9: without its module a server loads no graph: a blocking finding of every step that needs it', async () => {
    await configure({ loadmodule: undefined });
    await server.driver.start(open, { onLine: () => {} });
    await eventually('it answers', server.answers);
    for (const kind of [falkordbRestore, falkordbRebuild, falkordbReset] as StepKind<unknown, unknown>[]) {
      expect((await kind.plan(kind.params.parse({}), real.context({ backup }))).destroys).toEqual([]);
      expect(await found(kind), kind.kind).toContainEqual(
        'blocking: this server runs without the graph module: it could not load a graph',
      );
    }
  });

  test('F9: one that is down and turns out to have no module has its files back where they were, and is left down', async () => {
    await configure({ loadmodule: undefined });
    cpSync(seeded, data('appendonlydir'), { recursive: true });
    const { error } = await perform(falkordbRestore, {}, real.context({ backup }));
    expect(error?.message).toMatch(/without the graph module.*The files are back where they were/);
    expect(await server.driver.state()).toBe('stopped');
    expect((await filesFaults({ form: 'appendonlydir', path: data('appendonlydir') })).faults).toEqual([]);
  });

  test('F9: an RDB file of a newer format is refused by this server, which is found before it is stopped', async () => {
    const newer = (file: string) => {
      copyFileSync(savedRdb, file);
      const bytes = readFileSync(file);
      bytes.write('REDIS0099', 0, 'latin1');
      writeFileSync(file, bytes);
    };
    await server.start();
    expect(
      await found(falkordbRestore, { backup: await loose((folder) => newer(join(folder, 'dump.rdb'))) }),
    ).toEqual([
      expect.stringMatching(/^blocking: this server could not load .*: Can't handle RDB format version 99/),
    ]);
  });

  test('F9: what is damaged inside is found by the server’s own check tool, where nobody vouches for the file', async () => {
    await server.start();
    const set = await loose((folder) => {
      const bytes = readFileSync(savedRdb);
      bytes.fill(0x58, Math.floor(bytes.length / 2), Math.floor(bytes.length / 2) + 64);
      writeFileSync(join(folder, 'dump.rdb'), bytes);
    });
    expect(await found(falkordbRestore, { backup: set })).toEqual([
      expect.stringMatching(/^blocking: this server could not load .*dump\.rdb: \S/),
    ]);
  });

  test('F9: a foreign check tool that condemns everything, found first on the PATH, is not asked', async () => {
    const folder = tempFolder('foreign-tools');
    const asked = join(folder, 'asked');
    for (const name of ['redis-check-aof', 'redis-check-rdb', 'valkey-check-aof', 'valkey-check-rdb'])
      writeFileSync(join(folder, name), `#!/bin/sh\necho >> '${asked}'\necho 'Bad file format'\nexit 1\n`, {
        mode: 0o755,
      });
    await server.start();
    const path = process.env.PATH;
    process.env.PATH = `${folder}${delimiter}${path}`;
    try {
      expect(await found(falkordbRestore)).toEqual([]);
      await restored(backup);
    } finally {
      process.env.PATH = path;
    }
    expect(existsSync(asked)).toBe(false);
  });
});

test('F10: with "aof-use-rdb-preamble no" a rewrite crashes with a graph in memory; the backup warns and copies without one', async () => {
  await startedOn(() => cpSync(seeded, data('appendonlydir'), { recursive: true }));
  await server.falkordb.write(open, 'CONFIG', 'SET', 'aof-use-rdb-preamble', 'no');
  await server.falkordb.write(open, 'BGREWRITEAOF');
  await eventually('the rewrite has crashed', async () => {
    const { aof_last_bgrewrite_status, aof_rewrite_in_progress } = await server.falkordb.info('persistence');
    return aof_rewrite_in_progress === '0' && aof_last_bgrewrite_status === 'err';
  });
  const newBackup = { id: 'new', folder: join(tempFolder('backups'), 'new') };
  const { gateway, changes } = recordingGateway();
  const ctx = real.context({ newBackup, gateway });
  expect(await found(falkordbBackup, { newBackup })).toContainEqual(
    expect.stringMatching(/^warning: "aof-use-rdb-preamble no": the server crashes whenever it rewrites/),
  );
  for (const kind of [falkordbRestore, falkordbRebuild, falkordbReset] as StepKind<unknown, unknown>[])
    expect(await found(kind), kind.kind).toContainEqual(expect.stringMatching(/^warning: "aof-use-rdb-preamble no"/));
  const { error, facts } = await perform(falkordbBackup, {}, ctx);
  expect(error).toBeUndefined();
  expect(changes.map(({ text }) => text)).not.toContain('BGREWRITEAOF');
  expect(await unequal(falkordbBackup, {}, ctx, facts)).toEqual([]);
  await restored(await openBackupSet(join(newBackup.folder, 'falkordb')));
});

test('F11: GRAPH.QUERY on a missing graph answers 0 and makes it; no step looks that way', async () => {
  await server.start();
  expect(await server.cypher('MATCH (m) RETURN count(m)', 'made-by-looking')).toEqual([[0]]);
  expect(await server.falkordb.graphs()).toEqual(['made-by-looking']);
  await server.falkordb.deleteGraph(open, 'made-by-looking');
  for (const kind of [falkordbRestore, falkordbRebuild, falkordbReset, falkordbSurvey] as StepKind<
    unknown,
    unknown
  >[]) {
    const ctx = real.context({ backup });
    await kind.plan(kind.params.parse({}), ctx);
    await kind.check(kind.params.parse({}), ctx);
    await kind.verify(kind.params.parse({}), ctx, { dir: data() });
  }
  expect(await server.falkordb.graphs()).toEqual([]);
});

test('F12: a large graph is saved as several keys, so that keys are never compared', async () => {
  await startedOn(() => cpSync(seeded, data('appendonlydir'), { recursive: true }));
  await server.falkordb.write(open, 'GRAPH.CONFIG', 'SET', 'VKEY_MAX_ENTITY_COUNT', '50');
  await server.falkordb.write(open, 'SAVE');
  const { program } = (await processOf(server.falkordb, HERE))!;
  const looked = await inspectCommand({ file: program, args: [data('dump.rdb')], calledAs: 'redis-check-rdb' });
  const keys = Number(/(\d+) keys read/.exec(looked.stdout)?.[1]);
  expect(keys).toBeGreaterThan(30);
  const copy = join(tempFolder('several'), 'dump.rdb');
  copyFileSync(data('dump.rdb'), copy);
  await restored(await loose((folder) => copyFileSync(copy, join(folder, 'dump.rdb'))));
  expect(await server.falkordb.graphs()).toEqual(['novamem']);
});

describe('F13', () => {
  /** More than an empty server uses (3.0 MB), and less than the seeded graph needs by any reckoning (3.4 MB). */
  const LITTLE = '3200000';

  test('F13: "maxmemory" below the data with an LRU policy drops the whole graph at the next command', async () => {
    await startedOn(() => cpSync(seeded, data('appendonlydir'), { recursive: true }));
    expect(await server.falkordb.graphs()).toEqual(['novamem']);
    await server.falkordb.write(open, 'CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru', 'maxmemory', LITTLE);
    await server.answers();
    expect(await server.falkordb.graphs()).toEqual([]);
  });

  test('F13: nothing is restored into, or built in, a server that would drop it', async () => {
    await configure({ maxmemory: LITTLE, 'maxmemory-policy': 'allkeys-lru' });
    await server.start();
    for (const kind of [falkordbRestore, falkordbRebuild] as StepKind<unknown, unknown>[])
      expect(await found(kind), kind.kind).toContainEqual(
        expect.stringMatching(
          /^blocking: maxmemory is 3\.1 MiB with allkeys-lru: .* the whole graph is dropped, and it needs about \d/,
        ),
      );
    const { error, facts } = await perform(falkordbRestore, {}, real.context({ backup }));
    expect(error?.message).toMatch(/the whole graph is dropped/);
    expect(facts.dir).toBeUndefined();
  });

  test('F13: with room enough it is a warning; with noeviction it is nothing to speak of', async () => {
    await configure({ maxmemory: '1gb', 'maxmemory-policy': 'allkeys-lru' });
    await server.start();
    for (const kind of [falkordbRestore, falkordbRebuild] as StepKind<unknown, unknown>[])
      expect(await found(kind), kind.kind).toContainEqual(
        expect.stringMatching(/^warning: maxmemory is 1\.0 GiB with allkeys-lru/),
      );
    await server.falkordb.write(open, 'CONFIG', 'SET', 'maxmemory-policy', 'noeviction');
    expect(await found(falkordbRestore)).toEqual([]);
  });
});

describe('F14', () => {
  const GRAPH = 'constrained';
  const constraints = async () => (await server.now()).graphs[GRAPH]!.constraints;

  /** A constraint that takes the server a while to build. */
  async function underConstruction() {
    await server.cypher('CREATE INDEX FOR (v:Visitor) ON (v.id)', GRAPH);
    await server.cypher('UNWIND range(1, 100000) AS n CREATE (:Visitor {id: n})', GRAPH);
    const answer = await server.falkordb.write(
      open,
      ...(['GRAPH.CONSTRAINT', 'CREATE', GRAPH, 'UNIQUE', 'NODE', 'Visitor', 'PROPERTIES', '1', 'id'] as const),
    );
    expect(answer).toBe('PENDING');
  }

  test('F14: a constraint that is still under construction when it is saved is gone after a reload', async () => {
    await server.start();
    await underConstruction();
    await server.falkordb.write(open, 'BGREWRITEAOF');
    await eventually(
      'it is rewritten',
      async () => (await server.falkordb.info('persistence')).aof_rewrite_in_progress === '0',
    );
    await server.down();
    await server.start();
    expect(await constraints()).toEqual([]);
  });

  test('F14: a backup waits until it is built, and has it after a restore', async () => {
    await server.start();
    await underConstruction();
    expect(await unbuilt(server.falkordb)).not.toEqual([]);
    const newBackup = { id: 'new', folder: join(tempFolder('backups'), 'new') };
    const { error, output, facts } = await perform(falkordbBackup, {}, real.context({ newBackup }));
    expect(error).toBeUndefined();
    expect(output).toContainEqual(
      expect.stringMatching(/unique constraint on Visitor\.\[id\] is still being built: waiting/),
    );
    const said = facts.inventory!.graphs[GRAPH]!.constraints;
    expect(said).toEqual([expect.stringMatching(/^UNIQUE Visitor .*OPERATIONAL$/)]);
    const set = await openBackupSet(join(newBackup.folder, 'falkordb'));
    expect((await perform(falkordbRestore, {}, real.context({ backup: set }))).error).toBeUndefined();
    expect(await constraints()).toEqual(said);
  });
});

describe('F15', () => {
  /** The server under a user who is not the one that runs the tests, where that is possible. */
  const user = process.getuid!() === 0 ? { uid: 65_534, gid: 65_534 } : undefined;

  async function asItsOwnUser(): Promise<Cluster> {
    const { profile } = real.cluster;
    const falkordb = { ...profile.services.falkordb!, ...(user ? { user } : {}) };
    const paths = [data(), real.places.falkordbConfig];
    if (user) for (const path of paths) chownSync(path, user.uid, user.gid);
    return new Cluster({ ...profile, services: { ...profile.services, falkordb } } as typeof profile);
  }

  test('F15: in a folder that it cannot write a server loads its data, and refuses writes after its first save', async () => {
    await configure({ appendonly: 'no', save: '3600 1' });
    copyFileSync(savedRdb, data('dump.rdb'));
    chmodSync(data('dump.rdb'), 0o644);
    const cluster = await asItsOwnUser();
    chmodSync(data(), 0o555);
    await cluster.driver('falkordb')!.start(open, { onLine: () => {} });
    await eventually('it answers', server.answers);
    try {
      expect(await server.falkordb.graphs()).toEqual(['novamem']);
      const set = await loose((folder) => copyFileSync(savedRdb, join(folder, 'dump.rdb')));
      const ctx = real.context({ cluster, backup: set });
      for (const kind of [falkordbRestore, falkordbRebuild, falkordbReset] as StepKind<unknown, unknown>[])
        expect(
          (await findings(kind, {}, ctx)).filter((line) => line.startsWith('blocking')),
          kind.kind,
        ).toEqual([expect.stringMatching(/who cannot write in its folder .*mode 555.*refuse every write$/)]);
      await server.falkordb.write(open, 'BGSAVE');
      await eventually(
        'the save has failed',
        async () => (await server.falkordb.info('persistence')).rdb_last_bgsave_status === 'err',
      );
      await expect(server.cypher('CREATE (:Visitor)')).rejects.toThrow(/MISCONF/);
      expect(await unequal(falkordbRestore, {}, ctx, { dir: data() })).toContainEqual(
        'falkordb, writes to disk: expected ok, found append-only file ok, save err',
      );
    } finally {
      chmodSync(data(), 0o755);
    }
  });

  test('F15: a restore that ends in such a folder has failed, and says what to do', async () => {
    await configure({ appendonly: 'no', save: '3600 1' });
    const cluster = await asItsOwnUser();
    await cluster.driver('falkordb')!.start(open, { onLine: () => {} });
    await eventually('it answers', server.answers);
    const gateway = openGateway(({ text }) => {
      if (text === 'BGSAVE') chmodSync(data(), 0o555);
    });
    const set = await loose((folder) => copyFileSync(savedRdb, join(folder, 'dump.rdb')));
    try {
      const { error } = await perform(falkordbRestore, {}, real.context({ cluster, backup: set, gateway }));
      expect(error?.message).toMatch(
        /cannot save it, and refuses writes \(rdb_last_bgsave_status:err\).*mode 555.*then retry$/,
      );
    } finally {
      chmodSync(data(), 0o755);
    }
  });
});

describe('F16', () => {
  beforeEach(() => startedOn(() => cpSync(seeded, data('appendonlydir'), { recursive: true })).then(() => {}));

  const rewritten = async () => {
    await server.falkordb.write(open, 'BGREWRITEAOF');
    await eventually(
      'it is rewritten',
      async () => (await server.falkordb.info('persistence')).aof_rewrite_in_progress === '0',
    );
  };

  test('F16: a directory that is copied by hand while it is rewritten is torn; such a backup is a blocking finding', async () => {
    const manifest = readFileSync(data('appendonlydir', 'appendonly.aof.manifest'));
    await rewritten();
    const set = await loose((folder) => {
      cpSync(data('appendonlydir'), join(folder, 'appendonlydir'), { recursive: true });
      writeFileSync(join(folder, 'appendonlydir', 'appendonly.aof.manifest'), manifest);
    });
    expect(await found(falkordbRestore, { backup: set })).toContainEqual(
      expect.stringMatching(/^blocking: .*the manifest names appendonly\.aof\.1\.base\.rdb, which is absent/),
    );
  });

  test('F16: a backup during which somebody else has it rewritten is copied again, and whole', async () => {
    let others = 0;
    const gateway = {
      async change<T>({ text }: { text: string }, act: () => Promise<T>): Promise<T> {
        const answer = await act();
        if (/^cp /.test(text) && ++others === 1) await rewritten();
        return answer;
      },
    };
    const newBackup = { id: 'new', folder: join(tempFolder('backups'), 'new') };
    const ctx = real.context({ newBackup, gateway });
    const { error, output, facts } = await perform(falkordbBackup, {}, ctx);
    expect(error).toBeUndefined();
    expect(output).toContain('the append-only file was rewritten while it was copied: copying it again');
    expect(await unequal(falkordbBackup, {}, ctx, facts)).toEqual([]);
    await restored(await openBackupSet(join(newBackup.folder, 'falkordb')));
  });

  test('F16: the server rewrites by itself again afterwards, also after a backup that failed', async () => {
    const gateway = openGateway(({ text }) => {
      if (/^cp /.test(text)) throw new Error('no space left on device');
    });
    await server.falkordb.write(open, 'CONFIG', 'SET', 'auto-aof-rewrite-percentage', '77');
    const newBackup = { id: 'new', folder: join(tempFolder('backups'), 'new') };
    const { error } = await perform(falkordbBackup, {}, real.context({ newBackup, gateway }));
    expect(error?.message).toMatch(/no space left/);
    expect(await server.falkordb.config('auto-aof-rewrite-percentage')).toEqual({
      'auto-aof-rewrite-percentage': '77',
    });
  });
});

test('a manifest written for a server can be read back by it', async () => {
  const base = 'appendonly.aof.1.base.rdb';
  const graphs = await startedOn(() => {
    mkdirSync(data('appendonlydir'));
    copyFileSync(savedRdb, data('appendonlydir', base));
    writeFileSync(
      data('appendonlydir', 'appendonly.aof.manifest'),
      aofManifestText([{ file: base, seq: 1, type: 'b' }]),
    );
  });
  expect(graphs).toEqual(['novamem']);
});
