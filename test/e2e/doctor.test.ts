import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import type { Profile } from '../../src/config/profile.js';
import { freePorts } from '../../src/sandbox/free-ports.js';
import { runProgram } from '../support/program.js';
import { type RealCluster, realCluster } from '../support/sandbox.js';
import { tempFolder } from '../support/temp.js';

let real: RealCluster;
let mute: Server;
let unused: number;

beforeAll(async () => {
  real = await realCluster(200);
  await real.backup(real.cluster.profile, { 'backup-base': { take: true } });
  [unused] = (await freePorts(1)) as [number];
  mute = createServer(() => {}).listen(0, '127.0.0.1');
  await new Promise((resolve) => mute.once('listening', resolve));
});
afterAll(() => mute?.close());

let files = 0;

/** Asks the doctor of the real cluster, its profile changed. */
async function doctor(
  change: (profile: Profile) => unknown = () => {},
  environment: Record<string, string> = {},
  ...args: string[]
) {
  const profile = structuredClone(real.cluster.profile);
  change(profile);
  files += 1;
  const file = join(tempFolder('doctor'), `profile-${files}.yaml`);
  writeFileSync(file, stringify(profile));
  return runProgram(['doctor', '--profile', file, ...args], {
    environment: { LC_ALL: 'C.UTF-8', TERM: 'xterm', NOVAMEM_RUNBOOK_HOME: tempFolder('home'), ...environment },
  });
}

interface Told {
  possible: string[];
  obstacles: { level: string; message: string; next?: string; concerns: string[] }[];
  observations: { about: string; level: string; message: string; next?: string }[];
  reached: { service: string; outcome: string }[];
}

async function told(change: (profile: Profile) => unknown, environment: Record<string, string> = {}) {
  const ended = await doctor(change, environment, '--json');
  expect(ended.stderr).toBe('');
  return { exitCode: ended.exitCode, ...(JSON.parse(ended.stdout) as Told) };
}

const blocking = <One extends { level: string; message: string }>(all: readonly One[]) =>
  all.filter(({ level }) => level === 'blocking').map(({ message }) => message);

describe('the doctor finds', () => {
  test('that nothing blocks on a cluster that is whole and backed up: exit 0', async () => {
    const { exitCode, possible, obstacles, observations, reached } = await told(() => {});
    expect(blocking([...obstacles, ...observations])).toEqual([]);
    expect(exitCode).toBe(0);
    expect(possible).toEqual(
      expect.arrayContaining(['whole-cluster-lost', 'postgres-point-in-time', 'drill', 'backup']),
    );
    expect(reached.map(({ outcome }) => outcome)).toEqual(['answers', 'answers', 'answers', 'answers']);
    const fine = observations
      .filter(({ level }) => level === 'ok')
      .map(({ about, message }) => `${about}: ${message}`);
    for (const words of [
      /Postgres: pg_dump and pg_restore \d+ are here, as the server/,
      /Postgres: the role novamem may create databases/,
      /Qdrant: its key may manage/,
      /FalkorDB: every write is appended/,
      /(Postgres|Qdrant|FalkorDB): its clock agrees/,
    ])
      expect(fine).toContainEqual(expect.stringMatching(words));
  });

  test('a server that is not there once, first, and not again for every scenario', async () => {
    const { exitCode, reached, obstacles } = await told((profile) => {
      profile.qdrant.url = `http://127.0.0.1:${unused}`;
    });
    expect(exitCode).toBe(1);
    expect(reached[0]).toMatchObject({ service: 'qdrant', outcome: 'stopped' });
    const about = obstacles.filter(({ message }) => message.includes(String(unused)) || /Qdrant/.test(message));
    expect(blocking(about)).toEqual([expect.stringMatching(/^Qdrant is not reached: /)]);
    expect(about[0]!.concerns.length).toBeGreaterThan(3);
  });

  test('one that holds the connection and says nothing, without hanging', async () => {
    const began = Date.now();
    const { exitCode, reached, obstacles } = await told((profile) => {
      const { port } = mute.address() as AddressInfo;
      profile.postgres.url = `postgres://novamem@127.0.0.1:${port}/novamem`;
      profile.falkordb.url = `redis://127.0.0.1:${port}`;
    });
    expect(exitCode).toBe(1);
    expect(Object.fromEntries(reached.map((one) => [one.service, one.outcome]))).toMatchObject({
      postgres: 'silent',
      falkordb: 'silent',
    });
    expect(blocking(obstacles).filter((message) => /^(Postgres|FalkorDB) is not reached/.test(message))).toHaveLength(
      2,
    );
    expect(Date.now() - began).toBeLessThan(40_000);
  });

  test('a login that is refused, and what to correct', async () => {
    const secret = join(tempFolder('secret'), 'wrong');
    writeFileSync(secret, 'wrong');
    const ended = await doctor((profile) => {
      profile.postgres.passwordFrom = `file:${secret}`;
    });
    expect(ended.exitCode).toBe(1);
    const [, , first, ...rest] = ended.stdout.split('\n');
    expect(first).toMatch(/^✗ Postgres/);
    expect(rest.join('\n')).toMatch(/password authentication failed[\s\S]*next +correct user and passwordFrom/);
  });

  test('a profile whose secret cannot be had: exit 2', async () => {
    const ended = await doctor((profile) => {
      profile.qdrant.apiKeyFrom = 'env:NOT_SET_ANYWHERE';
    });
    expect(ended.exitCode).toBe(2);
    expect(ended.stdout).toMatch(/✗ Qdrant[\s\S]*NOT_SET_ANYWHERE, which is[\s\S]*next +export NOT_SET_ANYWHERE=…/);
    expect(ended.stdout).toContain('● Postgres');
  });

  test('programs of another version than the server’s, and how to get the right ones', async () => {
    const folder = join(tempFolder('programs'), 'bin');
    mkdirSync(folder);
    for (const name of ['pg_restore', 'pg_dump']) {
      writeFileSync(join(folder, name), '#!/bin/sh\necho "$0 (PostgreSQL) 9.6.24"\n');
      chmodSync(join(folder, name), 0o755);
    }
    const { observations } = await told(() => {}, { PATH: `${folder}:${process.env.PATH}` });
    // What is here is named, whichever of them is used.
    expect(observations).toContainEqual(
      expect.objectContaining({ about: 'this machine', message: expect.stringContaining(`9.6.24 in ${folder}`) }),
    );
  });

  test('rights that a role lacks, and the statement that gives them', async () => {
    const secret = join(tempFolder('secret'), 'poor');
    writeFileSync(secret, 'poor-password');
    await real.sql("CREATE ROLE poor LOGIN PASSWORD 'poor-password' IN ROLE pg_read_all_data");
    const { observations, obstacles } = await told((profile) => {
      profile.postgres.url = profile.postgres.url.replace('novamem@', 'poor@');
      profile.postgres.passwordFrom = `file:${secret}`;
    });
    expect(observations).toContainEqual(
      expect.objectContaining({ level: 'warning', next: 'as a superuser: ALTER ROLE "poor" CREATEDB;' }),
    );
    expect(obstacles).toContainEqual(
      expect.objectContaining({ level: 'warning', message: expect.stringContaining('lacks REPLICATION') }),
    );
  });

  test('settings under which a graph is lost', async () => {
    const { falkordb } = real.cluster;
    const { gateway } = real.context();
    await falkordb.write(gateway, 'CONFIG', 'SET', 'aof-use-rdb-preamble', 'no');
    await falkordb.write(gateway, 'CONFIG', 'SET', 'maxmemory', '1gb');
    await falkordb.write(gateway, 'CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru');
    try {
      const { observations } = await told(() => {});
      const warned = observations.filter((one) => one.about === 'FalkorDB' && one.level === 'warning');
      expect(warned.map(({ next }) => next)).toEqual([
        expect.stringContaining('CONFIG SET aof-use-rdb-preamble yes'),
        expect.stringContaining('CONFIG SET maxmemory-policy noeviction'),
      ]);
    } finally {
      await falkordb.write(gateway, 'CONFIG', 'SET', 'aof-use-rdb-preamble', 'yes');
      await falkordb.write(gateway, 'CONFIG', 'SET', 'maxmemory', '0');
      await falkordb.write(gateway, 'CONFIG', 'SET', 'maxmemory-policy', 'noeviction');
    }
  });

  test('a backup root that is not there', async () => {
    const { exitCode, observations, obstacles } = await told((profile) => {
      profile.backups = ['/nowhere/backups'];
    });
    expect(exitCode).toBe(1);
    expect(observations).toContainEqual(
      expect.objectContaining({ level: 'blocking', next: expect.stringContaining('mkdir -p /nowhere/backups') }),
    );
    expect(obstacles.filter(({ message }) => /backup set/.test(message))).toHaveLength(1);
  });

  test('a vendor’s program that the profile needs', async () => {
    const { observations } = await told(
      (profile) => {
        profile.hosts.novamem = { ssh: 'ops@nowhere', sudo: false };
        profile.services.novamem = { driver: 'systemd', unit: 'novamem', user: false, sudo: false };
      },
      { PATH: '/nowhere' },
    );
    expect(observations).toContainEqual(
      expect.objectContaining({ level: 'blocking', message: 'ssh is not on the PATH, for novamem' }),
    );
  });
});

test('everything is told in 80 columns', async () => {
  const { stdout } = await doctor((profile) => {
    profile.qdrant.url = `http://127.0.0.1:${unused}`;
    profile.backups = [];
  });
  const tooLong = stdout.split('\n').filter((line) => line.length > 80 && !/^\s*\S+$/.test(line));
  expect(tooLong).toEqual([]);
  expect(stdout).toMatch(/^\S+: \d+ obstacles?, \d+ warnings?\. Nothing was touched\.\n\n✗ Qdrant/);
});

describe('without a profile', () => {
  test('it says what this machine has, and what comes next', async () => {
    const environment = { NOVAMEM_RUNBOOK_HOME: tempFolder('home'), LC_ALL: 'C.UTF-8' };
    const ended = await runProgram(['doctor'], { environment });
    expect(ended).toMatchObject({ exitCode: 0, stderr: '' });
    expect(ended.stdout).toMatch(/^This machine: 0 obstacles/);
    expect(ended.stdout).toContain('PostgreSQL programs: ');
    expect(ended.stdout).toContain('Next: novamem-runbook profile import-env .env');
  });

  test('it says what is wrong with the place of what it keeps: exit 1', async () => {
    const file = join(tempFolder('home'), 'a-file');
    writeFileSync(file, '');
    const ended = await runProgram(['doctor'], { environment: { NOVAMEM_RUNBOOK_HOME: join(file, 'home') } });
    expect(ended).toMatchObject({ exitCode: 1, stderr: '' });
    expect(ended.stdout).toContain('nothing can be recorded in');
    expect(ended.stdout).toContain('set NOVAMEM_RUNBOOK_HOME to a folder that can be written');
  });
});
