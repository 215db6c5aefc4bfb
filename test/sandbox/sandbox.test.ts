import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { spawn as spawnInTerminal } from '@lydell/node-pty';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { findCluster } from '../../src/commands/find-cluster.js';
import { homeSubfolder } from '../../src/config/home.js';
import { SERVICES } from '../../src/config/profile.js';
import { markOf, type ProcessMark } from '../../src/hosts/process-mark.js';
import { loseEverything } from '../../src/sandbox/lose-everything.js';
import { readRecord, removeRecord, type SandboxRecord, writeRecord } from '../../src/sandbox/registry.js';
import { cleanStale, sandboxDown, sandboxProfile, sandboxStatus, sandboxUp } from '../../src/sandbox/sandbox.js';
import { placesIn } from '../../src/sandbox/sandbox-profile.js';
import { Cluster } from '../../src/stores/cluster.js';
import { listCollections } from '../../src/stores/qdrant/inventory.js';
import { eventually, familyOf, isRunning, killAll, processes } from '../support/eventually.js';
import { tempFolder } from '../support/temp.js';

const names: string[] = [];
const owners: ChildProcess[] = [];

beforeEach(() => {
  process.env.NOVAMEM_RUNBOOK_HOME = tempFolder('home');
});

afterEach(async () => {
  for (const owner of owners.splice(0)) owner.kill('SIGKILL');
  for (const name of names.splice(0)) await sandboxDown(name);
});

function newName(): string {
  const name = `box-${randomBytes(4).toString('hex')}`;
  names.push(name);
  return name;
}

const up = (memories = 200, lives: 'on' | 'process' = 'on') => sandboxUp({ name: newName(), memories, lives });

/** The servers of a sandbox and everything that descends from them. */
function serversOf({ folder }: SandboxRecord): number[] {
  const pids = SERVICES.map(
    (service) => (JSON.parse(readFileSync(placesIn(folder).pidFile(service), 'utf8')) as ProcessMark).pid,
  );
  expect(pids.every(isRunning)).toBe(true);
  return familyOf(pids);
}

const runningIn = async ({ name }: SandboxRecord) =>
  (await sandboxStatus()).find((one) => one.name === name)?.running;

describe('a sandbox', () => {
  test('is a real cluster whose stores agree, and leaves no process and no folder when it is taken down', async () => {
    const record = await up(200);
    const cluster = new Cluster(sandboxProfile(record.name));
    expect(await runningIn(record)).toEqual(['novamem', 'postgres', 'qdrant', 'falkordb']);
    expect(() => findCluster(undefined)).toThrow(`There is a sandbox: ${record.name}.`);
    expect(findCluster(record.name).name).toBe(record.name);
    const [row] = await cluster.postgres.read<{ count: number }>('SELECT count(*)::int AS count FROM memory_entries');
    const nodes = await cluster.falkordb.query('novamem', 'MATCH (m:Memory) RETURN count(m)');
    const collections = await listCollections(cluster.qdrant);
    const points = await Promise.all(
      collections.map(async (one) => (await cluster.qdrant.client.count(one, { exact: true })).count),
    );
    expect([row?.count, Number(nodes[0]?.[0]), points.reduce((a, b) => a + b, 0)]).toEqual([200, 200, 200]);
    expect((await cluster.novamem!.get('/v1/admin/health/deep')).body).toMatchObject({ ok: true });
    const servers = serversOf(record);
    expect(servers.length).toBeGreaterThan(SERVICES.length);
    expect(await sandboxDown(record.name)).toBe(true);
    await eventually('its processes are gone', () => !servers.some(isRunning));
    expect(existsSync(record.folder)).toBe(false);
    expect(readRecord(record.name)).toBeUndefined();
    expect(await sandboxDown(record.name)).toBe(false);
  });

  test('shows its secrets to nobody else, neither in files nor in arguments', async () => {
    const record = await up(0);
    const places = placesIn(record.folder);
    const secrets = ['postgres', 'qdrant', 'falkordb', 'novamem'].map((name) =>
      readFileSync(places.secret(name), 'utf8').trim(),
    );
    expect(statSync(join(record.folder, 'secrets')).mode & 0o077).toBe(0);
    expect(statSync(places.falkordbConfig).mode & 0o077).toBe(0);
    const servers = serversOf(record);
    const shown = processes()
      .filter((one) => servers.includes(one.pid))
      .map((one) => one.command)
      .join('\n');
    const profile = readFileSync(places.profile, 'utf8');
    for (const value of secrets) {
      expect(shown).not.toContain(value);
      expect(profile).not.toContain(value);
    }
  });

  test('whose port somebody takes before its server does is begun again on others', async () => {
    const name = newName();
    const lines: string[] = [];
    const making = sandboxUp({ name, memories: 0, onLine: (line) => lines.push(line) });
    const first = await eventually('its ports are chosen', () => readRecord(name));
    const thief = createServer().listen(first.ports.falkordb, '127.0.0.1');
    try {
      const record = await making;
      expect(lines).toContain('another program took one of its ports meanwhile: it is begun again, on others');
      expect(record.ports.falkordb).not.toBe(first.ports.falkordb);
      expect(await runningIn(record)).toEqual(['novamem', 'postgres', 'qdrant', 'falkordb']);
      expect(existsSync(first.folder)).toBe(false);
    } finally {
      thief.close();
    }
  });

  test('stands beside another without touching it', async () => {
    const [one, other] = await Promise.all([up(200), up(200)]);
    const ports = [...Object.values(one.ports), ...Object.values(other.ports)];
    expect(new Set(ports).size).toBe(ports.length);
    expect(one.folder).not.toBe(other.folder);
    await new Cluster(sandboxProfile(one.name)).postgres.write(
      { change: (_change, act) => act() },
      'DROP TABLE memory_access',
    );
    await sandboxDown(one.name);
    expect(await runningIn(other)).toEqual(['novamem', 'postgres', 'qdrant', 'falkordb']);
    const [row] = await new Cluster(sandboxProfile(other.name)).postgres.read<{ there: boolean }>(
      "SELECT to_regclass('memory_access') IS NOT NULL AS there",
    );
    expect(row?.there).toBe(true);
  });

  test('that is up already is left as it is, and what does not run is started again', async () => {
    const record = await up(200);
    const servers = serversOf(record);
    const { pid } = JSON.parse(readFileSync(placesIn(record.folder).pidFile('falkordb'), 'utf8')) as ProcessMark;
    process.kill(pid, 'SIGKILL');
    await eventually('it is gone', () => !isRunning(pid));
    const again = await sandboxUp({ name: record.name, memories: 200 });
    expect(again).toEqual(record);
    expect(await runningIn(record)).toHaveLength(4);
    expect(servers.filter((one) => !isRunning(one))).toEqual([pid]);
  });

  test('really loses everything when told to', async () => {
    const record = await up(200);
    await loseEverything(record.name);
    expect(await runningIn(record)).toEqual(['novamem', 'postgres']);
    const places = placesIn(record.folder);
    expect([existsSync(places.qdrantData), existsSync(places.falkordbData)]).toEqual([false, false]);
    await expect(new Cluster(sandboxProfile(record.name)).postgres.read('SELECT 1')).rejects.toThrow(
      /does not exist/,
    );
  });

  test.each(['Upper', '../up', 'a b', ''])('cannot be called "%s"', async (name) => {
    await expect(sandboxUp({ name })).rejects.toThrow(/cannot be a sandbox's name/);
  });
});

describe('a sandbox whose folder was removed by hand while its servers run', () => {
  const strays: number[] = [];

  afterEach(() => {
    killAll(strays.splice(0));
  });

  async function orphaned(): Promise<{ record: SandboxRecord; servers: number[] }> {
    const record = await up(0);
    const servers = serversOf(record);
    strays.push(...servers);
    rmSync(record.folder, { recursive: true, maxRetries: 5 });
    return { record, servers };
  }

  test('leaves none of them when it is taken down', async () => {
    const { record, servers } = await orphaned();
    expect(await sandboxDown(record.name)).toBe(true);
    expect(servers.filter(isRunning)).toEqual([]);
    expect(readRecord(record.name)).toBeUndefined();
  });

  test('leaves none of them when it is put up again, which makes it anew', async () => {
    const { record, servers } = await orphaned();
    const again = await sandboxUp({ name: record.name, memories: 0 });
    expect(servers.filter(isRunning)).toEqual([]);
    expect(again.folder).not.toBe(record.folder);
    expect(await runningIn(again)).toEqual(['novamem', 'postgres', 'qdrant', 'falkordb']);
  });

  test('is taken down without the servers of another, or the shell of a person who stands in it', async () => {
    const other = await up(0);
    const record = await up(0);
    strays.push(...serversOf(record));
    const shell = spawnInTerminal('sh', [], { cwd: record.folder });
    try {
      await eventually('the shell stands there', () => readlinkSync(`/proc/${shell.pid}/cwd`) === record.folder);
      rmSync(record.folder, { recursive: true, maxRetries: 5 });
      await sandboxDown(record.name);
      expect(strays.filter(isRunning)).toEqual([]);
      expect(isRunning(shell.pid)).toBe(true);
      expect(await runningIn(other)).toHaveLength(4);
    } finally {
      shell.kill('SIGKILL');
    }
  });
});

/** Starts a program of its own that owns a sandbox, and answers once that is up. */
async function ownedByAnother(): Promise<{ owner: ChildProcess; record: SandboxRecord }> {
  const name = newName();
  const script = join(tempFolder('owner'), 'owner.mjs');
  const program = pathToFileURL(join(import.meta.dirname, '../../dist/sandbox/sandbox.js'));
  writeFileSync(
    script,
    `import { sandboxUp } from '${program}';
await sandboxUp({ name: '${name}', memories: 200, lives: 'process' });
setInterval(() => {}, 1_000);
`,
  );
  const owner = spawn(process.execPath, [script], { stdio: ['ignore', 'ignore', 'inherit'] });
  owners.push(owner);
  const record = await eventually(
    'the sandbox of the other is up',
    () => {
      const found = readRecord(name);
      return found?.state === 'up' ? found : undefined;
    },
    40_000,
  );
  return { owner, record };
}

describe('a sandbox that lives as long as a process', () => {
  test.each([
    'when that process is killed',
    'when its record is gone by then',
  ])('is taken down by its keeper %s', async (when) => {
    const { owner, record } = await ownedByAnother();
    const servers = serversOf(record);
    if (when.includes('record')) removeRecord(record.name);
    owner.kill('SIGKILL');
    await eventually('its folder is gone', () => !existsSync(record.folder), 30_000);
    await eventually('its processes are gone', () => !servers.some(isRunning));
    await eventually('its record is gone', () => readRecord(record.name) === undefined);
    await eventually('its keeper is gone', () => !processes().some((one) => one.command.includes(record.folder)));
  });

  test('leaves no keeper behind when it is taken down by its owner', async () => {
    const record = await up(0, 'process');
    expect(processes().some((one) => one.command.includes(`keeper-main.js ${record.name}`))).toBe(true);
    await sandboxDown(record.name);
    await eventually(
      'its keeper is gone',
      () => !processes().some((one) => one.command.includes(`keeper-main.js ${record.name}`)),
      5_000,
    );
  });
});

describe('what a process that is gone has left behind', () => {
  const GONE: ProcessMark = { pid: process.pid, started: 'another boot/1' };

  test('is taken down by the next cleaning: an owner that is gone', async () => {
    const record = await up(0);
    const servers = serversOf(record);
    writeRecord({ ...record, owner: GONE });
    const said: string[] = [];
    await cleanStale((line) => said.push(line));
    expect(said).toEqual([expect.stringContaining(record.name)]);
    await eventually('its processes are gone', () => !servers.some(isRunning));
    expect([existsSync(record.folder), readRecord(record.name)]).toEqual([false, undefined]);
  });

  test('is taken down before another is started: a start that was never finished', async () => {
    const wreck = await up(0);
    const servers = serversOf(wreck);
    writeRecord({ ...wreck, state: 'starting', maker: GONE });
    await up(0);
    await eventually('its processes are gone', () => !servers.some(isRunning));
    expect(readRecord(wreck.name)).toBeUndefined();
  });

  test('is not what still has an owner', async () => {
    const record = await up(0);
    writeRecord({ ...record, owner: markOf(process.pid) });
    await cleanStale();
    expect(await runningIn(record)).toHaveLength(4);
  });

  test('and cannot be read is a problem that names its file', async () => {
    const file = join(homeSubfolder('sandboxes'), 'cut-off.json');
    writeFileSync(file, '{"name":"cut-');
    await expect(sandboxStatus()).rejects.toThrow(`${file} is not JSON`);
  });
});

test('a record is read whole, also while another process writes it', async () => {
  const record = {
    name: 'busy',
    folder: '/nowhere',
    state: 'up',
    maker: markOf(process.pid),
    note: 'x'.repeat(20_000),
  };
  const script = join(tempFolder('writer'), 'writer.mjs');
  const program = pathToFileURL(join(import.meta.dirname, '../../dist/sandbox/registry.js'));
  writeFileSync(
    script,
    `import { writeRecord } from '${program}';
for (let index = 0; index < 3000; index += 1) writeRecord(${JSON.stringify(record)});
`,
  );
  const writer = spawn(process.execPath, [script], { stdio: ['ignore', 'ignore', 'inherit'] });
  owners.push(writer);
  await eventually('it is written for the first time', () =>
    existsSync(join(homeSubfolder('sandboxes'), 'busy.json')),
  );
  let unreadable = 0;
  while (writer.exitCode === null) {
    for (let index = 0; index < 50; index += 1) {
      try {
        readRecord('busy');
      } catch {
        unreadable += 1;
      }
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(unreadable).toBe(0);
});
