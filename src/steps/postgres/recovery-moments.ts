import { quoteIdentifier } from '../../stores/postgres/connection.js';
import { courseTo, reachFrom } from '../../stores/postgres/known-wal.js';
import { microsText, offsetOf } from '../../stores/postgres/recovery-target.js';
import { rangesOf } from '../../stores/postgres/wal-archive.js';
import { type Lsn, lsnText, segmentName } from '../../stores/postgres/wal-position.js';
import { between, readTransactionEnds, type TransactionEnd } from '../../stores/postgres/wal-records.js';
import { type Removal, recentRemovals } from '../../stores/postgres/wal-removals.js';
import { countOf, durationOf, instantOf, plural } from '../../words.js';
import type { Finding, StepContext } from '../step.js';
import type { Survey } from './recovery-survey.js';

// What helps a person to say to which moment: what time it is, what can be reached, and who removed what lately.

/** How much log is looked through for what was removed lately: a glance, not a search. */
const SEGMENTS_OF_A_GLANCE = 8;
const GLANCE_MS = 15_000;
const SHOWN = 5;

function clockFinding(now = new Date()): Finding {
  const local = new Date(now.getTime() - now.getTimezoneOffset() * 60_000).toISOString().slice(11, 19);
  return { level: 'info', message: `now it is ${instantOf(now)} (here ${local} ${offsetOf(now)})` };
}

/** From where to where can be recovered, and the newest transactions that removed something. */
export async function reachFindings({ known, archive }: Survey, ctx: StepContext): Promise<Finding[]> {
  const oldest = known?.bases.at(-1);
  if (!known || !oldest) return [];
  const stretches = await courseTo(known.named ?? known.current, known.wal);
  const reach = await reachFrom(oldest.endLsn, stretches, known.wal);
  const look = { signal: AbortSignal.timeout(GLANCE_MS) };
  const readable = between(stretches, oldest.endLsn, reach.until);
  const last = await lastCommit(known, readable, look);
  const from = oldest.endedAt ? instantOf(oldest.endedAt) : lsnText(oldest.endLsn);
  const findings: Finding[] = [
    {
      level: 'info',
      message: `reachable: after ${from} (base backup ${oldest.id}) up to ${last ? `${microsText(last.at)}, the last commit` : lsnText(reach.until)} (log in ${archive!.place}${known.wal.unarchived.length > 0 ? ' and in the data directory' : ''})`,
    },
  ];
  if (reach.missing)
    findings.push({
      level: 'warning',
      message: `the log has a gap: ${reach.missing.name} is missing (${reach.missing.why}); nothing behind it can be reached`,
    });
  findings.push(...timelineFindings(known));
  const removals = await recentRemovals(readable, known, SEGMENTS_OF_A_GLANCE, look);
  // What was removed comes first: it is what most who ask are here for, and a small window shows the beginning.
  return [...(await removalFindings(removals, ctx)), clockFinding(), ...findings];
}

/** After an earlier recovery the log has several ends: which there are, and which is the server's own. */
function timelineFindings({ wal, current, named }: NonNullable<Survey['known']>): Finding[] {
  const ranges = rangesOf(wal.segments);
  if (ranges.length < 2) return [];
  const said = ranges.map(({ timeline, first, last }) => {
    const name = (number: number) => segmentName({ timeline, number }, wal.segmentBytes);
    return `${timeline} (${name(first)} to ${name(last)})`;
  });
  return [
    {
      level: 'info',
      message: `the log has several timelines: ${said.join(', ')}; the server is on ${current}`,
      next: `a moment is looked for where it lies; to name one: --set <step>.timeline=${named ?? current}`,
    },
  ];
}

async function lastCommit(
  known: NonNullable<Survey['known']>,
  stretches: ReturnType<typeof between>,
  look: { signal: AbortSignal },
): Promise<TransactionEnd | undefined> {
  const { tools, wal } = known;
  const until: Lsn = stretches.at(-1)?.to ?? 0;
  let last: TransactionEnd | undefined;
  await readTransactionEnds(
    tools,
    wal,
    between(stretches, Math.max(0, until - SEGMENTS_OF_A_GLANCE * wal.segmentBytes)),
    (end) => {
      if (end.ended === 'commit') last = end;
      return true;
    },
    look,
  );
  return last;
}

/** The largest of the removals, newest first, with what to type for the moment before each. */
async function removalFindings(removals: readonly Removal[], ctx: StepContext): Promise<Finding[]> {
  const names = await tableNames(ctx, [...new Set(removals.flatMap(({ rows }) => [...rows.keys()]))]);
  const told = removals.flatMap(({ end, rows }) => {
    const tables = [...rows].flatMap(([file, count]) => {
      const name = names.get(file);
      return name === undefined ? [] : [{ name, count }];
    });
    const count = tables.reduce((sum, one) => sum + one.count, 0);
    if (tables.length === 0 && end.removedFiles === 0) return [];
    return [{ end, tables: tables.sort((a, b) => b.count - a.count), weight: count + end.removedFiles * 1_000_000 }];
  });
  const largest = told.sort((a, b) => b.weight - a.weight).slice(0, SHOWN);
  return largest
    .sort((a, b) => b.end.at - a.end.at)
    .map(({ end, tables }) => {
      const deleted = tables
        .slice(0, 3)
        .map(({ name, count }, at) =>
          at === 0 ? `${plural(count, 'row')} of ${name}` : `${countOf(count)} of ${name}`,
        );
      const what = [
        ...(tables.length > 0 ? [`deleted ${deleted.join(', ')}${tables.length > 3 ? ', …' : ''}`] : []),
        ...(end.removedFiles > 0
          ? [`dropped or emptied tables or indexes (${plural(end.removedFiles, 'file')})`]
          : []),
      ];
      const ago = durationOf(Math.max(0, Date.now() - end.at / 1000));
      return {
        level: 'info' as const,
        message: `${microsText(end.at)} (${ago} ago) transaction ${end.transaction} ${what.join(' and ')}`,
        next: `the moment before it: before ${end.transaction}`,
      };
    });
}

/** The tables behind files of the log, as far as the server can still tell; catalogues are left out. */
async function tableNames({ cluster: { postgres } }: StepContext, files: string[]): Promise<Map<string, string>> {
  const OWN = 16_384;
  const names = new Map<string, string>();
  const own = files.filter((file) => Number(file.split('/')[2]) >= OWN);
  for (const file of own) names.set(file, `file ${file}`);
  await postgres
    .reading(async ({ query }) => {
      const [database] = await query<{ oid: string; default: string }>(
        "SELECT d.oid::text AS oid, (SELECT oid::text FROM pg_tablespace WHERE spcname = 'pg_default') AS default FROM pg_database d WHERE datname = current_database()",
      );
      for (const file of own) {
        const [space, of, node] = file.split('/') as [string, string, string];
        if (of !== database?.oid) continue;
        const [found] = await query<{ oid: string | null; schema: string; name: string }>(
          `SELECT c.oid::text AS oid, n.nspname AS schema, c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.oid = pg_filenode_relation($1::oid, $2::oid)`,
          [space === database.default ? '0' : space, node],
        );
        if (!found) continue;
        if (found.schema.startsWith('pg_')) names.delete(file);
        else
          names.set(file, found.schema === 'public' ? found.name : `${found.schema}.${quoteIdentifier(found.name)}`);
      }
    })
    .catch(() => {});
  return names;
}
