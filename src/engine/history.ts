import { endOf, isBeginning, type Mode, type RunOutcome } from './journal.js';
import { findRun, listRuns } from './runs.js';

/** A run on record, as a list shows it. */
export interface HistoryEntry {
  id: string;
  /** Null in each where the journal's first line is lost. */
  scenario: string | null;
  title: string | null;
  cluster: string | null;
  mode: Mode | null;
  startedAt: Date | null;
  outcome: RunOutcome | 'unfinished';
  /** Something was begun that may have changed the cluster. */
  begun: boolean;
  /** Milliseconds from its begin to its end. */
  tookMs: number | null;
  rpoMs: number | null;
}

/** The newest runs on record, on one cluster or on all, the newest first. Reads every journal, whole or not. */
export function history({ cluster, most = Number.POSITIVE_INFINITY }: { cluster?: string; most?: number } = {}) {
  const entries: HistoryEntry[] = [];
  for (const id of listRuns()) {
    if (entries.length >= most) break;
    const entry = entryOf(id);
    if (cluster === undefined || entry.cluster === cluster) entries.push(entry);
  }
  return entries;
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
    mode: started?.mode ?? null,
    startedAt: started ? new Date(started.ts) : null,
    outcome: finished?.outcome ?? 'unfinished',
    begun: events.some(isBeginning),
    tookMs: finished?.rtoMs ?? null,
    rpoMs: finished?.rpoMs ?? null,
  };
}
