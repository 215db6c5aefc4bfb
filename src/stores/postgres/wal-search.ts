import type { KnownWal } from './known-wal.js';
import type { Installation } from './tools.js';
import { type Stretch, segmentNumberAt } from './wal-position.js';
import { between, type Look, readTransactionEnds, type TransactionEnd } from './wal-records.js';

// Finding transactions in days of log without reading all of it.

/** Segments that are looked through at a time for the first transaction in them. */
const CHUNK = 16;

/** The log, and the programs that read it. */
export interface Readable {
  tools: Installation;
  wal: KnownWal;
}

/** The first end of a transaction that fits, in the order of the log. */
export async function firstEnd(
  stretches: readonly Stretch[],
  { tools, wal }: Readable,
  look: Look,
  fits: (end: TransactionEnd) => boolean = () => true,
): Promise<TransactionEnd | undefined> {
  let found: TransactionEnd | undefined;
  await readTransactionEnds(
    tools,
    wal,
    stretches,
    (end) => {
      if (!fits(end)) return true;
      found = end;
      return false;
    },
    look,
  );
  return found;
}

/** The first transaction that ended at an instant or later. Days of log are not read for it: halving finds the segment. */
export async function firstEndAt(
  at: number,
  stretches: readonly Stretch[],
  known: Readable,
  look: Look,
): Promise<TransactionEnd | undefined> {
  const { segmentBytes } = known.wal;
  let low = segmentNumberAt(stretches[0]?.from ?? 0, segmentBytes);
  let high = segmentNumberAt(stretches.at(-1)?.to ?? 0, segmentBytes);
  while (high - low > CHUNK) {
    const middle = Math.floor((low + high) / 2);
    const from = middle * segmentBytes;
    const end = await firstEnd(between(stretches, from, from + CHUNK * segmentBytes), known, { ...look, limit: 1 });
    if (end && end.at < at) low = middle;
    else high = middle;
  }
  // One segment earlier: the instants of transactions are almost, but not quite, in the order of the log.
  return firstEnd(between(stretches, (low - 1) * segmentBytes), known, look, (end) => end.at >= at);
}

/** The last end of a transaction: looked for from the end on backwards. */
export async function lastEnd(
  stretches: readonly Stretch[],
  { tools, wal }: Readable,
  look: Look,
): Promise<TransactionEnd | undefined> {
  const begin = stretches[0]?.from ?? 0;
  let until = stretches.at(-1)?.to ?? 0;
  for (let segments = 1; until > begin && !look.signal?.aborted; segments *= 2) {
    const from = Math.max(begin, (Math.ceil(until / wal.segmentBytes) - segments) * wal.segmentBytes);
    let found: TransactionEnd | undefined;
    await readTransactionEnds(tools, wal, between(stretches, from, until), (end) => {
      found = end;
      return true;
    });
    if (found) return found;
    until = from;
  }
  return undefined;
}
