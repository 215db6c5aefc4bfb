import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, renameSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { PACKAGE_ROOT } from '../../config/package-root.js';
import { resolveSecret } from '../../config/secrets.js';
import { waitFor } from '../../hosts/waiting.js';
import { type Postgres, quoteIdentifier } from '../../stores/postgres/connection.js';
import { otherSessions } from '../../stores/postgres/server.js';
import { plural } from '../../words.js';
import { remember, WRITTEN_SINCE } from '../remember.js';
import { type Disaster, gateway, type Scene, start, stop } from './disaster.js';

// What can happen to the source of truth.

const BLOCK = 8192;
const ARCHIVER_PATIENCE = 30_000;
const SESSION_PATIENCE = 30_000;

/** What the session calls itself that was forgotten, and its program, compiled: it is started as a process of its own. */
const FORGOTTEN = 'nightly report';
const IDLE_SESSION = join(PACKAGE_ROOT, 'dist', 'bundle', 'idle-session-main.js');

/** Ends every session and drops the database. */
export async function dropDatabase({ cluster: { postgres } }: Scene): Promise<string> {
  const maintenance = await postgres.maintenanceDatabase();
  for (const { pid } of await otherSessions(postgres))
    await postgres.write(gateway, `SELECT pg_terminate_backend(${pid})`, maintenance);
  await postgres.write(
    gateway,
    `DROP DATABASE IF EXISTS ${quoteIdentifier(postgres.database)} WITH (FORCE)`,
    maintenance,
  );
  return `database ${postgres.database} dropped`;
}

async function deleteMemories({ cluster: { postgres } }: Scene, namespace: string): Promise<string> {
  const [row] = await postgres.read<{ count: string }>(
    'SELECT count(*)::text AS count FROM memory_entries WHERE namespace = $1',
    [namespace],
  );
  await postgres.write(gateway, `DELETE FROM memory_entries WHERE namespace = '${namespace}'`);
  return `${plural(Number(row!.count), 'memory', 'memories')} of the namespace ${namespace} deleted`;
}

export const pagesDamaged: Disaster = {
  id: 'pages-damaged',
  title: 'Two pages of memory_entries are overwritten while Postgres is stopped',
  scenario: 'postgres-corrupt',
  pager: 'novamem: HTTP 500 on /v1/search, "invalid page in block"',
  users: 'Some searches fail, others work.',
  before: ['backup', 'memories'],
  async strike(scene) {
    const { postgres } = scene.cluster;
    const [row] = await postgres.read<{ path: string }>("SELECT pg_relation_filepath('memory_entries') AS path");
    await postgres.write(gateway, 'CHECKPOINT');
    await stop(scene, 'postgres');
    const file = join(scene.places.postgresData, row!.path);
    const blocks = Math.floor(statSync(file).size / BLOCK);
    const hit = [...new Set([Math.floor(blocks / 3), Math.floor((2 * blocks) / 3)])];
    const descriptor = openSync(file, 'r+');
    for (const block of hit) writeSync(descriptor, Buffer.alloc(BLOCK, 0xa5), 0, BLOCK, block * BLOCK);
    closeSync(descriptor);
    await start(scene, 'postgres');
    return [`pages ${hit.join(' and ')} of ${blocks} of memory_entries overwritten`];
  },
};

/** Somebody deletes, and nobody notices for a while. */
async function deleteAndWriteOn(scene: Scene): Promise<string> {
  const deleted = await deleteMemories(scene, 'incidents');
  await remember(scene.profile, WRITTEN_SINCE);
  return `${deleted}; ${plural(WRITTEN_SINCE.length, 'memory', 'memories')} written since`;
}

export const rowsDeleted: Disaster = {
  id: 'rows-deleted',
  title: 'Somebody deletes every memory of a namespace, and writing goes on',
  scenario: 'postgres-point-in-time',
  pager: 'nothing: every service is up',
  users: 'All our incidents are gone since a few minutes ago!',
  before: ['base-backup', 'memories'],
  strike: async (scene) => [await deleteAndWriteOn(scene)],
};

async function archiver({ cluster: { postgres } }: Scene): Promise<{ archived: number; failures: number }> {
  const [row] = await postgres.read<{ archived: string; failures: string }>(
    'SELECT archived_count AS archived, failed_count AS failures FROM pg_stat_archiver',
  );
  return { archived: Number(row!.archived), failures: Number(row!.failures) };
}

/** Ends a segment of the log, and waits for what the archiver makes of it. */
async function endSegment(scene: Scene, becomes: 'archived' | 'failures'): Promise<void> {
  const before = (await archiver(scene))[becomes];
  await scene.cluster.postgres.write(gateway, 'SELECT pg_switch_wal()');
  const done = await waitFor(async () => ((await archiver(scene))[becomes] > before ? true : undefined), {
    timeoutMs: ARCHIVER_PATIENCE,
  });
  if (!done) throw new Error(`Postgres counts no more ${becomes} of its log than before`);
}

export const walArchiveNotMounted: Disaster = {
  id: 'wal-archive-not-mounted',
  title: 'Somebody deletes every memory of a namespace, and the WAL archive is not mounted',
  scenario: 'postgres-point-in-time',
  pager: 'Postgres: archive_command has failed for a while',
  users: 'All our incidents are gone since a few minutes ago!',
  before: ['base-backup', 'memories'],
  async strike(scene) {
    const { walArchive } = scene.places;
    // What is archived Postgres keeps until its next checkpoint only: from there on nothing but the archive has it.
    await endSegment(scene, 'archived');
    await scene.cluster.postgres.write(gateway, 'CHECKPOINT');
    renameSync(walArchive, `${walArchive}-not-mounted`);
    mkdirSync(walArchive, { mode: 0o500 });
    const deleted = await deleteAndWriteOn(scene);
    await endSegment(scene, 'failures');
    return [`the archive was moved to ${walArchive}-not-mounted, an empty folder is in its place`, deleted];
  },
};

/** The session is there, waits for its client in a transaction, and has the lock. */
async function holdsLock(postgres: Postgres): Promise<true | undefined> {
  const [row] = await postgres.read<{ holds: boolean }>(
    `SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_stat_activity a USING (pid)
       WHERE l.relation = 'memory_entries'::regclass AND l.granted
         AND a.application_name = $1 AND a.state = 'idle in transaction') AS holds`,
    [FORGOTTEN],
  );
  return row!.holds || undefined;
}

export const sessionHoldsLock: Disaster = {
  id: 'session-holds-lock',
  title: 'A forgotten session holds a lock on the memories, whose table was emptied',
  scenario: 'postgres-corrupt',
  pager: 'novamem: searches find nothing; Postgres: a transaction is open and idle',
  users: 'Everything I ever remembered is gone.',
  before: ['backup', 'memories'],
  async strike({ cluster: { postgres, profile } }) {
    await postgres.write(gateway, 'DELETE FROM memory_entries');
    const { host, port, user, database } = postgres;
    const child = spawn(process.execPath, [IDLE_SESSION, 'memory_entries'], {
      detached: true,
      stdio: 'ignore',
      env: {
        ...process.env,
        PGHOST: host,
        PGPORT: String(port),
        PGUSER: user,
        PGDATABASE: database,
        PGAPPNAME: FORGOTTEN,
        PGPASSWORD: resolveSecret(profile.postgres.passwordFrom!, 'the Postgres password'),
      },
    });
    const failed = new Promise<never>((_, reject) => child.once('error', reject));
    child.unref();
    const holds = await Promise.race([waitFor(() => holdsLock(postgres), { timeoutMs: SESSION_PATIENCE }), failed]);
    if (!holds) throw new Error(`no session holds a lock on memory_entries, though one was begun (pid ${child.pid})`);
    return [
      'every row of memory_entries deleted',
      `a session "${FORGOTTEN}", idle in its transaction, holds ACCESS SHARE on memory_entries`,
    ];
  },
};
