import { STORES } from '../config/profile.js';
import { novamemSearch } from '../steps/novamem/search.js';
import { stepKind } from '../steps/registry.js';
import { endOf, type JournalEvent, type Mode, type RunOutcome, readJournal, readStart } from './journal.js';
import { pastOf, type RunPast } from './past.js';
import { journalOf, listRuns } from './runs.js';

// What the record says of whether a cluster's backups can be restored: nothing is asked of any server.

/** A restore of a cluster's backup that came to its end. Times are milliseconds. */
export interface ProvenRestore {
  run: string;
  by: 'drill' | 'recovery';
  /** When it had ended. */
  at: Date;
  rtoMs: number;
  rpoMs: number | null;
  backup: { id: string; takenAt: Date | null } | null;
  /** Why it was not proven with it that novamem finds what it found before; null where it was. */
  recallUnproven: string | null;
}

/** A drill, whatever became of it. */
export interface PastDrill {
  run: string;
  startedAt: Date;
  outcome: RunOutcome | 'unfinished';
  /** Null where nothing was recovered. */
  rtoMs: number | null;
  rpoMs: number | null;
  /** By how much it took longer than the one before that recovered; below zero where it was faster, null where there is none. */
  slowerMs: number | null;
}

export interface ProofOnRecord {
  proven: ProvenRestore | null;
  /** Newer restores that are no proof, the newest first, and why. */
  unproven: (ProvenRestore & { why: string })[];
  /** The newest, the newest first. */
  drills: PastDrill[];
  /** The newest drill that came to a verdict, where that is a failure and nothing was proven since. */
  failedDrill: string | null;
  /** Runs whose record cannot be read: what they were is not known. */
  unread: string[];
}

/** So many drills are told of. */
const TREND = 5;
/** So many runs are looked at, the newest first. */
const MOST_RUNS = 10_000;

/**
 * Reads what was proven of a cluster's backups: by a drill of them, or by a recovery of this very cluster, that put all three stores
 * back without an exception. A journal that is not the one that was written proves nothing.
 */
export function proofOf(cluster: string): ProofOnRecord {
  const unread: string[] = [];
  const restores: Restored[] = [];
  const drills: Omit<PastDrill, 'slowerMs'>[] = [];
  let proven: Restored | undefined;
  let verdict: Omit<PastDrill, 'slowerMs'> | undefined;
  for (const id of listRuns().slice(0, MOST_RUNS)) {
    if (proven && drills.filter(({ rtoMs }) => rtoMs !== null).length > TREND) break;
    try {
      const start = readStart(journalOf(id));
      const mode = start && modeFor(cluster, start);
      if (!mode || (mode === 'live' && proven)) continue;
      const { events, changed } = readJournal(journalOf(id));
      const restore = restoreIn(id, mode, events, changed);
      if (mode === 'drill') {
        const drill = drillOf(id, events);
        drills.push(drill);
        // That a part came back says nothing of a failure of the whole.
        if (VERDICTS.has(drill.outcome) && !restore?.partial) verdict ??= drill;
      }
      if (!restore) continue;
      if (restore.why === '') proven ??= restore;
      else if (!proven) restores.push(restore);
    } catch {
      unread.push(id);
    }
  }
  return {
    proven: proven ? withoutWhy(proven) : null,
    unproven: restores.map((restore) => ({ ...withoutWhy(restore), why: restore.why })),
    drills: drills
      .map((drill, index) => ({ ...drill, slowerMs: slowerThan(drills.slice(index + 1), drill) }))
      .slice(0, TREND),
    failedDrill: verdict?.outcome === 'failed' && (!proven || verdict.run > proven.run) ? verdict.run : null,
    unread,
  };
}

/** `why`: why it is no proof; empty where it is one. `partial`: not all stores were restored. */
type Restored = ProvenRestore & { why: string; partial: boolean };

const withoutWhy = ({ why: _, partial: __, ...restore }: Restored): ProvenRestore => restore;

const VERDICTS: ReadonlySet<PastDrill['outcome']> = new Set(['recovered', 'recovered-with-exceptions', 'failed']);
const RECOVERED: ReadonlySet<PastDrill['outcome']> = new Set(['recovered', 'recovered-with-exceptions']);

/** How a run has to do with a cluster's backups; undefined where it has not. */
function modeFor(cluster: string, { mode, profile, drillOf }: Started): Mode | undefined {
  if (mode === 'drill') return drillOf === cluster ? mode : undefined;
  return mode === 'live' && profile === cluster ? mode : undefined;
}

type Started = JournalEvent & { type: 'run.started' };

function restoreIn(run: string, mode: Mode, events: readonly JournalEvent[], changed: string): Restored | undefined {
  const end = endOf(events);
  if (!end || !RECOVERED.has(end.outcome)) return undefined;
  const { started, steps } = pastOf(events);
  const stores = started.steps
    .filter(({ id, uses }) => stepKind(uses)?.backupSet === 'reads' && steps.get(id)?.state === 'succeeded')
    .map(({ uses }) => uses.split('.')[0]!);
  if (stores.length === 0) return undefined;
  const missing = STORES.filter((store) => !stores.includes(store));
  const { backup } = started;
  return {
    run,
    by: mode === 'drill' ? 'drill' : 'recovery',
    at: new Date(end.ts),
    rtoMs: end.rtoMs,
    rpoMs: end.rpoMs,
    recallUnproven: recallUnprovenIn(started, steps),
    partial: missing.length > 0,
    backup: backup && { id: backup.id, takenAt: backup.takenAt === null ? null : new Date(backup.takenAt) },
    why: events.some((event) => event.type === 'guard.accepted' && event.difference === 'backup')
      ? 'it restored the backup of another cluster'
      : changed
        ? 'its journal is not the one that was written'
        : end.outcome !== 'recovered'
          ? 'it recovered with exceptions'
          : missing.length > 0
            ? `it restored no ${missing.join(' and no ')}`
            : '',
  };
}

function recallUnprovenIn({ steps: all }: RunPast['started'], steps: RunPast['steps']): string | null {
  const searched = all.filter(({ id, uses }) => uses === novamemSearch.kind && steps.get(id)?.state === 'succeeded');
  const why = searched.map(({ id }) => String(steps.get(id)!.facts.incomparable ?? ''));
  return why.length === 0 ? 'nothing was searched for' : (why.find((one) => one !== '') ?? null);
}

function drillOf(run: string, events: readonly JournalEvent[]): Omit<PastDrill, 'slowerMs'> {
  const end = endOf(events);
  const outcome = end?.outcome ?? 'unfinished';
  return {
    run,
    startedAt: new Date(events[0]!.ts),
    outcome,
    rtoMs: RECOVERED.has(outcome) ? end!.rtoMs : null,
    rpoMs: end?.rpoMs ?? null,
  };
}

function slowerThan(older: readonly Omit<PastDrill, 'slowerMs'>[], { rtoMs }: { rtoMs: number | null }) {
  const before = older.find((one) => one.rtoMs !== null);
  return rtoMs === null || !before ? null : rtoMs - before.rtoMs!;
}
