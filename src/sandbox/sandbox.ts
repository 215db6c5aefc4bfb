import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { homeFolder } from '../config/home.js';
import { forgetIdentity } from '../config/identities.js';
import { PACKAGE_ROOT } from '../config/package-root.js';
import { type Profile, SERVICES, type ServiceName } from '../config/profile.js';
import { readProfile } from '../config/profiles.js';
import { openGateway } from '../hosts/gateway.js';
import { isAlive, markOf, type ProcessMark, serversIn } from '../hosts/process-mark.js';
import { driverFor } from '../hosts/services/drivers.js';
import { waitFor } from '../hosts/waiting.js';
import { Problem } from '../problem.js';
import { Cluster } from '../stores/cluster.js';
import { durationOf, messageOf } from '../words.js';
import { findBinaries } from './binaries.js';
import { fill } from './fill.js';
import { freePorts } from './free-ports.js';
import { lay } from './lay.js';
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
import { ORDINARY, placesIn, type SandboxShape } from './sandbox-profile.js';

export const DEFAULT_SANDBOX = 'sandbox';
export const DEFAULT_MEMORIES = 5_200;
const START_PATIENCE = 30_000;

export interface UpOptions {
  name?: string;
  /** How many memories it remembers; 0 leaves the stores empty. */
  memories?: number;
  /** What it remembers is the same for the same seed. */
  seed?: number;
  /** What its stores are called, and of which versions they are to be. */
  shape?: SandboxShape;
  /** `false`: novamem is not started, for stores into which something else comes first. */
  novamem?: boolean;
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
  const { name = DEFAULT_SANDBOX, memories = DEFAULT_MEMORIES, seed, lives = 'on', onLine = () => {} } = options;
  const { shape = ORDINARY, novamem: withNovamem = true } = options;
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
  const binaries = await findBinaries(shape.postgresMajor);
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
    const profile = await lay(record, binaries, shape);
    await startAll(profile, onLine, ['postgres', 'qdrant', 'falkordb']);
    if (memories > 0) await fill(profile, { memories, seed }, onLine);
    if (withNovamem) await startAll(profile, onLine, ['novamem']);
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
  if (record && (folder === undefined || record.folder === folder)) {
    await takeDown(record);
    return true;
  }
  // Its record is gone, or is that of a later one: what works in the folder is its own all the same.
  if (folder === undefined || !existsSync(folder)) return false;
  await endServersIn(folder);
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

/** Ends every process of a sandbox at once, then removes its folder and, last, its record. */
async function takeDown({ name, folder }: SandboxRecord): Promise<void> {
  forgetIdentity(name);
  await endServersIn(folder);
  removeRecord(name);
  // Its keeper has nothing left to keep.
  keepers.get(folder)?.kill('SIGKILL');
  keepers.delete(folder);
}

/** Ends the servers of a sandbox, and removes its folder. */
async function endServersIn(folder: string): Promise<void> {
  const { pidFile } = placesIn(folder);
  const marks = SERVICES.flatMap((service): { mark: ProcessMark; signal: NodeJS.Signals }[] => {
    const file = pidFile(service);
    if (!existsSync(file)) return [];
    const mark = JSON.parse(readFileSync(file, 'utf8')) as ProcessMark;
    // Postgres' immediate shutdown takes its children along; nothing else has children.
    return isAlive(mark) ? [{ mark, signal: service === 'postgres' ? 'SIGQUIT' : 'SIGKILL' }] : [];
  });
  // A folder that was removed took the pid files along: its servers are known by where they work.
  if (!existsSync(folder)) marks.push(...serversIn(folder).map((mark) => ({ mark, signal: 'SIGKILL' as const })));
  for (const { mark, signal } of marks) endNow(mark, signal);
  const gone = await waitFor(async () => (marks.some(({ mark }) => isAlive(mark)) ? undefined : true), {
    timeoutMs: 10_000,
    slowest: 100,
  });
  if (!gone) for (const { mark } of marks) endNow(mark, 'SIGKILL');
  unmountBelow(folder);
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}

/** A disaster may have put a small disk under a store. */
function unmountBelow(folder: string): void {
  if (!existsSync('/proc/self/mounts')) return;
  const mounts = readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[1] ?? '');
  for (const mount of mounts.filter((path) => path.startsWith(`${folder}/`))) spawnSync('umount', ['-l', mount]);
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
  const keeper = join(PACKAGE_ROOT, 'dist', 'bundle', 'keeper-main.js');
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
