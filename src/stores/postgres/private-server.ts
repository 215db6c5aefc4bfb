import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command, User } from '../../hosts/command.js';
import { exists, giveTo, makeFolder, remove, writeText } from '../../hosts/files.js';
import type { Gateway } from '../../hosts/gateway.js';
import { type Ended, runCommand } from '../../hosts/run-command.js';
import { waitFor } from '../../hosts/waiting.js';
import { messageOf } from '../../words.js';
import { Postgres, sqlState } from './connection.js';
import type { Installation } from './tools.js';

const START_PATIENCE = 300_000;
const CANNOT_CONNECT_NOW = '57P03';
const PORT = 5432;

/** A server for this program alone: no network at all, and a socket in a folder that nobody else may enter. */
export interface PrivateServer {
  /** A database of it, as its superuser. */
  database(name: string): Postgres;
  /** Databases that it has, by name. */
  databases(): Promise<string[]>;
  stop(): Promise<void>;
}

export interface PrivateServerOptions {
  /** Its data directory: a copy. It is written to. */
  dataDir: string;
  /** An empty folder for its configuration and its socket; short, since the path of a socket is. */
  folder: string;
  programs: Installation;
  /** Whom it runs as, where this program runs as root. */
  user?: User;
  /** Roles that may be known to it, to find its superuser through. */
  roles: readonly string[];
  settings?: Record<string, string>;
  onLine: (line: string) => void;
  signal: AbortSignal;
}

/** A server that ended before it was ready. */
export class DidNotStart extends Error {
  override name = 'DidNotStart';
}

/**
 * Takes from a copied data directory what would tie its server to the original's surroundings: settings, the lock file,
 * what makes it a standby, slots that others read from.
 */
export async function untie(gateway: Gateway, dataDir: string): Promise<void> {
  for (const name of ['postmaster.pid', 'standby.signal', 'recovery.signal'])
    if (await exists(join(dataDir, name))) await remove(gateway, join(dataDir, name));
  if (await exists(join(dataDir, 'postgresql.auto.conf')))
    await writeText(gateway, join(dataDir, 'postgresql.auto.conf'), '');
  for (const slot of await readdir(join(dataDir, 'pg_replslot')).catch(() => [] as string[]))
    await remove(gateway, join(dataDir, 'pg_replslot', slot));
  // A folder that a copy by hand may have left out: the server does not make it.
  for (const name of [
    'pg_wal',
    'pg_tblspc',
    'pg_replslot',
    'pg_notify',
    'pg_stat_tmp',
    'pg_twophase',
    'pg_commit_ts',
  ])
    if (!(await exists(join(dataDir, name))))
      await gateway.change({ channel: 'file', text: `mkdir ${join(dataDir, name)}` }, () =>
        mkdir(join(dataDir, name), { mode: 0o700 }).then(() => {}),
      );
}

/** Starts it, and answers once somebody is let in. Rejects with DidNotStart, and its last words, when it ends before. */
export async function startPrivateServer(gateway: Gateway, options: PrivateServerOptions): Promise<PrivateServer> {
  const { folder, user, roles } = options;
  await makeFolder(gateway, folder);
  await writeText(gateway, join(folder, 'pg_hba.conf'), 'local all all trust\n');
  await writeText(gateway, join(folder, 'postgresql.conf'), '');
  await writeText(gateway, join(folder, 'pg_ident.conf'), '');
  if (user) await giveTo(gateway, folder, user);
  const abort = new AbortController();
  const lines: string[] = [];
  let ended: Ended | undefined;
  const running = runCommand(gateway, commandOf(options), {
    signal: AbortSignal.any([abort.signal, options.signal]),
    onLine: (line) => {
      if (lines.push(line) > 50) lines.shift();
      options.onLine(line);
    },
  }).then((end) => {
    ended = end;
  });
  const stop = async () => {
    abort.abort();
    await running;
  };
  try {
    const role = await waitFor(async () => (ended ? '' : roleLetIn(folder, roles)), {
      timeoutMs: START_PATIENCE,
      signal: options.signal,
    });
    if (!role)
      throw new DidNotStart(
        ended
          ? `the private server ended (${ended.exitCode ?? ended.failure}): ${lastWords(lines)}`
          : `the private server let nobody in: ${lastWords(lines)}`,
      );
    const superuser = await superuserOf(folder, role);
    return {
      database: (name) => postgresIn(folder, superuser, name),
      databases: async () =>
        (
          await maintenance(folder, superuser, (postgres) =>
            postgres.read<{ name: string }>(
              'SELECT datname AS name FROM pg_database WHERE datallowconn ORDER BY 1',
              [],
            ),
          )
        ).map(({ name }) => name),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

function commandOf({ dataDir, folder, programs, user, settings }: PrivateServerOptions): Command {
  const all = {
    config_file: join(folder, 'postgresql.conf'),
    hba_file: join(folder, 'pg_hba.conf'),
    ident_file: join(folder, 'pg_ident.conf'),
    listen_addresses: '',
    unix_socket_directories: folder,
    unix_socket_permissions: '0700',
    port: String(PORT),
    archive_mode: 'off',
    ssl: 'off',
    autovacuum: 'off',
    fsync: 'off',
    max_prepared_transactions: '200',
    ...settings,
  };
  return {
    file: join(programs.bin, 'postgres'),
    args: ['-D', dataDir, ...Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`])],
    environment: { LC_ALL: 'C.UTF-8' },
    folder,
    ...(user ? { user } : {}),
  };
}

function postgresIn(folder: string, user: string, database: string): Postgres {
  const url = new URL(`postgres://localhost:${PORT}`);
  url.username = encodeURIComponent(user);
  url.pathname = `/${encodeURIComponent(database)}`;
  url.searchParams.set('host', folder);
  return new Postgres({ url: url.href });
}

/** Asks through whichever database of every cluster lets one in. */
async function maintenance<T>(folder: string, user: string, ask: (postgres: Postgres) => Promise<T>): Promise<T> {
  const name = await postgresIn(folder, user, 'postgres').maintenanceDatabase();
  return ask(postgresIn(folder, user, name));
}

/** The first role that is let in; undefined while the server is not ready. Rejects when it lets in none of them. */
async function roleLetIn(folder: string, roles: readonly string[]): Promise<string | undefined> {
  let refusal: unknown;
  for (const role of roles) {
    try {
      await maintenance(folder, role, (postgres) => postgres.read('SELECT 1'));
      return role;
    } catch (error) {
      refusal = error;
      if (sqlState(error) === CANNOT_CONNECT_NOW || !/^[0-9A-Z]{5}$/.test(sqlState(error))) return undefined;
    }
  }
  throw new Error(`the private server lets in none of ${roles.join(', ')}: ${messageOf(refusal)}`);
}

async function superuserOf(folder: string, role: string): Promise<string> {
  const [found] = await maintenance(folder, role, (postgres) =>
    postgres.read<{ name: string }>(
      'SELECT rolname AS name FROM pg_roles WHERE rolsuper AND rolcanlogin ORDER BY rolname <> $1, oid LIMIT 1',
      [role],
    ),
  );
  if (!found) throw new Error('the copied data directory knows no superuser that may log in');
  return found.name;
}

function lastWords(lines: readonly string[]): string {
  const loud = lines.filter((line) => /PANIC|FATAL|ERROR|could not/.test(line));
  return loud.at(-1) ?? lines.at(-1) ?? 'it said nothing';
}
