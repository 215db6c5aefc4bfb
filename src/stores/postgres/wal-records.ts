import { mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readCommand } from '../../hosts/run-command.js';
import type { KnownWal } from './known-wal.js';
import type { Installation } from './tools.js';
import { type LogFile, pathsOf } from './wal-files.js';
import { type Lsn, lsnText, parseLsn, type Stretch, segmentName, segmentNumberAt } from './wal-position.js';

/** The end of a transaction, as the log has it. */
export interface TransactionEnd {
  lsn: Lsn;
  timeline: number;
  transaction: number;
  ended: 'commit' | 'abort';
  /** Microseconds since 1970: what `recovery_target_time` is compared with. */
  at: number;
  subtransactions: number[];
  /** Files of tables and indexes that it removed: what DROP and TRUNCATE do. */
  removedFiles: number;
}

export interface RestorePoint {
  lsn: Lsn;
  name: string;
}

/** How far a look into the log may go. */
export interface Look {
  /** Stop after this many records. */
  limit?: number;
  signal?: AbortSignal;
}

/** Answered to a reader of records: whether it wants more. */
type More = boolean | undefined;

/** Reads the ends of transactions along a course, in the order of the log, until `onEnd` answers false. */
export function readTransactionEnds(
  tools: Installation,
  wal: KnownWal,
  course: readonly Stretch[],
  onEnd: (end: TransactionEnd) => More,
  look: Look = {},
): Promise<void> {
  return readRecords(tools, wal, course, ['--rmgr', 'Transaction'], look, (line, timeline) => {
    const end = parseTransactionEnd(line, timeline);
    return end ? onEnd(end) : true;
  });
}

export function readRestorePoints(
  tools: Installation,
  wal: KnownWal,
  course: readonly Stretch[],
  onPoint: (point: RestorePoint) => More,
  look: Look = {},
): Promise<void> {
  return readRecords(tools, wal, course, ['--rmgr', 'XLOG'], look, (line) => {
    const match = /lsn: ([0-9A-F]+\/[0-9A-F]+),.* desc: RESTORE_POINT (.*)$/.exec(line);
    return match ? onPoint({ lsn: parseLsn(match[1]!)!, name: match[2]! }) : true;
  });
}

/** Rows deleted, told one by one: by which (sub)transaction, from which file (`1663/5/16384`: tablespace, database, file). */
export function readDeletions(
  tools: Installation,
  wal: KnownWal,
  course: readonly Stretch[],
  onRow: (transaction: number, file: string) => void,
  look: Look = {},
): Promise<void> {
  return readRecords(tools, wal, course, ['--rmgr', 'Heap'], look, (line) => {
    const match = /tx: +(\d+),.* desc: DELETE .*?rel (\d+\/\d+\/\d+)/.exec(line);
    if (match) onRow(Number(match[1]), match[2]!);
    return true;
  });
}

/** Exported for its test: the words differ between versions. */
export function parseTransactionEnd(line: string, timeline: number): TransactionEnd | undefined {
  const match =
    /tx: +(\d+), lsn: ([0-9A-F]+\/[0-9A-F]+),.* desc: (COMMIT|ABORT)(?:_PREPARED (\d+):)? (\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)\.(\d{6}) UTC(.*)$/.exec(
      line,
    );
  if (!match) return undefined;
  const [, own, lsn, ended, prepared, day, time, micros, rest] = match as unknown as string[];
  const listed = (name: string) => new RegExp(`; ${name}: ([^;]*)`).exec(rest!)?.[1]?.trim().split(/\s+/) ?? [];
  return {
    lsn: parseLsn(lsn!)!,
    timeline,
    transaction: Number(prepared ?? own),
    ended: ended === 'COMMIT' ? 'commit' : 'abort',
    at: Date.parse(`${day}T${time}Z`) * 1000 + Number(micros),
    subtransactions: listed('subxacts').map(Number),
    removedFiles: listed('rels').length,
  };
}

/** Where the log ends is where reading it fails: that is not told apart from an end here, since `reachFrom` knows the files. */
async function readRecords(
  tools: Installation,
  wal: KnownWal,
  course: readonly Stretch[],
  filter: string[],
  { limit, signal }: Look,
  onLine: (line: string, timeline: number) => More,
): Promise<void> {
  let left = limit ?? Number.POSITIVE_INFINITY;
  for (const stretch of course) {
    if (left <= 0 || signal?.aborted) return;
    await withSegments(wal, stretch, signal, async (folder) => {
      const enough = new AbortController();
      const args = ['--path', folder, '--timeline', String(stretch.timeline), '--start', lsnText(stretch.from)];
      if (stretch.to !== undefined) args.push('--end', lsnText(stretch.to));
      if (Number.isFinite(left)) args.push('--limit', String(left));
      await readCommand(
        { file: join(tools.bin, 'pg_waldump'), args: [...args, ...filter], environment: { LC_ALL: 'C', TZ: 'UTC' } },
        {
          signal: signal ? AbortSignal.any([signal, enough.signal]) : enough.signal,
          onLine: (line, from) => {
            if (from === 'stderr' || enough.signal.aborted || !line.startsWith('rmgr: ')) return;
            left -= 1;
            if (onLine(line, stretch.timeline) === false) {
              left = 0;
              enough.abort();
            }
          },
        },
      );
    });
  }
}

/** pg_waldump reads one folder: the segments of a stretch are brought together in one, as links, for as long as it reads. */
async function withSegments(
  wal: KnownWal,
  { timeline, from, to }: Stretch,
  signal: AbortSignal | undefined,
  work: (folder: string) => Promise<void>,
): Promise<void> {
  const { segmentBytes } = wal;
  const first = segmentNumberAt(from, segmentBytes);
  const last = to === undefined ? Number.POSITIVE_INFINITY : segmentNumberAt(to, segmentBytes);
  const wanted = wal.segments.filter((one) => one.timeline === timeline && one.number >= first && one.number <= last);
  if (!wanted.some((one) => one.number === first)) return;
  const files = new Map<string, LogFile>();
  for (const one of wanted) {
    const name = segmentName(one, segmentBytes);
    files.set(name, wal.files.get(name)!);
  }
  const paths = await pathsOf(files, segmentBytes, signal);
  const folder = await mkdtemp(join(tmpdir(), 'novamem-runbook-wal-'));
  try {
    for (const [name, path] of paths) await symlink(path, join(folder, name));
    await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** A course cut off before a position and behind another. */
export function between(course: readonly Stretch[], from: Lsn, to = Number.POSITIVE_INFINITY): Stretch[] {
  return course.flatMap((stretch) => {
    const begin = Math.max(stretch.from, from);
    const end = Math.min(stretch.to ?? Number.POSITIVE_INFINITY, to);
    if (begin >= end) return [];
    return [{ timeline: stretch.timeline, from: begin, ...(Number.isFinite(end) ? { to: end } : {}) }];
  });
}
