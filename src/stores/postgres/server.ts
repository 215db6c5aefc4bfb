import { messageOf } from '../../words.js';
import { DATABASE_MISSING, isDamage, OWN_SESSIONS, type Postgres, sqlState } from './connection.js';

/** What a Postgres server says of itself, and of the profile's database in it. */
export interface PostgresServer {
  /** `15.18` */
  version: string;
  major: number;
  /** Identifies the data directory (`pg_control_system`); empty where this role may not ask. */
  systemIdentifier: string;
  roles: string[];
  role: { name: string; superuser: boolean; createDatabase: boolean };
  databaseExists: boolean;
  /** Why its database, though it exists, lets nobody in: its catalogs are damaged. Empty where it does. */
  refusal: string;
}

/** Asks the server, through whichever database lets this role in. Rejects when the server does not answer. */
export async function describeServer(postgres: Postgres): Promise<PostgresServer> {
  let database = postgres.database;
  let databaseExists = true;
  let refusal = '';
  try {
    await postgres.read('SELECT 1');
  } catch (error) {
    if (sqlState(error) === DATABASE_MISSING) databaseExists = false;
    else if (isDamage(error)) refusal = messageOf(error);
    else throw error;
    database = await postgres.maintenanceDatabase();
  }
  return postgres.reading(
    async ({ query }) => {
      const [server] = await query<{ version: string; number: string }>(
        "SELECT current_setting('server_version') AS version, current_setting('server_version_num') AS number",
      );
      const [identity] = await query<{ id: string }>(
        'SELECT system_identifier::text AS id FROM pg_control_system()',
      ).catch(() => [{ id: '' }]);
      const roles = await query<{ rolname: string }>('SELECT rolname FROM pg_roles ORDER BY 1');
      const [role] = await query<{ name: string; superuser: boolean; createdb: boolean }>(
        'SELECT rolname AS name, rolsuper AS superuser, rolcreatedb AS createdb FROM pg_roles WHERE rolname = current_user',
      );
      return {
        version: server!.version.split(' ')[0]!,
        major: Math.floor(Number(server!.number) / 10_000),
        systemIdentifier: identity?.id ?? '',
        roles: roles.map((one) => one.rolname),
        role: { name: role!.name, superuser: role!.superuser, createDatabase: role!.superuser || role!.createdb },
        databaseExists,
        refusal,
      };
    },
    { database },
  );
}

/** Another session in the profile's database. */
export interface Session {
  pid: number;
  application: string;
  user: string;
  from: string;
  state: string;
}

/** Under which name the sessions of a run's programs are known to the server. */
export const applicationOf = (run: string) => `novamem-runbook ${run}`.slice(0, 63);

/** Other client sessions in the database; none when the database is absent. */
export async function otherSessions(postgres: Postgres, database = postgres.database): Promise<Session[]> {
  return postgres.read<Session & Record<string, unknown>>(
    `SELECT pid, application_name AS application, coalesce(usename, '') AS user,
            coalesce(host(client_addr), 'local') AS "from", coalesce(state, '') AS state
       FROM pg_stat_activity
      WHERE datname = $1 AND pid <> pg_backend_pid() AND backend_type = 'client backend' ORDER BY pid`,
    [database],
    await postgres.maintenanceDatabase(),
  );
}

/** Of those, the ones that are not of this process: what a person has to think of. */
export async function strangersIn(postgres: Postgres): Promise<Session[]> {
  return (await otherSessions(postgres)).filter((session) => session.application !== OWN_SESSIONS);
}

/** Sessions that the sessions of `application` wait for (a lock), as `pid application state`. */
export async function blockersOf(postgres: Postgres, application: string): Promise<string[]> {
  const rows = await postgres.read<{ said: string }>(
    `SELECT DISTINCT b.pid || ' ' || coalesce(nullif(b.application_name, ''), '(no name)') || ' as ' || coalesce(b.usename, '?') ||
            ' ' || coalesce(b.state, '') AS said
       FROM pg_stat_activity a CROSS JOIN LATERAL unnest(pg_blocking_pids(a.pid)) AS blocker(pid)
       JOIN pg_stat_activity b ON b.pid = blocker.pid
      WHERE a.application_name = $1`,
    [application],
    await postgres.maintenanceDatabase(),
  );
  return rows.map((row) => row.said);
}

export interface TableEstimate {
  table: string;
  rows: number;
}

/** Ordinary tables with the rows that the planner's statistics estimate: quick, for what a person is shown, never for a proof. */
export async function estimatedRows(postgres: Postgres): Promise<TableEstimate[]> {
  return postgres.read(
    `SELECT n.nspname || '.' || c.relname AS table, greatest(c.reltuples, 0)::float8 AS rows
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg_toast%'
      ORDER BY 1`,
  );
}

/** Bytes on disk of the profile's database. */
export async function databaseBytes(postgres: Postgres): Promise<number> {
  const [row] = await postgres.read<{ bytes: string }>('SELECT pg_database_size(current_database())::text AS bytes');
  return Number(row!.bytes);
}

/** Bytes on disk of all databases of the server: most of what a copy of its data directory takes. */
export async function serverBytes(postgres: Postgres): Promise<number> {
  const [row] = await postgres.read<{ bytes: string }>(
    'SELECT sum(pg_database_size(oid))::text AS bytes FROM pg_database',
  );
  return Number(row!.bytes);
}

/** Whoever counts what a restore replaces waits no longer for a lock. */
const LOCK_PATIENCE_MS = 2_000;

/** Memories in the database, and how many of them are newer than an instant; undefined where there is no such table. Rejects while they are locked. */
export async function countMemories(
  postgres: Postgres,
  newerThan: Date | null,
): Promise<{ memories: number; newer: number } | undefined> {
  return postgres.reading(async ({ query }) => {
    await query(`SET lock_timeout = ${LOCK_PATIENCE_MS}`);
    const [table] = await query<{ there: boolean }>("SELECT to_regclass('memory_entries') IS NOT NULL AS there");
    if (!table?.there) return undefined;
    const [row] = await query<{ memories: string; newer: string }>(
      'SELECT count(*)::text AS memories, count(*) FILTER (WHERE created_at > $1)::text AS newer FROM memory_entries',
      [newerThan],
    );
    return { memories: Number(row!.memories), newer: Number(row!.newer) };
  });
}
