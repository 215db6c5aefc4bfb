import { type ChildProcess, spawnSync } from 'node:child_process';
import { channel } from 'node:diagnostics_channel';
import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { Redis } from 'ioredis';
import { resolveSecret } from '../../src/config/secrets.js';
import { toolsFor } from '../../src/stores/postgres/tools.js';
import type { RealCluster } from './sandbox.js';

/** What was done since a watch began. Empty where nothing was. */
export interface Watched {
  /** Records of the write-ahead log, but those that a server writes by itself, and statements that change data or schema. */
  postgres: string[];
  /** Requests that Qdrant has answered and that are none of reading: `2 × PUT /collections/{name}/points`. */
  qdrant: string[];
  /** Commands that FalkorDB's server has run and that are none of reading: `1 × graph.query`. */
  falkordb: string[];
  /** Requests that this process has sent to novamem, but for reading and searching. */
  novamem: string[];
  /** Programs that this process has started, with their arguments. */
  programs: string[];
}

/** Has the server tell in its own log of every statement that changes anything, and leaves nobody at work in it but clients. */
export async function quietPostgres(real: RealCluster): Promise<void> {
  for (const setting of ["log_statement = 'mod'", 'autovacuum = off']) await real.sql(`ALTER SYSTEM SET ${setting}`);
  await real.sql('SELECT pg_reload_conf()');
  await real.sql('VACUUM');
  await real.sql('CHECKPOINT');
}

/** Begins to watch; what is called then answers what was done since. The stores are asked themselves: their log and their counters. */
export async function watchWrites(real: RealCluster): Promise<() => Promise<Watched>> {
  const programs = watchPrograms();
  const requests = watchRequests(real.cluster.profile.novamem!.url);
  const [lsn, logged, rest, commands] = await Promise.all([
    insertPosition(real),
    statementsLogged(real).length,
    answeredByQdrant(real),
    runByFalkordb(real),
  ]);
  return async () => {
    // Before anything is asked for here, which starts a program itself.
    const started = programs();
    return {
      programs: started,
      novamem: requests(),
      postgres: [...(await recordsSince(real, lsn)), ...statementsLogged(real).slice(logged)],
      qdrant: grown(rest, await answeredByQdrant(real)).filter((request) => !READS_OF_QDRANT.test(request)),
      falkordb: grown(commands, await runByFalkordb(real)).filter((command) => !READS_OF_FALKORDB.test(command)),
    };
  };
}

async function insertPosition(real: RealCluster): Promise<string> {
  const [row] = await real.sql('SELECT pg_current_wal_insert_lsn() AS lsn');
  return row!.lsn as string;
}

/** What a server writes by itself: hints and line pointers of pages that were read, checkpoints, the running transactions. */
const BY_ITSELF = /RUNNING_XACTS|CHECKPOINT_ONLINE|FPI_FOR_HINT|desc: PRUNE|rmgr: LogicalMessage/;

async function recordsSince(real: RealCluster, from: string): Promise<string[]> {
  // Its commit has all of the log before it written to the files that are read here.
  const [row] = await real.sql("SELECT pg_logical_emit_message(true, 'test', 'until here') AS lsn");
  const [version] = await real.sql("SELECT current_setting('server_version_num')::int / 10000 AS major");
  const { bin } = await toolsFor(version!.major as number);
  const dump = spawnSync(
    join(bin, 'pg_waldump'),
    ['-p', join(real.places.postgresData, 'pg_wal'), '-s', from, '-e', row!.lsn as string],
    { encoding: 'utf8' },
  );
  if (dump.status !== 0) throw new Error(`pg_waldump ended with ${dump.status}: ${dump.stderr}`);
  const records = dump.stdout.split('\n').filter((line) => line !== '');
  if (!records.some((line) => line.includes('LogicalMessage')))
    throw new Error(`the log between ${from} and ${row!.lsn} was not read: ${dump.stdout}`);
  return records.filter((line) => !BY_ITSELF.test(line));
}

const statementsLogged = (real: RealCluster): string[] =>
  readFileSync(real.places.log('postgres'), 'utf8')
    .split('\n')
    .filter((line) => /LOG: {2}(statement|execute [^:]*): /.test(line));

type Counts = ReadonlyMap<string, number>;

const grown = (before: Counts, after: Counts): string[] =>
  [...after].flatMap(([what, count]) => {
    const more = count - (before.get(what) ?? 0);
    return more > 0 ? [`${more} × ${what}`] : [];
  });

/** `GET` anything, and what is asked for with a body. */
const READS_OF_QDRANT =
  /× (GET |POST \/collections\/\{\w+\}\/(points|points\/(scroll|count|search|query|search\/batch|query\/batch)|facet)$)/;

/** What another program asks of Qdrant. */
export function askQdrant({ cluster }: RealCluster, method: string, path: string, body?: unknown): Promise<Response> {
  const { url, apiKeyFrom } = cluster.profile.qdrant;
  return fetch(new URL(path, url), {
    method,
    headers: { 'api-key': resolveSecret(apiKeyFrom!, 'the Qdrant key'), 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
}

/** How often it has answered each kind of request since it was started. */
export async function answeredByQdrant(real: RealCluster): Promise<Counts> {
  const answer = await askQdrant(real, 'GET', '/telemetry?details_level=3');
  const { result } = (await answer.json()) as {
    result: { requests: Record<'rest' | 'grpc', { responses: Record<string, Record<string, { count: number }>> }> };
  };
  return new Map(
    Object.entries({ ...result.requests.rest.responses, ...result.requests.grpc.responses }).map(([request, by]) => [
      request,
      Object.values(by).reduce((sum, { count }) => sum + count, 0),
    ]),
  );
}

const READS_OF_FALKORDB =
  /× (info|ping|auth|hello|select|quit|role|dbsize|lastsave|scan|type|exists|client\|\w+|config\|get|module\|list|command(\|\w+)?|memory\|usage|graph\.ro_query|graph\.list|graph\.info)$/;

/** A client of another program. */
export function plainRedis({ cluster }: RealCluster): Redis {
  const { url, passwordFrom } = cluster.profile.falkordb;
  return new Redis(url, { password: resolveSecret(passwordFrom!, 'the FalkorDB password') });
}

async function runByFalkordb(real: RealCluster): Promise<Counts> {
  const redis = plainRedis(real);
  try {
    const stats = await redis.info('commandstats');
    return new Map(
      [...stats.matchAll(/^cmdstat_(\S+?):calls=(\d+)/gm)].map(([, command, calls]) => [
        command!.toLowerCase(),
        Number(calls),
      ]),
    );
  } finally {
    redis.disconnect();
  }
}

/** Every program that this process starts, as Node itself tells, whoever starts it. */
export function watchPrograms(): () => string[] {
  const children: ChildProcess[] = [];
  const take = (message: unknown) => children.push((message as { process: ChildProcess }).process);
  channel('child_process').subscribe(take);
  return () => {
    channel('child_process').unsubscribe(take);
    return children.map(({ spawnfile, spawnargs }) =>
      [basename(spawnargs[0] ?? spawnfile), ...spawnargs.slice(1)].join(' '),
    );
  };
}

/** Requests that this process sends there, as the client that sends them tells. */
function watchRequests(url: string): () => string[] {
  const sent: string[] = [];
  const take = (message: unknown) => {
    const { request } = message as { request: { origin: string; method: string; path: string } };
    if (String(request.origin) === new URL(url).origin) sent.push(`${request.method} ${request.path}`);
  };
  channel('undici:request:create').subscribe(take);
  return () => {
    channel('undici:request:create').unsubscribe(take);
    return sent.filter((request) => !/^(GET|OPTIONS) |^POST \/v1\/search$/.test(request));
  };
}
