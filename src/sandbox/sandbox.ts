import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  appendFileSync,
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { QdrantClient } from '@qdrant/js-client-rest';
import { Redis } from 'ioredis';
import pg from 'pg';
import { stringify } from 'yaml';
import { homeFolder } from '../config/home.js';
import { forgetIdentity } from '../config/identities.js';
import { type Profile, SERVICES, type ServiceName } from '../config/profile.js';
import { readProfile } from '../config/profiles.js';
import { shellWord } from '../hosts/command.js';
import { openGateway } from '../hosts/gateway.js';
import { isAlive, markOf, type ProcessMark, serversIn } from '../hosts/process-mark.js';
import { driverFor } from '../hosts/services/drivers.js';
import { waitFor } from '../hosts/waiting.js';
import { Problem } from '../problem.js';
import { Cluster } from '../stores/cluster.js';
import { durationOf, messageOf } from '../words.js';
import { type Binaries, findBinaries } from './binaries.js';
import { freePorts } from './free-ports.js';
import { ownProfile } from './own-profile.js';
import {
  claimRecord,
  isStale,
  listRecords,
  readRecord,
  removeRecord,
  type SandboxRecord,
  writeRecord,
} from './registry.js';
import { placesIn, profileOf } from './sandbox-profile.js';
import { makeSeedData } from './seed-data.js';
import { seedFalkordb, seedPostgres, seedQdrant } from './seed-stores.js';
import type { StandInSettings } from './stand-in.js';

export const DEFAULT_SANDBOX = 'sandbox';
export const DEFAULT_MEMORIES = 5_200;
const START_PATIENCE = 30_000;

export interface UpOptions {
  name?: string;
  /** How many memories it remembers; 0 leaves the stores empty. */
  memories?: number;
  /** `process`: it is taken down when this process ends, however it ends. */
  lives?: 'on' | 'process';
  onLine?: (line: string) => void;
}

/** How often it is begun before ports that others take meanwhile are no accident any more. */
const PORT_TRIES = 3;
const PORT_TAKEN = /address already in use|EADDRINUSE/i;

/** Starts a real cluster in a folder of its own, on free ports of 127.0.0.1, and fills it. One that is up already is left as it is. */
export function sandboxUp(options: UpOptions = {}): Promise<SandboxRecord> {
  return upWithin(PORT_TRIES, options);
}

async function upWithin(tries: number, options: UpOptions): Promise<SandboxRecord> {
  const { name = DEFAULT_SANDBOX, memories = DEFAULT_MEMORIES, lives = 'on', onLine = () => {} } = options;
  if (!/^[a-z][a-z0-9-]{0,30}$/.test(name))
    throw new Problem(`"${name}" cannot be a sandbox's name: lower-case letters, digits and dashes, at most 31.`, {
      next: 'choose another with --name',
    });
  await cleanStale(onLine);
  const existing = readRecord(name);
  if (existing?.state === 'up') {
    onLine(`the sandbox ${name} is there already`);
    await startAll(readProfile(placesIn(existing.folder).profile), onLine);
    return existing;
  }
  if (existing) throw isBeingMade(name, existing.maker.pid);
  const binaries = await findBinaries();
  const [postgres, qdrant, qdrantGrpc, falkordb, novamem] = (await freePorts(5)) as [
    number,
    number,
    number,
    number,
    number,
  ];
  const self = markOf(process.pid);
  const folder = join(realpathSync(tmpdir()), `novamem-runbook-sandbox-${name}-${randomBytes(3).toString('hex')}`);
  const record: SandboxRecord = {
    name,
    folder,
    createdAt: new Date().toISOString(),
    state: 'starting',
    maker: self,
    ...(lives === 'process' ? { owner: self } : {}),
    ports: { postgres, qdrant, qdrantGrpc, falkordb, novamem },
  };
  // The record comes before the folder: whatever happens from here on, it is known what to clean.
  if (!claimRecord(record)) throw isBeingMade(name, readRecord(name)?.maker.pid);
  if (lives === 'process') watchOver(record);
  try {
    const profile = await lay(record, binaries);
    await startAll(profile, onLine, ['postgres', 'qdrant', 'falkordb']);
    if (memories > 0) await fill(profile, memories, onLine);
    await startAll(profile, onLine, ['novamem']);
  } catch (error) {
    const logs = lastWords(folder);
    await takeDown(record);
    if (tries > 1 && PORT_TAKEN.test(logs)) {
      onLine('another program took one of its ports meanwhile: it is begun again, on others');
      return upWithin(tries - 1, options);
    }
    throw new Problem(`The sandbox ${name} did not start: ${messageOf(error)}.${logs}`, {
      safe: 'What had been started is stopped and removed.',
      next: 'see what this machine lacks: novamem-runbook doctor; then try again',
    });
  }
  const up: SandboxRecord = { ...record, state: 'up' };
  writeRecord(up);
  return up;
}

function isBeingMade(name: string, pid: number | undefined): Problem {
  return new Problem(`Another process (pid ${pid ?? 'unknown'}) is just making the sandbox ${name}.`, {
    next: 'wait for it, or choose another name with --name',
  });
}

/** Stops everything of a sandbox and removes it. Answers false when there is none of that name (or not in that folder). */
export async function sandboxDown(name: string, folder?: string): Promise<boolean> {
  const record = readRecord(name);
  if (!record || (folder !== undefined && record.folder !== folder)) return false;
  await takeDown(record);
  return true;
}

/** Every sandbox, with what of it runs. */
export async function sandboxStatus(): Promise<(SandboxRecord & { running: ServiceName[] })[]> {
  return Promise.all(
    listRecords().map(async (record) => {
      const { profile: file } = placesIn(record.folder);
      const profile = existsSync(file) ? readProfile(file) : undefined;
      const states = await Promise.all(
        SERVICES.map(async (service) => ({
          service,
          state: profile?.services[service] ? await driverFor(service, profile.services[service]).state() : 'stopped',
        })),
      );
      return { ...record, running: states.filter((one) => one.state === 'running').map((one) => one.service) };
    }),
  );
}

/** The profile of a sandbox that is up. */
export function sandboxProfile(name = DEFAULT_SANDBOX): Profile {
  const record = readRecord(name);
  if (record?.state !== 'up') {
    throw new Problem(`There is no sandbox "${name}".`, {
      next: `novamem-runbook sandbox up${nameOption(name)}`,
    });
  }
  return ownProfile(record);
}

const nameOption = (name: string) => (name === DEFAULT_SANDBOX ? '' : ` --name ${name}`);

export function sandboxProfileFile(name = DEFAULT_SANDBOX): string {
  sandboxProfile(name);
  return placesIn(readRecord(name)!.folder).profile;
}

export function sandboxNames(): string[] {
  return listRecords().map((record) => record.name);
}

/** Takes down what processes that are gone have left behind. */
export async function cleanStale(onLine: (line: string) => void = () => {}): Promise<void> {
  for (const record of listRecords().filter(isStale)) {
    onLine(`cleaning up the sandbox ${record.name}, which a process that is gone has left behind`);
    await takeDown(record);
  }
}

/** Makes the folder, the secrets, the configuration and an empty Postgres data directory. */
async function lay(record: SandboxRecord, binaries: Binaries): Promise<Profile> {
  const { folder, ports } = record;
  const places = placesIn(folder);
  const user = unprivilegedUser();
  mkdirSync(folder, { mode: 0o711 });
  for (const name of ['secrets', 'pids', 'falkordb', 'qdrant', 'backups'])
    mkdirSync(join(folder, name), { mode: 0o700 });
  mkdirSync(join(folder, 'logs'), { mode: 0o711 });
  const secrets = { postgres: secret(), qdrant: secret(), falkordb: secret(), novamem: `nm_${secret()}` };
  const keep = (path: string, text: string) => writeFileSync(path, text, { mode: 0o600 });
  for (const [name, value] of Object.entries(secrets)) keep(places.secret(name), `${value}\n`);
  keep(places.secret('qdrant-environment'), `QDRANT__SERVICE__API_KEY=${secrets.qdrant}\n`);
  keep(
    places.falkordbConfig,
    [
      'bind 127.0.0.1',
      `port ${ports.falkordb}`,
      `dir ${places.falkordbData}`,
      `requirepass ${secrets.falkordb}`,
      `loadmodule ${binaries.module}`,
      'appendonly yes',
      'appendfsync everysec',
      'daemonize no',
      '',
    ].join('\n'),
  );
  const standIn: StandInSettings = {
    port: ports.novamem,
    token: secrets.novamem,
    postgres: {
      host: '127.0.0.1',
      port: ports.postgres,
      user: 'novamem',
      password: secrets.postgres,
      database: 'novamem',
    },
    qdrant: { port: ports.qdrant, apiKey: secrets.qdrant },
    falkordb: { port: ports.falkordb, password: secrets.falkordb, graph: 'novamem' },
  };
  keep(places.standInSettings, JSON.stringify(standIn));
  initDatabase(folder, binaries, secrets.postgres, user);
  const profile = profileOf(record, binaries, user);
  keep(
    places.profile,
    `# The profile of the sandbox ${record.name}: a real cluster that may be broken at will.\n${stringify(profile)}`,
  );
  return profile;
}

function initDatabase(
  folder: string,
  binaries: Binaries,
  password: string,
  user: { uid: number; gid: number } | undefined,
): void {
  const { postgresData, walArchive } = placesIn(folder);
  for (const path of [postgresData, walArchive]) {
    mkdirSync(path, { mode: 0o700 });
    if (user) chownSync(path, user.uid, user.gid);
  }
  const passwordFile = join(mkdtempSync(join(folder, 'initdb-')), 'password');
  writeFileSync(passwordFile, password, { mode: 0o600 });
  if (user) for (const path of [join(passwordFile, '..'), passwordFile]) chownSync(path, user.uid, user.gid);
  chmodSync(join(passwordFile, '..'), 0o700);
  try {
    execFileSync(
      join(binaries.postgres, 'initdb'),
      [
        '--pgdata',
        postgresData,
        '--username',
        'novamem',
        '--auth',
        'scram-sha-256',
        '--pwfile',
        passwordFile,
        '--encoding',
        'UTF8',
        '--locale',
        'C.UTF-8',
        '--data-checksums',
        '--no-sync',
        '--no-instructions',
      ],
      { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'], env: { PATH: process.env.PATH, LC_ALL: 'C.UTF-8' }, ...user },
    );
  } catch (error) {
    throw new Error(`initdb failed: ${String((error as { stderr?: Buffer }).stderr ?? messageOf(error)).trim()}`);
  } finally {
    rmSync(join(passwordFile, '..'), { recursive: true, force: true });
  }
  // In the file and not among the arguments: what stands there a recovery could not switch off for its own time.
  appendFileSync(
    join(postgresData, 'postgresql.conf'),
    [
      '',
      "wal_level = 'replica'",
      "archive_mode = 'on'",
      `archive_command = '${archiveCommand(walArchive).replaceAll("'", "''")}'`,
      '',
    ].join('\n'),
  );
}

/** Only whole segments appear under their names. One that is there is never written over; the same once more is no error. */
function archiveCommand(folder: string): string {
  const at = shellWord(folder).replaceAll('%', '%%');
  return `cmp -s %p ${at}/%f || { test ! -e ${at}/%f && cp %p ${at}/.%f.part && mv ${at}/.%f.part ${at}/%f; }`;
}

/** Postgres refuses to run as root: the user `postgres` where there is one, else `nobody`. */
function unprivilegedUser(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const users = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'));
  const found = users.find(([name]) => name === 'postgres') ?? users.find(([name]) => name === 'nobody');
  if (!found)
    throw new Problem('Postgres refuses to run as root, and this machine has neither a user postgres nor nobody.', {
      next: 'make one (useradd --system postgres), or be somebody else than root',
    });
  return { uid: Number(found[2]), gid: Number(found[3]) };
}

const secret = () => randomBytes(18).toString('base64url');

/** Starts the services that do not run and waits until they answer; side by side. */
async function startAll(
  profile: Profile,
  onLine: (line: string) => void,
  services: readonly ServiceName[] = SERVICES,
): Promise<void> {
  const cluster = new Cluster(profile);
  const gateway = openGateway(() => {});
  await Promise.all(
    services.map(async (service) => {
      const started = Date.now();
      const driver = cluster.driver(service)!;
      if ((await driver.state()) === 'running') return;
      await driver.start(gateway, { onLine });
      let seen = '';
      const ready = await waitFor(
        async () => {
          const asked = await cluster.answering(service);
          seen = asked.seen;
          if (!asked.answers && (await driver.state()) === 'stopped') throw new Error(`${service} ended at once`);
          return asked.answers ? true : undefined;
        },
        { timeoutMs: START_PATIENCE, slowest: 100 },
      );
      if (!ready) throw new Error(`${service} did not answer within ${durationOf(START_PATIENCE)}: ${seen}`);
      onLine(`${service} answers after ${durationOf(Date.now() - started)}`);
    }),
  );
}

async function fill(profile: Profile, memories: number, onLine: (line: string) => void): Promise<void> {
  const started = Date.now();
  const data = makeSeedData(memories);
  const secretOf = (reference: string | undefined) => readFileSync(reference!.slice('file:'.length), 'utf8').trim();
  const host = '127.0.0.1';
  const postgresUrl = new URL(profile.postgres.url);
  const connection = {
    host,
    port: Number(postgresUrl.port),
    user: 'novamem',
    password: secretOf(profile.postgres.passwordFrom),
  };
  await Promise.all([
    (async () => {
      await withClient({ ...connection, database: 'postgres' }, (client) => client.query('CREATE DATABASE novamem'));
      await withClient({ ...connection, database: 'novamem' }, (client) => seedPostgres(client, data));
    })(),
    seedQdrant(
      new QdrantClient({
        host,
        port: Number(new URL(profile.qdrant.url).port),
        headers: { 'api-key': secretOf(profile.qdrant.apiKeyFrom) },
        checkCompatibility: false,
      }),
      data,
    ),
    (async () => {
      const port = Number(new URL(profile.falkordb.url).port);
      const redis = new Redis({
        host,
        port,
        password: secretOf(profile.falkordb.passwordFrom),
        retryStrategy: () => null,
        maxRetriesPerRequest: 0,
      });
      redis.on('error', () => {});
      await seedFalkordb(redis, profile.falkordb.graph, data).finally(() => redis.disconnect());
    })(),
  ]);
  onLine(
    `${data.memories.length} memories, ${data.relations.length} relations stored after ${durationOf(Date.now() - started)}`,
  );
}

async function withClient(settings: pg.ClientConfig, work: (client: pg.Client) => Promise<unknown>): Promise<void> {
  const client = new pg.Client(settings);
  // A connection that breaks between two queries reports it here; the next query reports it too.
  client.on('error', () => {});
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end();
  }
}

/** Ends every process of a sandbox at once, then removes its folder and, last, its record. */
async function takeDown(record: SandboxRecord): Promise<void> {
  forgetIdentity(record.name);
  const { pidFile } = placesIn(record.folder);
  const marks = SERVICES.flatMap((service): { mark: ProcessMark; signal: NodeJS.Signals }[] => {
    const file = pidFile(service);
    if (!existsSync(file)) return [];
    const mark = JSON.parse(readFileSync(file, 'utf8')) as ProcessMark;
    // Postgres' immediate shutdown takes its children along; nothing else has children.
    return isAlive(mark) ? [{ mark, signal: service === 'postgres' ? 'SIGQUIT' : 'SIGKILL' }] : [];
  });
  // A folder that was removed took the pid files along: its servers are known by where they work.
  if (!existsSync(record.folder))
    marks.push(...serversIn(record.folder).map((mark) => ({ mark, signal: 'SIGKILL' as const })));
  for (const { mark, signal } of marks) endNow(mark, signal);
  const gone = await waitFor(async () => (marks.some(({ mark }) => isAlive(mark)) ? undefined : true), {
    timeoutMs: 10_000,
    slowest: 100,
  });
  if (!gone) for (const { mark } of marks) endNow(mark, 'SIGKILL');
  rmSync(record.folder, { recursive: true, force: true, maxRetries: 5 });
  removeRecord(record.name);
  // Its keeper has nothing left to keep.
  keepers.get(record.folder)?.kill('SIGKILL');
  keepers.delete(record.folder);
}

/** Ends one process; that it is gone already (a child of one that was ended before) is no error. */
function endNow(mark: ProcessMark, signal: NodeJS.Signals): void {
  try {
    if (isAlive(mark)) process.kill(mark.pid, signal);
  } catch {
    // Gone between the look and the signal.
  }
}

/** The keepers that this process has started, by the folder they watch over. */
const keepers = new Map<string, ChildProcess>();

/** A process of its own that takes the sandbox down when this one is gone, even killed: its standard input then ends. */
function watchOver(record: SandboxRecord): void {
  const keeper = fileURLToPath(new URL('../../dist/sandbox/keeper-main.js', import.meta.url));
  const child = spawn(process.execPath, [keeper, record.name, record.folder], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
    env: { ...process.env, NOVAMEM_RUNBOOK_HOME: homeFolder() },
  });
  child.unref();
  (child.stdin as unknown as { unref(): void }).unref();
  keepers.set(record.folder, child);
}

function lastWords(folder: string): string {
  const { log } = placesIn(folder);
  return SERVICES.map((service) => {
    if (!existsSync(log(service))) return '';
    const lines = readFileSync(log(service), 'utf8').trim().split('\n').slice(-3).join('\n    ');
    return lines === '' ? '' : `\n  ${service}: ${lines}`;
  }).join('');
}
