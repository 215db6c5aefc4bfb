import { join } from 'node:path';
import { inspectCommand } from '../../hosts/run-command.js';
import type { Postgres } from './connection.js';
import type { Installation } from './tools.js';

/** What a server says that matters for base backups and for archiving its log. */
export interface Replication {
  walLevel: string;
  maxSenders: number;
  /** Senders that are in use now. */
  senders: number;
  archiveMode: string;
  /** Empty where this role may not see it. */
  archiveCommand: string;
  mayReplicate: boolean;
  isStandby: boolean;
  /** Tablespaces beside the two that every server has. */
  tablespaces: string[];
  /** The newest segment that the server says it has archived; empty where there was none. */
  lastArchived: string;
  /** What it failed to archive since then; empty where nothing failed. */
  failing: string;
}

export async function describeReplication(postgres: Postgres, database = postgres.database): Promise<Replication> {
  return postgres.reading(
    async ({ query }) => {
      const setting = async (name: string) => {
        const [row] = await query<{ value: string | null }>('SELECT current_setting($1, true) AS value', [
          name,
        ]).catch(() => []);
        return row?.value ?? '';
      };
      const [role] = await query<{ may: boolean }>(
        'SELECT rolsuper OR rolreplication AS may FROM pg_roles WHERE rolname = current_user',
      );
      const [state] = await query<{ standby: boolean; senders: number }>(
        'SELECT pg_is_in_recovery() AS standby, (SELECT count(*)::int FROM pg_stat_replication) AS senders',
      );
      const spaces = await query<{ name: string }>(
        "SELECT spcname AS name FROM pg_tablespace WHERE spcname NOT IN ('pg_default', 'pg_global') ORDER BY 1",
      );
      const [archiver] = await query<{ last: string; failing: string }>(
        `SELECT coalesce(last_archived_wal, '') AS last,
              CASE WHEN last_failed_time > coalesce(last_archived_time, '-infinity') THEN last_failed_wal ELSE '' END AS failing
         FROM pg_stat_archiver`,
      );
      return {
        walLevel: await setting('wal_level'),
        maxSenders: Number(await setting('max_wal_senders')),
        senders: state?.senders ?? 0,
        archiveMode: await setting('archive_mode'),
        archiveCommand: (await setting('archive_command')) || (await setting('archive_library')),
        mayReplicate: role?.may ?? false,
        isStandby: state?.standby ?? false,
        tablespaces: spaces.map((one) => one.name),
        lastArchived: archiver?.last ?? '',
        failing: archiver?.failing ?? '',
      };
    },
    { database },
  );
}

/** Opens a replication connection and closes it again: the only proof that pg_hba.conf lets one in. Empty when it does. */
export async function replicationRefusal(postgres: Postgres, tools: Installation): Promise<string> {
  const asked = await inspectCommand(
    {
      file: join(tools.bin, 'psql'),
      args: [
        ...postgres.toolArguments,
        ...['--no-psqlrc', '--quiet', '--tuples-only', '--dbname', 'dbname=postgres replication=true'],
        ...['--command', 'IDENTIFY_SYSTEM'],
      ],
      ...postgres.toolEnvironment,
    },
    15_000,
  );
  if (asked.exitCode === 0) return '';
  const line = asked.stderr.split('\n').find((one) => /FATAL|error/.test(one)) ?? asked.failure;
  return line.replace(/^psql: error: /, '').replace(/^.*FATAL: +/, '');
}
