import { z } from 'zod';
import { parseTarget } from '../../stores/postgres/recovery-target.js';
import type { Emitter } from '../step-events.js';
import type { DataPlaces } from './data-places.js';
import type { LogPlaces } from './log-place.js';

// What a recovery to a point in time is told, and what it leaves.

export const recoveryParams = z.strictObject({
  /** Up to where: `2026-11-21 03:10:00 UTC`, `before 1234` (a transaction), `0/3000148`, `point NAME` or `latest`. Asked for without it. */
  target: z
    .string()
    .optional()
    .superRefine((text, context) => {
      const parsed = text === undefined ? undefined : parseTarget(text);
      if (parsed && 'refusal' in parsed)
        context.addIssue({ code: 'custom', message: `"${text}": ${parsed.refusal}` });
    }),
  /** The timeline to follow, where the log has several ends; else the one that the moment lies on. */
  timeline: z.number().int().positive().optional(),
  /** A base backup by its name or folder; else the newest that ends before the moment. */
  base: z.string().optional(),
  /** Whose postgresql.conf, pg_hba.conf and the like to use where they lie in the data directory: those of now, or of the base backup. */
  configuration: z.enum(['current', 'backup']).default('current'),
  patienceSeconds: z.number().int().positive().max(604_800).default(86_400),
});
export type RecoveryParams = z.infer<typeof recoveryParams>;

/** What a recovery leaves for its verification, its retry and its undo. */
export interface RecoveryFacts extends DataPlaces {
  /** Absent where the write-ahead log lies in the data directory. */
  log?: LogPlaces;
  /** Whether there was a data directory at all. */
  hadData: boolean;
  /** Whether Postgres ran before the first attempt. */
  wasRunning: boolean;
  timelineBefore: number;
  /** As the server said before; absent when it did not answer. */
  archiveMode?: string;
  /** In words: what was asked for. */
  target: string;
  /** Where the server had to stop by what the log holds; absent for `latest`. */
  expected?: { lsn: string; transaction?: number; words: string };
  /** The last end of a transaction in the log: what `latest` must have replayed. */
  last?: { lsn: string; transaction: number };
  /** The old directory is, or is being, moved: what lies in its place may be this step's. */
  swapping?: boolean;
  /** The new one lies in its place. */
  swapped?: boolean;
  /** The lines that were added to postgresql.auto.conf for the recovery. */
  settings?: string[];
  /** What the server's log said of the recovery. */
  said?: { stopped?: string; stoppedBefore?: number; redoDone?: string; newTimeline?: number; began: boolean };
  /** The recovery settings are gone again, and the server runs without them. */
  completed?: boolean;
}

export type Emit = Emitter<RecoveryFacts>;
