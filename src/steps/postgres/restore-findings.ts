import type { BackupSet } from '../../stores/backup-set/backup-set.js';
import { isDamage, type Postgres, quoteIdentifier } from '../../stores/postgres/connection.js';
import type { DumpContents } from '../../stores/postgres/dump.js';
import { countMemories, databaseBytes, estimatedRows, type TableEstimate } from '../../stores/postgres/server.js';
import { LEAST_ROOM } from '../../stores/symptoms/room.js';
import { countOf, instantOf, plural, sizeOf } from '../../words.js';
import { safetyRoomFindings } from '../room.js';
import type { Finding, StepContext } from '../step.js';
import type { RestoreParams } from './restoring.js';

export async function atStake(
  postgres: Postgres,
  tables: TableEstimate[] | 'unknown',
  backup: BackupSet,
): Promise<string[]> {
  if (tables === 'unknown')
    return [`all of ${postgres.address}: its catalogs are damaged, so nothing can be counted`];
  const rows = tables.reduce((sum, one) => sum + one.rows, 0);
  const memories = await countMemories(postgres, backup.takenAt).then(
    (found) =>
      found &&
      `${plural(found.memories, 'memory', 'memories')}, ${countOf(found.newer)} of them newer than this backup`,
    (error: unknown) => (isDamage(error) ? uncounted(tables) : undefined),
  );
  return [
    ...(memories ? [memories] : []),
    `${plural(tables.length, 'table')} of ${postgres.address}, about ${countOf(rows)} rows`,
  ];
}

function uncounted(tables: TableEstimate[]): string {
  const rows = tables.find(({ table }) => table.endsWith('.memory_entries'))?.rows;
  return `${rows === undefined ? 'an unknown number of' : `about ${countOf(rows)}`} memories: they are damaged and cannot be counted`;
}

/** Until it is over a restore takes as much room as what it replaces. A Postgres whose disk is full ends itself. */
export async function roomFindings(p: RestoreParams, ctx: StepContext): Promise<Finding[]> {
  const { postgres, profile } = ctx.cluster;
  const bytes = await databaseBytes(postgres).catch(() => 0);
  const { dataDir } = profile.postgres;
  const free = await ctx.cluster.freeBytesOf('postgres');
  return [
    ...(p.strategy === 'clean' && p.safetyCopy === 'required'
      ? await safetyRoomFindings(ctx, postgres.database, bytes)
      : []),
    ...(free === undefined || free > bytes
      ? []
      : [
          {
            level: free < LEAST_ROOM ? ('blocking' as const) : ('warning' as const),
            message: `${postgres.database} takes ${sizeOf(bytes)}, and stays on the disk until the restore is over; ${sizeOf(free)} are free in ${dataDir}. If they do not suffice, the restore fails and the server may end itself`,
            next: `free ${sizeOf(bytes - free)} there`,
          },
        ]),
  ];
}

export function contentFindings(contents: DumpContents, roles: string[], p: RestoreParams): Finding[] {
  const made = contents.createdAt ? `, made ${instantOf(contents.createdAt)}` : '';
  const findings: Finding[] = [
    {
      level: 'info',
      message: `the dump holds ${plural(contents.tables.length, 'table')}${made}, from Postgres ${contents.fromServer}`,
    },
  ];
  const missing = contents.roles.filter((role) => !roles.includes(role));
  if (missing.length > 0 && p.owners === 'keep') {
    findings.push({
      level: 'blocking',
      message: `${missing.join(', ')}, which the dump names as owner or grants rights to, is no role of this server: pg_restore would fail`,
      next: `CREATE ROLE ${missing.map(quoteIdentifier).join('; CREATE ROLE ')}; or let the connecting role own everything: --set <step>.owners=ignore`,
    });
  }
  return findings;
}

/** Tables that the dump does not know survive `--clean`, and pg_restore exits 0. */
export async function newerTableFindings(postgres: Postgres, contents: DumpContents): Promise<Finding[]> {
  const extra = (await estimatedRows(postgres))
    .map((one) => one.table)
    .filter((table) => !contents.tables.includes(table));
  if (extra.length === 0) return [];
  return [
    {
      level: 'warning',
      message: `${plural(extra.length, 'table')} in the database ${extra.length === 1 ? 'is' : 'are'} not in the dump and would stay as ${extra.length === 1 ? 'it is' : 'they are'}: ${extra.slice(0, 5).join(', ')}`,
      next: 'use the strategy swap to get exactly what is in the dump: --set <step>.strategy=swap',
    },
  ];
}
