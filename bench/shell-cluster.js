import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';
import pg from 'pg';
import { resolveSecret } from '../dist/config/secrets.js';
import { openGateway } from '../dist/hosts/gateway.js';
import { Cluster } from '../dist/stores/cluster.js';
import { listCollections } from '../dist/stores/qdrant/inventory.js';

const PROGRAM = fileURLToPath(new URL('../bin/novamem-runbook.js', import.meta.url));
const gateway = openGateway(() => {});

/** A sandbox as shell scripts work with it, how it is lost, and whether all of it is there. */
export class ShellCluster {
  constructor(profile, folder) {
    this.profile = profile;
    this.cluster = new Cluster(profile);
    this.pids = join(folder, 'pids');
    mkdirSync(this.pids);
    const { postgres, qdrant, falkordb, novamem, services } = profile;
    const secret = (reference) => resolveSecret(reference, 'a secret of the sandbox');
    const url = new URL(postgres.url);
    this.password = secret(postgres.passwordFrom);
    this.graphPassword = secret(falkordb.passwordFrom);
    const server = services.falkordb.command[0];
    this.environment = {
      PG_BIN: dirname(services.postgres.command[0]),
      PGHOST: url.hostname,
      PGPORT: url.port,
      PGUSER: url.username,
      PGPASSWORD: this.password,
      PGDATABASE: url.pathname.slice(1),
      QDRANT_URL: qdrant.url,
      QDRANT_KEY: secret(qdrant.apiKeyFrom),
      FALKORDB_DATA: falkordb.dataDir,
      FALKORDB_PORT: new URL(falkordb.url).port,
      FALKORDB_PASSWORD: this.graphPassword,
      FALKORDB_COMMAND: services.falkordb.command.join(' '),
      REDIS_CLI: server.replace(/-server$/, '-cli'),
      NOVAMEM_COMMAND: services.novamem.command.join(' '),
      NOVAMEM_URL: novamem.url,
      PIDS: this.pids,
    };
    if (!existsSync(this.environment.REDIS_CLI)) this.environment.REDIS_CLI = basename(this.environment.REDIS_CLI);
  }

  /** Runs one of the scripts beside this file. */
  script(name, environment) {
    return this.#run(fileURLToPath(new URL(`${name}.sh`, import.meta.url)), [], environment);
  }

  /** Runs the program itself. */
  program(...args) {
    return this.programUnder([], PROGRAM, ...args);
  }

  /** Runs the program with options of Node's own; `file`: the program, or its modules one by one (dist/cli.js). */
  programUnder(options, file, ...args) {
    return this.#run(process.execPath, [...options, file, ...args, '--profile', this.profile.name], {});
  }

  async #run(file, args, environment) {
    const child = spawn(file, args, {
      env: { ...process.env, ...this.environment, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let said = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (text) => {
        said = (said + text).slice(-4000);
      });
    const [code] = await once(child, 'exit');
    if (code !== 0)
      throw Object.assign(new Error(`${basename(file)} ${args.join(' ')} ended with ${code}:\n${said}`), { code });
  }

  /** Postgres and Qdrant run and are empty, FalkorDB and novamem are stopped, and the graph's files are gone. */
  async lose() {
    for (const service of ['novamem', 'falkordb']) {
      await this.cluster.driver(service).stop(gateway, { onLine: () => {} });
      await this.#endStarted(service);
    }
    rmSync(this.profile.falkordb.dataDir, { recursive: true, force: true });
    mkdirSync(this.profile.falkordb.dataDir, { mode: 0o700 });
    const { PGDATABASE, PGUSER } = this.environment;
    await this.#query(`DROP DATABASE IF EXISTS "${PGDATABASE}" WITH (FORCE)`, 'postgres');
    await this.#query(`CREATE DATABASE "${PGDATABASE}" OWNER "${PGUSER}"`, 'postgres');
    await this.#query('CHECKPOINT', 'postgres');
    const { client } = this.cluster.qdrant;
    for (const name of await listCollections(this.cluster.qdrant)) await client.deleteCollection(name);
  }

  /** Ends what a script has started. */
  async #endStarted(service) {
    const file = join(this.pids, service);
    if (!existsSync(file)) return;
    const pid = Number(readFileSync(file, 'utf8'));
    rmSync(file);
    try {
      process.kill(pid, 'SIGKILL');
      for (;;) {
        await new Promise((resolve) => setTimeout(resolve, 20));
        process.kill(pid, 0);
      }
    } catch (error) {
      if (error.code !== 'ESRCH') throw error;
    }
  }

  /** What there is of everything. */
  async counts() {
    const [{ count }] = await this.#query('SELECT count(*) FROM memory_entries');
    const names = await listCollections(this.cluster.qdrant);
    let points = 0;
    for (const name of names) points += (await this.cluster.qdrant.client.count(name, { exact: true })).count;
    const redis = new Redis(this.profile.falkordb.url, { password: this.graphPassword });
    try {
      const [, rows] = await redis.call(
        'GRAPH.RO_QUERY',
        this.profile.falkordb.graph,
        'MATCH (m:Memory) RETURN count(m)',
      );
      return { memories: Number(count), collections: names.length, points, nodes: Number(rows[0][0]) };
    } finally {
      redis.disconnect();
    }
  }

  async #query(sql, database = this.environment.PGDATABASE) {
    const url = new URL(this.profile.postgres.url);
    url.password = this.password;
    url.pathname = `/${database}`;
    const client = new pg.Client({ connectionString: url.href });
    await client.connect();
    try {
      return (await client.query(sql)).rows;
    } finally {
      await client.end();
    }
  }
}

/** A sandbox of the size that the targets name, or a small one. */
export const SIZES = {
  real: { memories: 200_000, collections: 64, nodes: 100_000 },
  small: { memories: 5_000, collections: 18, nodes: 5_000 },
};
/** With which a sandbox begins, of ten collections; the others are added in bulk. */
export const FIRST = { memories: 200, collections: 10 };
