import type { Course } from './recovery-course.js';
import type { Stretch } from './wal-position.js';
import { between, type Look, readDeletions, readTransactionEnds, type TransactionEnd } from './wal-records.js';
import type { Readable } from './wal-search.js';

// What transactions took away: those that a recovery leaves out, and those that it may be for.

/** What a recovery leaves out: the transactions that were committed from the stop on. `complete`: all of them were counted. */
export async function leftOut(
  { stop, reach, stretches }: Course,
  { tools, wal }: Readable,
  look: Look,
): Promise<{ transactions: number; complete: boolean }> {
  let transactions = 0;
  if (!stop) return { transactions, complete: true };
  await readTransactionEnds(
    tools,
    wal,
    between(stretches, stop.lsn, reach.until),
    ({ ended }) => {
      if (ended === 'commit') transactions += 1;
      return true;
    },
    look,
  );
  return { transactions, complete: !look.signal?.aborted };
}

/** A transaction that removed something. */
export interface Removal {
  end: TransactionEnd;
  /** Rows it deleted of each file (`1663/5/16384`: tablespace, database, file). */
  rows: Map<string, number>;
}

/** The newest transactions that deleted rows or removed tables, newest first, looked for in the last segments only. */
export async function recentRemovals(
  stretches: readonly Stretch[],
  { tools, wal }: Readable,
  segments: number,
  look: Look,
): Promise<Removal[]> {
  const recent = between(stretches, (stretches.at(-1)?.to ?? 0) - segments * wal.segmentBytes);
  const deleted = new Map<number, Map<string, number>>();
  await readDeletionsInto(deleted, recent, { tools, wal }, look);
  const removals: Removal[] = [];
  await readTransactionEnds(
    tools,
    wal,
    recent,
    (end) => {
      if (end.ended === 'abort') return true;
      const rows = new Map<string, number>();
      for (const transaction of [end.transaction, ...end.subtransactions])
        for (const [file, count] of deleted.get(transaction) ?? []) rows.set(file, (rows.get(file) ?? 0) + count);
      if (rows.size > 0 || end.removedFiles > 0) removals.push({ end, rows });
      return true;
    },
    look,
  );
  return removals.reverse();
}

async function readDeletionsInto(
  deleted: Map<number, Map<string, number>>,
  stretches: readonly Stretch[],
  { tools, wal }: Readable,
  look: Look,
): Promise<void> {
  await readDeletions(
    tools,
    wal,
    stretches,
    (transaction, file) => {
      const files = deleted.get(transaction) ?? new Map<string, number>();
      files.set(file, (files.get(file) ?? 0) + 1);
      deleted.set(transaction, files);
    },
    look,
  );
}
