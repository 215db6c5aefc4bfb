import { endOf, isBeginning, type Mode, type RunOutcome } from './journal.js';
import { findRun, listRuns } from './runs.js';

/** A run on record, as a list shows it. */
export interface HistoryEntry {
  id: string;
  /** Null in each where the journal's first line is lost. */
  scenario: string | null;
  title: string | null;
  cluster: string | null;
  /** The cluster whose backup a drill has put to the proof; null for every other run. */
  drillOf: string | null;
  mode: Mode | null;
  startedAt: Date | null;
  outcome: RunOutcome | 'unfinished';
  /** It brought data of a backup set back, or compared with one. */
  fromBackup: boolean;
  /** Something was begun that may have changed the cluster. */
  begun: boolean;
  /** Milliseconds from its begin to its end. */
  tookMs: number | null;
  rpoMs: number | null;
}

/** The newest runs on record, on one cluster (and the drills of its backups) or on all, the newest first. Reads every journal, whole or not. */
export function history({ cluster, most = Number.POSITIVE_INFINITY }: { cluster?: string; most?: number } = {}) {
  const entries: HistoryEntry[] = [];
  for (const id of listRuns()) {
    if (entries.length >= most) break;
    const entry = entryOf(id);
    if (cluster === undefined || [entry.cluster, entry.drillOf].includes(cluster)) entries.push(entry);
  }
  return entries;
}

/** How it ended, in a word. Taking a backup recovers nothing, and what was left at its plan was not aborted. */
export function outcomeWord({ outcome, begun, fromBackup }: HistoryEntry): string {
  if (!begun && (outcome === 'aborted' || outcome === 'unfinished')) return 'not begun';
  return outcome === 'recovered' && !fromBackup ? 'complete' : outcome;
}

function entryOf(id: string): HistoryEntry {
  const { events } = findRun(id);
  const started = events.find((event) => event.type === 'run.started');
  const finished = endOf(events);
  return {
    id,
    scenario: started?.scenario ?? null,
    title: started?.title ?? null,
    cluster: started?.profile ?? null,
    drillOf: started?.drillOf ?? null,
    mode: started?.mode ?? null,
    startedAt: started ? new Date(started.ts) : null,
    outcome: finished?.outcome ?? 'unfinished',
    fromBackup: started?.backup != null,
    begun: events.some(isBeginning),
    tookMs: finished?.rtoMs ?? null,
    rpoMs: finished?.rpoMs ?? null,
  };
}
