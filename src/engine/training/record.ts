import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { homeFolder, homeSubfolder } from '../../config/home.js';
import { redactDeep } from '../../config/redact.js';
import { Problem } from '../../problem.js';
import type { Lesson, LossCounts, Move } from '../../runbook/lesson.js';
import type { Check } from '../../stores/check.js';
import type { Loss } from '../../stores/loss.js';

/** A question that was asked, and what was said to it. Instants are milliseconds since 1970. */
export interface Predicted {
  id: string;
  ask: string;
  /** In the order in which they were offered. */
  options: string[];
  /** Null while nothing was said. */
  given: string | null;
  answer: string;
  because: string;
  at: number | null;
}

export interface HintGiven {
  text: string;
  /** Marks. */
  costs: number;
  at: number;
}

/** A choice that could have cost data, and did or did not. */
export interface UnsafeTaken {
  what: string;
  because: string;
  at: number;
}

/** A run of a lesson, as its debrief tells it. */
export interface LessonRun {
  id: string;
  scenario: string;
  title: string;
  /** When its plan was opened: from there on its time to recover counts. When its first step began. */
  openedAt: number;
  begunAt: number;
  endedAt: number | null;
  /** As its own report has it, in ms; null while it is not over. */
  tookMs: number | null;
  outcome: string;
  /** It can change what the stores hold: not a look, and not a backup. */
  isRepair: boolean;
}

/** One part of a score: marks of so many, and why. */
export interface Marks {
  part: string;
  marks: number;
  of: number;
  because: string;
}

export interface Score {
  parts: Marks[];
  /** 0 to 100. */
  total: number;
}

/** What is kept of one lesson that somebody took: all that a debrief, the history and a certificate say. Instants are ms since 1970. */
export interface TrainingRecord {
  id: string;
  lesson: Pick<Lesson, 'id' | 'title' | 'level' | 'minutes' | 'hash' | 'remember'>;
  trainee: string;
  /** The program played it, to show this way of it; absent where a person took it. */
  played?: 'right' | 'wrong';
  cluster: string;
  disaster: { id: string; title: string; did: string[] };
  /** When the pager went. */
  pagedAt: number;
  /**
   * When every prediction was made; when the first repair began, or the first shell after that; when it was said to be recovered, and
   * nothing was wrong any more.
   */
  detectedAt: number | null;
  decidedAt: number | null;
  recoveredAt: number | null;
  endedAt: number | null;
  givenUp: boolean;
  /** Absent where it was taken to its end. What was paid for until then stays known. */
  leftAt?: number;
  predictions: Predicted[];
  hints: HintGiven[];
  shells: number[];
  runs: LessonRun[];
  unsafe: UnsafeTaken[];
  /** How many there were when the disaster struck. */
  memories: number;
  /** Undefined until the lesson was over. */
  loss?: Loss;
  /** What the better path loses as well. */
  unavoidable: LossCounts;
  /** What the lesson says of the wrong way that it warns of; absent where it was not taken. */
  wrongWayCost?: string;
  checks: Check[];
  score?: Score;
  betterPath: Move[];
}

const FOLDER = 'trainings';
const FILE = 'training.json';

/** Where the record of a lesson lies, once there is one. */
export const trainingFolder = (id: string): string => join(homeFolder(), FOLDER, id);

/** Keeps a record; the one of before stays whole until the new one is. Answers its folder. */
export function keepTraining(record: TrainingRecord): string {
  const folder = homeSubfolder(FOLDER, record.id);
  const file = join(folder, FILE);
  const kept = redactDeep(record) as TrainingRecord;
  writeFileSync(`${file}.new`, `${textOf({ ...kept, seal: sealOf(kept) })}\n`, { mode: 0o600 });
  renameSync(`${file}.new`, file);
  return folder;
}

const textOf = (value: unknown): string => JSON.stringify(value, null, 1);

/** Tells a record that was changed by hand, as the seal of a journal does. */
const sealOf = (record: unknown): string => createHash('sha256').update(textOf(record)).digest('hex');

/** Whether it came to its end, with marks. */
export const wasTaken = ({ score, leftAt }: TrainingRecord): boolean => score !== undefined && leftAt === undefined;

/**
 * Every lesson that somebody began, the oldest first; those that were left, too. `trainee`: that person's only. What cannot be read, or
 * was changed, is left out.
 */
export function trainings(trainee?: string): TrainingRecord[] {
  return idsOf()
    .flatMap((id) => read(id)?.record ?? [])
    .filter((one) => one.played === undefined && (trainee === undefined || one.trainee === trainee));
}

/** The records that do not count, since they are not as they were written. A line each. */
export const changedTrainings = (): string[] =>
  idsOf()
    .filter((id) => read(id)?.changed)
    .map((id) => `${join(trainingFolder(id), FILE)} was changed since it was written, and does not count`);

function idsOf(): string[] {
  try {
    return readdirSync(trainingFolder('')).sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw new Problem(`The lessons in ${trainingFolder('')} cannot be read.`, {
      next: 'make that folder readable, or set NOVAMEM_RUNBOOK_HOME to the one that is meant',
    });
  }
}

/** What the history goes by; one of an earlier version that does not have it is left out. */
const readable = z.looseObject({
  trainee: z.string(),
  pagedAt: z.number(),
  lesson: z.looseObject({ id: z.string(), title: z.string(), hash: z.string() }),
  hints: z.array(z.unknown()),
  unavoidable: z.looseObject({ memories: z.number() }),
  checks: z.array(z.looseObject({ ok: z.boolean() })),
});
const countable = z.union([
  readable.extend({ leftAt: z.number() }),
  readable.extend({
    score: z.looseObject({ total: z.number() }),
    loss: z.looseObject({ memories: z.number(), unread: z.string() }),
  }),
]);

/** Undefined where it is no record, or one of an earlier version. */
function read(id: string): { record?: TrainingRecord; changed?: true } | undefined {
  try {
    const { seal, ...record } = JSON.parse(readFileSync(join(trainingFolder(id), FILE), 'utf8'));
    if (seal !== sealOf(record)) return { changed: true };
    return countable.safeParse(record).success ? { record: record as TrainingRecord } : undefined;
  } catch {
    return undefined;
  }
}
