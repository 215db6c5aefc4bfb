import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { expect } from 'vitest';
import type { ServiceName } from '../../src/config/profile.js';
import { resolveSecret } from '../../src/config/secrets.js';
import type { JournalEvent } from '../../src/engine/journal.js';
import { eventually, familyOf, isRunning, killAll, processes } from './eventually.js';
import {
  type MeasuredFalkordb,
  type MeasuredPostgres,
  type MeasuredQdrant,
  measureFalkordb,
  measurePostgres,
  measureQdrant,
} from './measure.js';
import { type Ended, PROGRAM, runProgram } from './program.js';
import { open, type RealCluster } from './sandbox.js';
import { tempFolder } from './temp.js';
import { type WatchedPort, watchedPort } from './watched-port.js';

// The real program on a real cluster whose servers it reaches through watched ports, so that what goes wrong does so exactly
// when certain words are on their way to a server.

export interface HalfWay {
  ports: Record<ServiceName, WatchedPort>;
  /** The cluster's profile with the watched ports in it. */
  profile: string;
  /** Runs a scenario to whatever end it comes to. */
  run(scenario: string, ...more: string[]): Promise<Tried>;
}

/** A run as it was told, and as its journal tells it. */
export interface Tried extends Ended {
  id: string;
  folder: string;
  events: JournalEvent[];
  /** The last of what was printed, to be shown where something else was expected. */
  words: string;
}

const RUN_PATIENCE = 120_000;

export async function halfWay({ cluster, record }: RealCluster): Promise<HalfWay> {
  const { ports } = record;
  const watched = {
    postgres: await watchedPort(ports.postgres),
    qdrant: await watchedPort(ports.qdrant),
    falkordb: await watchedPort(ports.falkordb),
    novamem: await watchedPort(ports.novamem),
  };
  const { postgres, qdrant, falkordb, novamem } = cluster.profile;
  const through = (url: string, { port }: WatchedPort) => Object.assign(new URL(url), { port }).href;
  const profile = join(tempFolder('profile'), 'watched.yaml');
  writeFileSync(
    profile,
    JSON.stringify({
      ...cluster.profile,
      postgres: { ...postgres, url: through(postgres.url, watched.postgres) },
      qdrant: { ...qdrant, url: through(qdrant.url, watched.qdrant) },
      falkordb: { ...falkordb, url: through(falkordb.url, watched.falkordb) },
      novamem: { ...novamem, url: through(novamem!.url, watched.novamem) },
    }),
  );
  const run = async (scenario: string, ...more: string[]) => {
    // Behind its watched port every store is somewhere else than it was.
    const meant = ['--confirm', cluster.name, '--accept', 'cluster'];
    const args = ['run', scenario, '--profile', profile, '--headless', ...meant, ...more];
    const ended = await runProgram(args, { timeoutMs: RUN_PATIENCE });
    const words = (ended.stdout + ended.stderr).slice(-6_000);
    const journal = /^Journal +(\S+) \(intact\)$/m.exec(ended.stdout)?.[1];
    if (journal === undefined) throw new Error(`the run left no intact journal: ${words}`);
    const events = readFileSync(journal, 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as JournalEvent);
    return { ...ended, id: events[0]!.run, folder: join(journal, '..'), events, words };
  };
  return { ports: watched, profile, run };
}

/**
 * What the failure of a step says and leaves, as every scenario has to. `serving`: novamem is not stopped by this scenario, or
 * has to run for its central step. Answers the step's reason.
 */
export async function failedAsAnnounced(
  { cluster }: RealCluster,
  { profile }: HalfWay,
  tried: Tried,
  step: string,
  { serving = false } = {},
): Promise<string> {
  expect(tried.exitCode, tried.words).toBe(1);
  const of = tried.events.filter((event) => 'step' in event && event.step === step);
  const plan = of.findLast((event) => event.type === 'step.planned')!.plan;
  const ended = of.findLast((event) => event.type === 'step.finished')!;
  expect(ended.outcome).toBe('failed');
  for (const words of [
    `${step} failed: ${plan.summary}`,
    `Left      ${plan.onAbort}`,
    `Way back  ${plan.wayBack}`,
    `Next      mend what it says, then go on with it: novamem-runbook resume ${tried.id}; or begin anew, with the answers and settings of before: novamem-runbook run `,
  ])
    expect(tried.stdout).toContain(words);
  for (const copy of of.filter((event) => event.type === 'step.safety-copy'))
    expect(tried.stdout).toContain(`Kept      ${copy.of}: ${copy.at} (${copy.verified})`);
  const verified = await runProgram(['runs', 'verify', tried.id]);
  expect(verified, tried.words).toMatchObject({ exitCode: 0 });
  expect(leftRunning(profile, tried.id)).toEqual([]);
  expect((await cluster.answering('novamem')).answers).toBe(serving);
  return ended.reason!;
}

/** What still runs of a run: the program itself, or one that it started. */
const leftRunning = (profile: string, run: string) =>
  processes()
    .filter(({ command }) => command.includes(run) || (command.includes(PROGRAM) && command.includes(profile)))
    .map(({ command }) => command);

/** The processes of a service that run now. */
function processesOf({ places }: RealCluster, service: ServiceName): number[] {
  if (!existsSync(places.pidFile(service))) return [];
  const { pid } = JSON.parse(readFileSync(places.pidFile(service), 'utf8')) as { pid: number };
  return familyOf([pid]).filter(isRunning);
}

/** Ends a server as a crash does: none of its processes does anything more. */
export async function kill(real: RealCluster, service: ServiceName): Promise<void> {
  const family = processesOf(real, service);
  if (family.length === 0) throw new Error(`${service} does not run: it cannot be killed`);
  killAll(family);
  await eventually(`${service} is gone`, () => !family.some(isRunning));
}

export async function start({ cluster }: RealCluster, service: ServiceName): Promise<void> {
  await cluster.driver(service)!.start(open, { onLine: () => {} });
  await eventually(`${service} answers`, async () => (await cluster.answering(service)).answers);
}

/** Every row of a database. Sequences are left out: after a crash they may be some numbers ahead. */
export async function rowsIn(real: RealCluster, database?: string): Promise<MeasuredPostgres['tables']> {
  const client = await real.session(database);
  try {
    return (await measurePostgres(client)).tables;
  } finally {
    await client.end();
  }
}

export async function vectorsIn({ cluster, record }: RealCluster): Promise<MeasuredQdrant['collections']> {
  const key = resolveSecret(cluster.profile.qdrant.apiKeyFrom!, 'the key of Qdrant');
  const { collections } = await measureQdrant(async <T>(method: string, path: string, body?: unknown) => {
    const response = await fetch(`http://127.0.0.1:${record.ports.qdrant}${path}`, {
      method,
      headers: { 'api-key': key, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return ((await response.json()) as { result: T }).result;
  });
  return collections;
}

/** A graph of the server, its own one if none is named. The list of all graphs is left out. */
export async function graphIn(
  { cluster, record }: RealCluster,
  graph = cluster.falkordb.graph,
): Promise<Omit<MeasuredFalkordb, 'graphs'>> {
  const password = resolveSecret(cluster.profile.falkordb.passwordFrom!, 'the password of FalkorDB');
  const redis = new Redis({ port: record.ports.falkordb, password, retryStrategy: () => null });
  redis.on('error', () => {});
  try {
    const { graphs: _, ...measured } = await measureFalkordb(redis, graph);
    return measured;
  } finally {
    redis.disconnect();
  }
}

/** The safety copies that a run has told of. */
export const copiesOf = ({ events }: Tried) => events.filter((event) => event.type === 'step.safety-copy');

/** Restores a snapshot into a collection as the handbook of Qdrant says. */
export async function uploadTo({ cluster, record }: RealCluster, collection: string, file: string): Promise<void> {
  const form = new FormData();
  form.set('snapshot', new Blob([readFileSync(file)]), 'copy.snapshot');
  const url = `http://127.0.0.1:${record.ports.qdrant}/collections/${collection}/snapshots/upload?priority=snapshot&wait=true`;
  const key = resolveSecret(cluster.profile.qdrant.apiKeyFrom!, 'the key of Qdrant');
  const { status } = await fetch(url, { method: 'POST', headers: { 'api-key': key }, body: form });
  expect(status).toBe(200);
}

/** A run in which a server is killed when these words are on their way to it. */
export async function broken(
  real: RealCluster,
  { ports }: HalfWay,
  [of, words, more]: [ServiceName, string, { time?: number; when?: 'answered' }?],
  run: () => Promise<Tried>,
): Promise<Tried> {
  const killed = ports[of].once(words, () => kill(real, of), more);
  const tried = await run();
  expect(killed.happened, tried.words).toBe(true);
  expect((await real.cluster.answering(of)).answers).toBe(false);
  return tried;
}

export async function isRecovered({ cluster }: RealCluster, again: Tried): Promise<void> {
  expect(again.exitCode, again.words).toBe(0);
  expect((await cluster.answering('novamem')).answers).toBe(true);
}
