import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Profile, profileSchema } from '../../src/config/profile.js';
import { freePorts } from '../../src/sandbox/free-ports.js';
import type { StepContext } from '../../src/steps/step.js';
import { Cluster } from '../../src/stores/cluster.js';
import { newestTools } from '../../src/stores/postgres/tools.js';
import { eventually } from './eventually.js';
import { contextOf } from './sandbox.js';
import { type SshHost, sshHost } from './ssh-server.js';
import { tempFolder } from './temp.js';

/** A Postgres on another host, with a data directory and a WAL archive that only that host sees. */
export interface PostgresElsewhere {
  host: SshHost;
  profile: Profile;
  cluster: Cluster;
  dataDir: string;
  walArchive: string;
  /** The folder of this machine that backups lie in. */
  backups: string;
  bin: string;
  port: number;
  password: string;
  /** Runs a program of Postgres on this machine against that server. */
  tool(name: string, ...args: string[]): void;
  start(): void;
  stop(how?: 'fast' | 'immediate'): void;
  sql(text: string): Promise<Record<string, unknown>[]>;
  rows(): Promise<number>;
  /** Takes a base backup over the network, as a person would. */
  baseBackup(name: string): void;
  /** Ends the segment that is written to, and waits until it is archived. */
  nextSegment(): Promise<void>;
  listed(folder: string): string[];
  context(more?: Partial<StepContext>, hosts?: object): StepContext;
}

/** As whom the server runs: a user that every system has, and that is not the one of `SshHost.user`. */
export const SERVER_USER = 1;

export async function postgresElsewhere(): Promise<PostgresElsewhere> {
  const host = await sshHost('db-1');
  const { bin } = await newestTools();
  const [port] = await freePorts(1);
  const backups = tempFolder('backups');
  const root = `${host.folder}/pg`;
  const dataDir = `${root}/main`;
  const walArchive = `${root}/wal`;
  const password = randomBytes(12).toString('hex');
  process.env.ELSEWHERE_PASSWORD = password;
  const as = `setpriv --reuid=${SERVER_USER} --regid=${SERVER_USER} --clear-groups`;
  const settings = [
    `port = ${port}`,
    "listen_addresses = '127.0.0.1'",
    `unix_socket_directories = '${root}'`,
    'archive_mode = on',
    `archive_command = 'test ! -f ${walArchive}/%f && cp %p ${walArchive}/%f'`,
    'wal_level = replica',
    'fsync = off',
  ];
  host.run(
    [
      `mkdir -p ${walArchive} && chown -R ${SERVER_USER}:${SERVER_USER} ${root}`,
      `(umask 077; echo ${password} > ${root}/word && chown ${SERVER_USER} ${root}/word)`,
      `cd / && ${as} ${bin}/initdb -D ${dataDir} -U novamem -A scram-sha-256 --pwfile ${root}/word -E UTF8 --locale=C >/dev/null`,
      `cat >> ${dataDir}/postgresql.conf <<'END'\n${settings.join('\n')}\nEND`,
    ].join(' && '),
  );
  const control = (words: string) => `cd / && ${as} ${bin}/pg_ctl -D ${dataDir} -l ${root}/log ${words}`;
  const profile = profileSchema.parse({
    name: 'acme-test',
    postgres: {
      url: `postgres://novamem@127.0.0.1:${port}/novamem`,
      passwordFrom: 'env:ELSEWHERE_PASSWORD',
      dataDir,
      walArchive,
    },
    qdrant: { url: 'http://127.0.0.1:1' },
    falkordb: { url: 'redis://127.0.0.1:1' },
    services: {
      postgres: {
        driver: 'command',
        start: control('-w -t 2 start || true'),
        stop: control('-m fast stop'),
        status: control('status >/dev/null'),
      },
    },
    hosts: { postgres: { ssh: host.name } },
    backups: [backups],
  });
  const cluster = new Cluster(profile);
  const listed = (folder: string) => host.run(`ls -A ${folder}`).split('\n').filter(Boolean);
  const sql = async (text: string) => {
    const { Client } = (await import('pg')).default;
    const client = new Client({ connectionString: `postgres://novamem:${password}@127.0.0.1:${port}/novamem` });
    await client.connect();
    try {
      const answer = (await client.query(text)) as unknown;
      return ((Array.isArray(answer) ? answer.at(-1) : answer) as { rows: Record<string, unknown>[] }).rows;
    } finally {
      await client.end();
    }
  };
  const started = () => void host.run(`${control('-w start')} >/dev/null`);
  started();
  const tool = (name: string, ...args: string[]) =>
    void execFileSync(`${bin}/${name}`, ['-h', '127.0.0.1', '-p', String(port), '-U', 'novamem', ...args], {
      env: { ...process.env, PGPASSWORD: password },
    });
  tool('createdb', 'novamem');
  return {
    ...{ host, profile, cluster, dataDir, walArchive, backups, bin, port: port!, password, tool, sql, listed },
    start: started,
    stop: (how = 'fast') => void host.run(`${control(`-m ${how} stop`)} >/dev/null`),
    rows: async () => Number((await sql('SELECT count(*) AS n FROM story'))[0]!.n),
    baseBackup(name) {
      mkdirSync(backups, { recursive: true });
      tool('pg_basebackup', '--checkpoint', 'fast', '-D', join(backups, name));
    },
    async nextSegment() {
      const [row] = await sql('SELECT pg_walfile_name(pg_current_wal_lsn()) AS name');
      await sql('SELECT pg_switch_wal()');
      await eventually(`${row!.name} is archived`, () => listed(walArchive).includes(row!.name as string));
    },
    context: (more = {}, hosts = profile.hosts) => contextOf(new Cluster({ ...profile, hosts } as Profile), more),
  };
}
