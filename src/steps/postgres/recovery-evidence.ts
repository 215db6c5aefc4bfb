import { join } from 'node:path';
import { orElse } from '../../hosts/elsewhere/seen-in.js';
import { type Check, equal } from '../../stores/check.js';
import { openWalArchive } from '../../stores/postgres/open-wal-archive.js';
import { describeReplication } from '../../stores/postgres/replication.js';
import { historyName, parseLsn } from '../../stores/postgres/wal-position.js';
import type { StepContext } from '../step.js';
import { LOG } from './log-place.js';
import type { RecoveryFacts } from './recovery.js';
import { RECOVERY_SIGNAL } from './recovery-placing.js';
import { filesOf, hostOfPostgres } from './server-files.js';

// What proves a recovery to a point in time.

/** Expected against actual: that the server is out of recovery, where it stopped, and that nothing of the recovery is left. */
export async function recoveryChecks(_p: unknown, ctx: StepContext, facts: RecoveryFacts): Promise<Check[]> {
  const { postgres } = ctx.cluster;
  const database = await postgres.maintenanceDatabase();
  const [row] = await postgres.read<{ recovering: boolean; segment: string; mode: string }>(
    `SELECT pg_is_in_recovery() AS recovering, current_setting('archive_mode') AS mode,
            CASE WHEN pg_is_in_recovery() THEN '' ELSE pg_walfile_name(pg_current_wal_lsn()) END AS segment`,
    [],
    database,
  );
  const timeline = Number.parseInt(row!.segment.slice(0, 8), 16) || 0;
  const left = await postgres.read<{ name: string }>(
    `SELECT name FROM pg_settings WHERE setting <> coalesce(boot_val, '')
        AND (name LIKE 'recovery\\_target%' AND name NOT IN ('recovery_target_inclusive', 'recovery_target_timeline'))
      ORDER BY 1`,
    [],
    database,
  );
  return [
    equal('postgres', 'in recovery', 'no', row!.recovering ? 'yes' : 'no'),
    {
      subject: 'postgres',
      what: 'timeline',
      expected: `above ${facts.timelineBefore}`,
      actual: String(timeline),
      ok: timeline > facts.timelineBefore,
    },
    ...stopChecks(facts),
    equal('postgres', 'recovery settings left', 'none', left.map((one) => one.name).join(', ') || 'none'),
    equal(
      'postgres',
      'recovery.signal',
      'gone',
      (await filesOf(ctx).exists(join(facts.dataDir, RECOVERY_SIGNAL))) ? 'still there' : 'gone',
    ),
    ...(await logChecks(ctx, facts.dataDir, facts.log?.place)),
    ...(facts.archiveMode === undefined ? [] : [equal('postgres', 'archive_mode', facts.archiveMode, row!.mode)]),
    ...(row!.mode === 'off' ? [] : await historyChecks(ctx, database, facts)),
  ];
}

/** Where a log that lies outside of the data directory is, against where it has to be. */
export async function logChecks(ctx: StepContext, dataDir: string, expected: string | undefined): Promise<Check[]> {
  if (expected === undefined) return [];
  const found = await orElse(filesOf(ctx).realPath(join(dataDir, LOG)), 'nowhere');
  return [equal('postgres', 'the write-ahead log lies in', expected, found)];
}

/** T2 and T3: that a server is up proves nothing. Its own words about where it stopped, against what the log was found to hold. */
export function stopChecks({ said, expected, last }: RecoveryFacts): Check[] {
  const began = equal('postgres', 'recovery from the archive', 'begun', said?.began ? 'begun' : 'never begun');
  if (!expected) {
    const [wanted, done] = [parseLsn(last?.lsn ?? '') ?? 0, parseLsn(said?.redoDone ?? '') ?? 0];
    return [
      began,
      {
        subject: 'postgres',
        what: 'recovery replayed up to',
        expected: last ? `${last.lsn} or later` : 'anything',
        actual: said?.redoDone ?? 'it did not say',
        ok: said?.redoDone !== undefined && done >= wanted,
      },
    ];
  }
  const { stopped, stoppedBefore, redoDone } = said ?? {};
  const beyond = (parseLsn(redoDone ?? '') ?? Number.POSITIVE_INFINITY) > parseLsn(expected.lsn)!;
  const isThere =
    stopped !== undefined &&
    !beyond &&
    (expected.transaction === undefined || expected.transaction === stoppedBefore);
  return [
    began,
    {
      subject: 'postgres',
      what: 'recovery stopped',
      expected: expected.words,
      actual: stopped ?? 'it did not say that it stopped anywhere',
      ok: isThere,
    },
  ];
}

async function historyChecks(ctx: StepContext, database: string, { said }: RecoveryFacts): Promise<Check[]> {
  const { cluster } = ctx;
  const timeline = said?.newTimeline;
  const { postgres } = cluster;
  const place = cluster.profile.postgres.walArchive;
  if (timeline === undefined || place === undefined) return [];
  // An archive command that is broken was told before, and takes nothing away from what was recovered.
  if ((await describeReplication(postgres, database)).failing !== '') return [];
  const there = await openWalArchive(place, cluster.profile.s3, hostOfPostgres(ctx)).has(historyName(timeline));
  return [equal('postgres', `history of timeline ${timeline} in the archive`, 'there', there ? 'there' : 'missing')];
}
