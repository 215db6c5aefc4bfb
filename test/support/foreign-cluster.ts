import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { QdrantClient } from '@qdrant/js-client-rest';
import { Redis } from 'ioredis';
import pg from 'pg';
import { Agent } from 'undici';
import { stringify } from 'yaml';
import { waitFor } from '../../src/hosts/waiting.js';
import { type Binaries, findBinaries } from '../../src/sandbox/binaries.js';
import { freePorts } from '../../src/sandbox/free-ports.js';
import { makeSeedData } from '../../src/sandbox/seed-data.js';
import { seedFalkordb, seedPostgres, seedQdrant } from '../../src/sandbox/seed-stores.js';
import { Ca, type Certificate, keyFor } from './certificates.js';
import {
  FOREIGN_SERVICES,
  type ForeignService,
  type ForeignTls,
  layServices,
  type Ports,
  placesIn,
  SECRETS,
  type User,
  unprivilegedUser,
} from './foreign-services.js';
import {
  type Measured,
  type MeasuredFalkordb,
  type MeasuredPostgres,
  measureFalkordb,
  measurePostgres,
  measureQdrant,
} from './measure.js';
import { type Ended, runFile } from './program.js';

const GRAPH = 'novamem';
const START_PATIENCE = 30_000;

/** What the operators of this cluster keep in Postgres besides novamem: names that need quotes, and a sequence of its own. */
const OTHER_SCHEMA = `
CREATE SCHEMA "Reports";
CREATE SEQUENCE "Reports"."Ticket No" START 1000 INCREMENT 7;
CREATE TABLE "Reports"."Daily ""Totals""" (
  "No" bigint PRIMARY KEY DEFAULT nextval('"Reports"."Ticket No"'), day date NOT NULL, "Total €" numeric(12, 2), note text);
INSERT INTO "Reports"."Daily ""Totals""" (day, "Total €", note)
  SELECT date '2026-01-01' + n, n * 1.25, CASE n % 3 WHEN 0 THEN NULL WHEN 1 THEN E'tab\\t, new\\nline, \\\\.' ELSE 'O''Neil' END
    FROM generate_series(1, 400) n;`;

/** The two forms in which the handbook lets FalkorDB be copied. */
export type FalkordbCopy = 'appendonlydir' | 'dump.rdb';

/**
 * A real cluster that the sandbox's code did not make: driven by shell scripts, with passwords of every awkward character,
 * Postgres and FalkorDB under a user of their own, and a role that is no superuser.
 */
export class ForeignCluster {
  readonly name = 'acme-eu';
  /** The variables that the profile's references name. */
  readonly environment = {
    ACME_POSTGRES_PASSWORD: SECRETS.postgres,
    ACME_QDRANT_KEY: SECRETS.qdrant,
    ACME_GRAPH_PASSWORD: SECRETS.falkordb,
    ACME_NOVAMEM_TOKEN: SECRETS.novamem,
  };
  readonly places: ReturnType<typeof placesIn>;
  /** Where all of its parts speak TLS only. */
  readonly tls: ForeignTls | undefined;
  readonly #keeper: ChildProcess;
  #profiles = 0;
  #agent: Agent | undefined;

  private constructor(
    readonly folder: string,
    readonly ports: Ports,
    readonly binaries: Binaries,
    withTls: boolean,
  ) {
    this.places = placesIn(folder);
    if (withTls) {
      const ca = new Ca(folder, 'acme-ca');
      this.tls = {
        ca,
        server: ca.sign('server', ['DNS:localhost', 'IP:127.0.0.1']),
        client: ca.sign('client'),
      };
    }
    this.#keeper = watchOver(folder);
  }

  /** Starts and fills a cluster. What had been started is ended when something fails on the way. */
  static async start(memories = 1_500, { tls = false, tries = 3 } = {}): Promise<ForeignCluster> {
    const binaries = await findBinaries();
    const [postgres, qdrant, qdrantGrpc, falkordb, novamem] = await freePorts(5);
    const ports = { postgres, qdrant, qdrantGrpc, falkordb, novamem } as Ports;
    const folder = mkdtempSync(join(realpathSync(tmpdir()), 'novamem-foreign-'));
    chmodSync(folder, 0o711);
    const cluster = new ForeignCluster(folder, ports, binaries, tls);
    try {
      await cluster.#make(memories);
      return cluster;
    } catch (error) {
      const words = FOREIGN_SERVICES.map((service) => `${service}: ${cluster.#lastWords(service)}`).join('\n');
      await cluster.stop();
      if (tries > 1 && /address already in use|EADDRINUSE/i.test(words))
        return ForeignCluster.start(memories, { tls, tries: tries - 1 });
      throw new Error(`the cluster did not start\n${words}`, { cause: error });
    }
  }

  /** Writes a profile of this cluster with these backup roots, and more about its Postgres; answers the file. */
  profileWith(backups: string[], postgres: { dataDir?: string; walArchive?: string } = {}): string {
    const { ports, tls } = this;
    const trusted = tls ? { caFile: tls.ca.caFile } : {};
    this.#profiles += 1;
    const file = join(this.folder, `profile-${this.#profiles}.yaml`);
    const driver = (service: ForeignService) => {
      const script = this.places.script(service);
      return { driver: 'command', start: `${script} start`, stop: `${script} stop`, status: `${script} status` };
    };
    const profile = {
      name: this.name,
      production: true,
      postgres: {
        url: `postgres://novamem@127.0.0.1:${ports.postgres}/novamem`,
        ...trusted,
        passwordFrom: 'env:ACME_POSTGRES_PASSWORD',
        ...postgres,
      },
      qdrant: { url: this.#qdrantUrl, apiKeyFrom: 'env:ACME_QDRANT_KEY', ...trusted },
      falkordb: {
        url: `${tls ? 'rediss' : 'redis'}://127.0.0.1:${ports.falkordb}`,
        ...trusted,
        ...tls?.client,
        passwordFrom: 'env:ACME_GRAPH_PASSWORD',
        graph: GRAPH,
        dataDir: this.places.falkordbData,
      },
      novamem: { url: this.#novamemUrl, tokenFrom: 'env:ACME_NOVAMEM_TOKEN', ...trusted },
      services: Object.fromEntries(FOREIGN_SERVICES.map((service) => [service, driver(service)])),
      backups,
    };
    writeFileSync(file, stringify(profile));
    return file;
  }

  get #qdrantUrl(): string {
    return `${this.tls ? 'https' : 'http'}://localhost:${this.ports.qdrant}`;
  }

  get #novamemUrl(): string {
    return `${this.tls ? 'https' : 'http'}://localhost:${this.ports.novamem}`;
  }

  /** What `fetch` needs to trust this cluster. */
  get #trust(): { dispatcher?: Agent } {
    if (!this.tls) return {};
    this.#agent ??= new Agent({ connect: { ca: readFileSync(this.tls.ca.caFile) } });
    return { dispatcher: this.#agent };
  }

  async measure(): Promise<Measured> {
    const [postgres, qdrant, falkordb] = await Promise.all([
      this.postgres<MeasuredPostgres>(measurePostgres),
      measureQdrant(this.askQdrant),
      this.redis<MeasuredFalkordb>((redis) => measureFalkordb(redis, GRAPH)),
    ]);
    return { ...postgres, ...qdrant, ...falkordb };
  }

  /** alias → collection. A collection's snapshot does not hold its aliases. */
  async aliases(): Promise<Record<string, string>> {
    const { aliases } = await this.askQdrant<{ aliases: { alias_name: string; collection_name: string }[] }>(
      'GET',
      '/aliases',
    );
    return Object.fromEntries(aliases.map((one) => [one.alias_name, one.collection_name]));
  }

  /** The commands of the handbook's page "Backup & restore", into one folder of loose files. */
  async backupWithPlainCommands(folder: string, copy: FalkordbCopy): Promise<void> {
    mkdirSync(folder, { recursive: true });
    await this.#dumpPostgres(join(folder, `novamem-${new Date().toISOString().slice(0, 10)}.dump`));
    for (const collection of Object.keys((await measureQdrant(this.askQdrant)).collections))
      await this.downloadSnapshot(collection, join(folder, `${collection}.tgz`));
    const data = this.places.falkordbData;
    if (copy === 'appendonlydir') {
      cpSync(join(data, 'appendonlydir'), join(folder, 'appendonlydir'), { recursive: true });
      return;
    }
    await this.redis(saveInBackground);
    cpSync(join(data, 'dump.rdb'), join(folder, 'dump.rdb'));
  }

  /** `curl -X POST …/snapshots`, then `curl … > FILE`. */
  async downloadSnapshot(collection: string, file: string): Promise<void> {
    const url = `${this.#qdrantUrl}/collections/${collection}/snapshots`;
    const made = await this.curl('-X', 'POST', url);
    const { name } = (JSON.parse(made.stdout) as { result: { name: string } }).result;
    await this.curl('-o', file, `${url}/${name}`);
  }

  /** Ends a service as a machine that dies does. */
  kill(service: ForeignService): void {
    process.kill(Number(readFileSync(this.places.pidFile(service), 'utf8')), 'SIGKILL');
    this.drive(service, 'stop');
  }

  /** Really loses all three stores: the database is dropped, the other two are ended and their folders removed. */
  async lose(): Promise<void> {
    await this.postgres((client) => client.query('DROP DATABASE novamem WITH (FORCE)'), 'postgres', 'postgres');
    this.kill('qdrant');
    this.drive('falkordb', 'stop');
    for (const data of [this.places.qdrantData, this.places.falkordbData]) rmSync(data, { recursive: true });
  }

  /** Changes, adds and deletes something in every store: what a restore has to undo where the stores still stand. */
  async writeOn(): Promise<void> {
    await this.postgres(async (client) => {
      await client.query(`UPDATE memory_entries SET content = 'overwritten' WHERE source = 'chat'`);
      await client.query(`DELETE FROM memory_entries WHERE namespace = 'notes'`);
      await client.query(
        'INSERT INTO "Reports"."Daily ""Totals""" (day) SELECT current_date FROM generate_series(1, 5)',
      );
      await client.query('DROP TABLE metrics_samples');
    });
    const { collections } = await measureQdrant(this.askQdrant);
    const [first, second] = Object.keys(collections);
    const filter = { must: [{ key: 'source', match: { value: 'chat' } }] };
    await this.askQdrant('POST', `/collections/${first}/points/delete?wait=true`, { filter });
    await this.askQdrant('POST', `/collections/${first}/points/payload?wait=true`, {
      payload: { source: 'elsewhere' },
      filter: {},
    });
    await this.askQdrant('DELETE', `/collections/${second}`);
    await this.redis(async (redis) => {
      await redis.call('GRAPH.QUERY', GRAPH, `MATCH (m:Memory {user: 'globex'}) DELETE m`);
      await redis.call('GRAPH.QUERY', GRAPH, `MATCH ()-[r:RELATES {kind: 'co_occurs'}]->() SET r.strength = 0`);
      await redis.call('GRAPH.QUERY', GRAPH, `CREATE (:Visitor {id: 'late'})`);
    });
  }

  /** One request to Qdrant; rejects when it does not succeed. */
  readonly askQdrant = async <T>(method: string, path: string, body?: unknown): Promise<T> => {
    const response = await fetch(`${this.#qdrantUrl}${path}`, {
      method,
      ...this.#trust,
      headers: { 'api-key': SECRETS.qdrant, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: HTTP ${response.status} ${text}`);
    return (JSON.parse(text) as { result: T }).result;
  };

  /** curl with the key of this cluster's Qdrant. */
  async curl(...args: string[]): Promise<Ended> {
    const trusting = this.tls ? ['--cacert', this.tls.ca.caFile] : [];
    const ended = await runFile('curl', ['-sS', '-H', `@${this.places.qdrantHeader}`, ...trusting, ...args]);
    if (ended.exitCode !== 0) throw new Error(`curl ${args.join(' ')}: ${ended.stderr}`);
    return ended;
  }

  /** Ends every process that was started and removes the folder. */
  async stop(): Promise<void> {
    if (this.#keeper.exitCode !== null) return;
    const ended = once(this.#keeper, 'exit');
    this.#keeper.stdin!.end();
    await ended;
  }

  async #make(memories: number): Promise<void> {
    const user = unprivilegedUser();
    layServices(this.folder, this.ports, this.binaries, user, this.tls);
    initDatabase(this.places.postgresData, this.folder, this.binaries, user);
    if (this.tls) this.layPostgresTls(this.tls.server, 'hostssl');
    for (const service of ['postgres', 'qdrant', 'falkordb'] as const) this.drive(service, 'start');
    await this.#untilAnswering();
    await this.#fill(memories);
    this.drive('novamem', 'start');
    await until('novamem is healthy', async () => (await fetch(`${this.#novamemUrl}/health`, this.#trust)).ok);
  }

  #qdrantClient(): QdrantClient {
    const client = new QdrantClient({
      host: 'localhost',
      port: this.ports.qdrant,
      https: this.tls !== undefined,
      headers: { 'api-key': SECRETS.qdrant },
      checkCompatibility: false,
    });
    const api = client.api() as unknown as Record<string, (payload: object, init: object) => unknown>;
    for (const [name, call] of Object.entries(api)) api[name] = (payload) => call(payload, this.#trust);
    return client;
  }

  async untilPostgresAnswers(): Promise<void> {
    await until('Postgres answers', () =>
      this.postgres((client) => client.query('SELECT 1'), 'postgres', 'postgres'),
    );
  }

  async #untilAnswering(): Promise<void> {
    await this.untilPostgresAnswers();
    await until('Qdrant answers', () => this.askQdrant('GET', '/collections'));
    await until('FalkorDB answers', () => this.redis((redis) => redis.call('GRAPH.LIST')));
  }

  async #fill(memories: number): Promise<void> {
    const data = makeSeedData(memories);
    await this.postgres(
      async (client) => {
        await client.query(`CREATE ROLE novamem LOGIN CREATEDB PASSWORD ${client.escapeLiteral(SECRETS.postgres)}`);
        await client.query('CREATE DATABASE novamem OWNER novamem');
      },
      'postgres',
      'postgres',
    );
    await this.postgres(async (client) => {
      await seedPostgres(client, data);
      await client.query(OTHER_SCHEMA);
    });
    await seedQdrant(this.#qdrantClient(), data);
    await this.redis((redis) => seedFalkordb(redis, GRAPH, data));
  }

  async #dumpPostgres(file: string): Promise<void> {
    const ended = await runFile(
      join(this.binaries.postgres, 'pg_dump'),
      [
        ...['-h', '127.0.0.1', '-p', String(this.ports.postgres), '-U', 'novamem', '-d', 'novamem'],
        ...['--format=custom', '--compress=9', '--file', file],
      ],
      {
        environment: {
          PGPASSWORD: SECRETS.postgres,
          ...(this.tls ? { PGSSLMODE: 'verify-full', PGSSLROOTCERT: this.tls.ca.caFile } : {}),
        },
      },
    );
    if (ended.exitCode !== 0) throw new Error(`pg_dump: ${ended.stderr}`);
  }

  /** Calls the operators' own script of a service. */
  drive(service: ForeignService, verb: 'start' | 'stop'): void {
    execFileSync(this.places.script(service), [verb], { stdio: 'ignore', timeout: START_PATIENCE });
  }

  #lastWords(service: ForeignService): string {
    try {
      return readFileSync(this.places.log(service), 'utf8').trim().split('\n').slice(-3).join('\n  ');
    } catch {
      return '(no log)';
    }
  }

  /** What Postgres shows from its next start or reload on (nothing: it speaks no TLS), and whom it lets in. */
  layPostgresTls(shows: Certificate | undefined, lets: 'host' | 'hostssl'): void {
    const { postgresData: data, configuration } = this.places;
    const settings = shows && {
      ssl: 'on',
      ssl_cert_file: shows.certFile,
      ssl_key_file: keyFor(unprivilegedUser(), shows, join(configuration, 'postgres.key')),
      ssl_ca_file: this.tls!.ca.caFile,
    };
    const lines = Object.entries(settings ?? { ssl: 'off' }).map(([name, value]) => `${name} = '${value}'\n`);
    writeFileSync(join(data, 'postgresql.auto.conf'), lines.join(''));
    writeFileSync(
      join(data, 'pg_hba.conf'),
      ['all', 'replication'].map((what) => `${lets} ${what} all 127.0.0.1/32 scram-sha-256\n`).join(''),
    );
  }

  /** Work in one connection of its own, as the role of the profile or as the administrator. */
  async postgres<T>(
    work: (client: pg.Client) => Promise<T>,
    database = 'novamem',
    user: 'novamem' | 'postgres' = 'novamem',
  ): Promise<T> {
    const password = user === 'novamem' ? SECRETS.postgres : SECRETS.administrator;
    const ssl = this.tls && { ca: readFileSync(this.tls.ca.caFile) };
    const client = new pg.Client({ host: '127.0.0.1', port: this.ports.postgres, user, password, database, ssl });
    client.on('error', () => {});
    try {
      await client.connect();
      return await work(client);
    } finally {
      await client.end().catch(() => {});
    }
  }

  #redisTls({ ca, client }: ForeignTls) {
    const [caPem, cert, key] = [ca.caFile, client.certFile, client.keyFile].map((file) => readFileSync(file));
    return { ca: caPem, cert, key };
  }

  async redis<T>(work: (redis: Redis) => Promise<T>): Promise<T> {
    const redis = new Redis({
      host: '127.0.0.1',
      port: this.ports.falkordb,
      password: SECRETS.falkordb,
      ...(this.tls ? { tls: this.#redisTls(this.tls) } : {}),
      lazyConnect: true,
      retryStrategy: () => null,
      maxRetriesPerRequest: 0,
    });
    redis.on('error', () => {});
    try {
      await redis.connect();
      return await work(redis);
    } finally {
      redis.disconnect();
    }
  }
}

/** Waits until the question is answered without an error, and not with false. */
async function until(what: string, ask: () => Promise<unknown>): Promise<void> {
  let last: unknown;
  const done = await waitFor(
    async () => {
      try {
        return (await ask()) === false ? undefined : true;
      } catch (error) {
        last = error;
        return undefined;
      }
    },
    { timeoutMs: START_PATIENCE, slowest: 100 },
  );
  if (!done) throw new Error(`waited in vain: ${what}`, { cause: last });
}

async function saveInBackground(redis: Redis): Promise<void> {
  const before = await redis.lastsave();
  // LASTSAVE has a resolution of one second: a second save within it could not be seen.
  await until('another second has begun', async () => Math.floor(Date.now() / 1000) > before);
  await redis.bgsave();
  await until('the save is done', async () => (await redis.lastsave()) > before);
}

function initDatabase(data: string, folder: string, binaries: Binaries, user: User | undefined): void {
  const passwordFile = join(folder, 'configuration', 'administrator-password');
  writeFileSync(passwordFile, SECRETS.administrator, { mode: 0o600 });
  mkdirSync(data, { mode: 0o700 });
  if (user) for (const path of [data, passwordFile]) chownSync(path, user.uid, user.gid);
  execFileSync(
    join(binaries.postgres, 'initdb'),
    [
      ...['--pgdata', data, '--username', 'postgres', '--auth', 'scram-sha-256', '--pwfile', passwordFile],
      ...['--encoding', 'UTF8', '--locale', 'C.UTF-8', '--data-checksums', '--no-sync', '--no-instructions'],
    ],
    { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'], ...user },
  );
}

/**
 * A shell that ends every process of the cluster and removes its folder as soon as its standard input ends: at `stop`, and
 * also when this process is killed. A pid counts only while that process still stands in the cluster's folder. Postgres'
 * immediate shutdown takes its children along; nothing else has children.
 */
function watchOver(folder: string): ChildProcess {
  const text = `
cat >/dev/null
each() {
  for file in "$folder"/pids/*; do
    pid=$(cat "$file" 2>/dev/null) || continue
    case "$(readlink "/proc/$pid/cwd")" in "$folder"*) "$@" ;; esac
  done
}
end() { case "$file" in */postgres) kill -QUIT "$pid" ;; *) kill -KILL "$pid" ;; esac; }
note() { running=yes; }
each end
for _ in $(seq 100); do
  running=
  each note
  [ -n "$running" ] || break
  sleep 0.1
done
finish() { kill -KILL "$pid"; }
each finish
rm -rf "$folder"`;
  const child = spawn('/bin/sh', ['-c', text], {
    cwd: '/',
    env: { PATH: process.env.PATH, folder },
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  child.unref();
  (child.stdin as Socket).unref();
  child.stdin.on('error', () => {});
  return child;
}
