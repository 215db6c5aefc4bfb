import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer, type Server as HttpServer, request as httpRequest } from 'node:http';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import type { Profile } from '../../src/config/profile.js';
import { observeHosts } from '../../src/engine/doctor/hosts.js';
import { freePorts } from '../../src/sandbox/free-ports.js';
import { Cluster } from '../../src/stores/cluster.js';
import { observeFalkordb } from '../../src/stores/observations/falkordb.js';
import { describeServer } from '../../src/stores/postgres/server.js';
import { kubectlStandIn } from '../support/container-stand-ins.js';
import { PROGRAM, runFile, runProgram } from '../support/program.js';
import { type RealCluster, realCluster } from '../support/sandbox.js';
import { type SshHost, sshHost, whyNoSshServer } from '../support/ssh-server.js';
import { tempFolder } from '../support/temp.js';
import { whyNot } from '../support/tools.js';

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
afterAll(() => {
  mute?.close();
  for (const proxy of proxies) proxy.close();
});

const proxies: HttpServer[] = [];

let files = 0;

/** Asks the doctor of the real cluster, its profile changed. */
async function doctor(
  change: (profile: Profile) => unknown = () => {},
  environment: Record<string, string> = {},
  ...args: string[]
) {
  const [, file] = writtenProfile(change);
  return runProgram(['doctor', '--profile', file, ...args], { environment: { ...ordinary(), ...environment } });
}

const ordinary = () => ({ LC_ALL: 'C.UTF-8', TERM: 'xterm', NOVAMEM_RUNBOOK_HOME: tempFolder('home') });

function writtenProfile(change: (profile: Profile) => unknown): [Profile, file: string] {
  const profile = structuredClone(real.cluster.profile);
  change(profile);
  files += 1;
  const file = join(tempFolder('doctor'), `profile-${files}.yaml`);
  writeFileSync(file, stringify(profile));
  return [profile, file];
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

  const unmounted = whyNot('unshare', '--mount', 'true');
  test.skipIf(unmounted)(
    `programs that are older than the server${unmounted && ` (not run here: ${unmounted})`}`,
    async () => {
      const bin = join(tempFolder('old'), 'bin');
      mkdirSync(bin);
      for (const name of ['pg_restore', 'pg_dump', 'pg_basebackup']) {
        writeFileSync(join(bin, name), `#!/bin/sh\necho "${name} (PostgreSQL) 12.22"\n`);
        chmodSync(join(bin, name), 0o755);
      }
      const [, file] = writtenProfile(() => {});
      // The folders of packages are empty for this one process: what is on the PATH is all there is.
      const hidden = ['/usr/lib/postgresql', '/usr/pgsql-*'].join(' ');
      const ended = await runFile(
        'unshare',
        [
          ...['--mount', 'sh', '-c'],
          `for f in ${hidden}; do [ -d "$f" ] && mount -t tmpfs tmpfs "$f"; done; exec "$@"`,
          ...['sh', process.execPath, PROGRAM, 'doctor', '--profile', file, '--json'],
        ],
        { environment: { ...ordinary(), PATH: `${bin}:${process.env.PATH}` } },
      );
      expect(ended.exitCode).toBe(1);
      const { observations, obstacles } = JSON.parse(ended.stdout) as Told;
      const { major, version } = await describeServer(real.cluster.postgres);
      expect(observations).toContainEqual({
        about: 'Postgres',
        level: 'blocking',
        message: `the server is ${version}, and the Postgres programs here are 12: older ones can neither dump nor restore it. None of its version is here`,
        next: expect.stringMatching(
          new RegExp(`^apt-get install postgresql-client-${major} .*brew install postgresql@${major}$`),
        ),
      });
      const concerned = new Set(
        obstacles.filter(({ level }) => level === 'blocking').flatMap(({ concerns }) => concerns),
      );
      expect([...concerned]).toEqual(expect.arrayContaining([expect.stringMatching(/^backup: /)]));
    },
  );

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
    const { save } = await falkordb.config('save');
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
      await falkordb.write(gateway, 'CONFIG', 'SET', 'aof-use-rdb-preamble', 'yes');
      await falkordb.write(gateway, 'CONFIG', 'SET', 'maxmemory', '0');
      await falkordb.write(gateway, 'CONFIG', 'SET', 'appendonly', 'no');
      await falkordb.write(gateway, 'CONFIG', 'SET', 'save', '3600 1');
      const saved = await observeFalkordb(falkordb);
      await falkordb.write(gateway, 'CONFIG', 'SET', 'save', '');
      const never = await observeFalkordb(falkordb);
      expect([saved, never].map((all) => all.filter(({ level }) => level === 'warning'))).toMatchObject([
        [
          {
            message: 'appendonly is no: what was written since the last save is gone with the process',
            next: expect.stringMatching(/^CONFIG SET appendonly yes/),
          },
        ],
        [{ message: 'appendonly is no, and nothing is ever saved: the graph is gone with the process' }],
      ]);
    } finally {
      await falkordb.write(gateway, 'CONFIG', 'SET', 'aof-use-rdb-preamble', 'yes');
      await falkordb.write(gateway, 'CONFIG', 'SET', 'maxmemory', '0');
      await falkordb.write(gateway, 'CONFIG', 'SET', 'maxmemory-policy', 'noeviction');
      await falkordb.write(gateway, 'CONFIG', 'SET', 'save', save!);
      await falkordb.write(gateway, 'CONFIG', 'SET', 'appendonly', 'yes');
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

describe('the clock of a server', () => {
  const hour = 3_600_000;

  test('that is off is a warning, with by how much and into which direction', async () => {
    const port = await clockProxy(Number(real.cluster.qdrant.url.port), -2 * hour);
    const { exitCode, observations } = await told((profile) => {
      profile.qdrant.url = `http://127.0.0.1:${port}`;
    });
    expect(observations.filter(({ about, message }) => about === 'Qdrant' && /clock/.test(message))).toEqual([
      {
        about: 'Qdrant',
        level: 'warning',
        message: expect.stringMatching(
          /^its clock is (2 h|1 h 59 min)[^ab]* behind this machine’s: ages of backups and moments to go back to are off by that$/,
        ),
        next: expect.stringMatching(/^set both clocks by NTP \(timedatectl\)/),
      },
    ]);
    expect(exitCode).toBe(0);
  });

  const FAKETIME = process.env.FAKETIME_LIB ?? '/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1';
  const missing = existsSync(FAKETIME) ? '' : `no ${FAKETIME}`;
  test.skipIf(missing)(
    `differs where this machine’s own is off${missing && ` (not run here: ${missing})`}`,
    async () => {
      const { observations } = await told(() => {}, {
        LD_PRELOAD: FAKETIME,
        FAKETIME: '+90m',
        // What the doctor starts has the time of the machine.
        NODE_OPTIONS: '--import=data:text/javascript,delete%20process.env.LD_PRELOAD',
        FAKETIME_DONT_FAKE_MONOTONIC: '1',
        DONT_FAKE_MONOTONIC: '1',
        NO_FAKE_STAT: '1',
      });
      const off = observations.filter(({ level, message }) => level === 'warning' && /^its clock is/.test(message));
      expect(off.map(({ about, message }) => `${about}: ${message.slice(0, 51)}`)).toEqual(
        ['Postgres', 'Qdrant', 'FalkorDB'].map(
          (about) => `${about}: its clock is 1 h 30 min behind this machine’s: ages`,
        ),
      );
    },
  );
});

describe('where a profile names hosts the doctor', () => {
  const noServer = whyNoSshServer();
  const lookAt = async (host: Profile['hosts']['falkordb'], change: (profile: Profile) => unknown = () => {}) => {
    const [profile] = writtenProfile((one) => {
      one.hosts = { falkordb: host };
      change(one);
    });
    return observeHosts(new Cluster(profile));
  };

  describe.skipIf(noServer)(`over SSH${noServer && ` (not run here: ${noServer})`}`, () => {
    let ssh: SshHost;
    const dataDir = () => `${ssh.folder}/data`;
    beforeAll(async () => {
      ssh = await sshHost('graph-doctor');
      ssh.run(`mkdir -p ${dataDir()}`);
    });
    const inData = (profile: Profile) => {
      profile.falkordb.dataDir = dataDir();
    };

    test('says that it is reached, that its folder can be written, and how much room there is', async () => {
      const found = await lookAt({ ssh: ssh.name, sudo: false }, inData);
      expect(found.map(({ level, message }) => `${level}: ${message}`)).toEqual([
        'ok: graph-doctor is reached, as its user 0',
        'ok: graph-doctor has what files there are handled with',
        `ok: ${dataDir()} on graph-doctor can be written`,
        expect.stringMatching(/^(ok|warning): \S+ \S+ are free in \S+ on graph-doctor/),
      ]);
    });

    test('blocks on a folder that is not there or not ours, with what to correct and for which scenarios', async () => {
      const concerns = expect.arrayContaining(['falkordb-lost', 'whole-cluster-lost', 'backup']);
      const blocking = async (...where: Parameters<typeof lookAt>) =>
        (await lookAt(...where)).filter(({ level }) => level === 'blocking');
      expect(
        await blocking({ ssh: ssh.name, sudo: false }, (profile) => {
          profile.falkordb.dataDir = '/nowhere/data';
        }),
      ).toEqual([
        {
          about: 'hosts.falkordb',
          level: 'blocking',
          message: '/nowhere/data is not on graph-doctor',
          next: expect.stringMatching(/^correct falkordb\.dataDir or hosts\.falkordb/),
          concerns,
        },
      ]);
      expect(await blocking({ ssh: ssh.user, sudo: false }, inData)).toMatchObject([
        { message: `${dataDir()} on nobody@graph-doctor cannot be written by its user 65534`, concerns },
      ]);
      expect(await blocking({ ssh: ssh.user, sudo: true }, inData)).toMatchObject([{ concerns }]);
    });

    test('tells a program of its driver that is not there, and exits 1', async () => {
      const ended = await doctor((profile) => {
        ssh.run('p=$(readlink -f "$(command -v kubectl)") && mount --bind /dev/null "$p" || true');
        profile.hosts = { novamem: { ssh: ssh.name, sudo: false } };
        profile.services.novamem = { driver: 'kubernetes', namespace: 'novamem', workload: 'deploy/novamem' };
      });
      expect(ended.exitCode).toBe(1);
      expect(ended.stdout.replaceAll(/\s+/g, ' ')).toMatch(
        /✗ blocks hosts\.novamem: graph-doctor has no kubectl on the PATH .* next install kubectl there, .* concerns .*falkordb-lost/,
      );
    });
  });

  test('says that one cannot be reached, and what has to work', async () => {
    expect(await lookAt({ ssh: 'nowhere.invalid', sudo: false })).toEqual([
      expect.objectContaining({
        level: 'blocking',
        message: expect.stringMatching(/^nowhere\.invalid cannot be reached/),
        next: 'see whether it can be reached: ssh nowhere.invalid -- true; then retry',
      }),
    ]);
  });

  test('says of a workload at 0 that it cannot be looked at now, and warns of several replicas, with a stand-in for kubectl', async () => {
    const kubectl = kubectlStandIn({ kind: 'StatefulSet', metadata: { name: 'falkordb' }, spec: { replicas: 2 } });
    const host = { kubernetes: 'statefulset/falkordb', namespace: 'novamem' };
    expect(await lookAt(host)).toMatchObject([
      { level: 'warning', message: expect.stringMatching(/^statefulset\/falkordb in novamem does not run now/) },
    ]);
    kubectl.runsWhile('true');
    const found = await lookAt(host);
    expect(found.filter(({ level }) => level !== 'ok')).toMatchObject([
      { level: 'warning', message: expect.stringMatching(/has 2 replicas, each with files of its own/) },
    ]);
  });
});

/** Passes on to a server, with the time that its answers tell moved by so many milliseconds. */
async function clockProxy(to: number, byMs: number): Promise<number> {
  const proxy = createHttpServer((request, response) => {
    const onward = httpRequest(
      { host: '127.0.0.1', port: to, path: request.url, method: request.method, headers: request.headers },
      (answer) => {
        const date = new Date(Date.parse(answer.headers.date ?? '') + byMs).toUTCString();
        response.writeHead(answer.statusCode ?? 502, { ...answer.headers, date });
        answer.pipe(response);
      },
    );
    onward.on('error', () => response.destroy());
    request.pipe(onward);
  }).listen(0, '127.0.0.1');
  proxies.push(proxy);
  await new Promise((resolve) => proxy.once('listening', resolve));
  return (proxy.address() as AddressInfo).port;
}

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
