import type { TrainingRecord } from '../engine/training/record.js';
import { isPassed, PASSED } from '../engine/training/score.js';
import type { Lesson } from '../runbook/lesson.js';
import { durationOf, plural } from '../words.js';

const BAR = 10;

/** How somebody stands in a lesson: `never taken`, `87, passed`. The best of all times that it was taken. */
export function standingIn({ id }: Pick<Lesson, 'id'>, taken: readonly TrainingRecord[]): string {
  const best = bestOf(id, taken);
  if (!best) return 'never taken';
  return `${best.score!.total}, ${isPassed(best) ? 'passed' : 'not passed'}`;
}

/** One that was passed before one that was not, the one with the most marks, the newest. */
export function bestOf(id: string, taken: readonly TrainingRecord[]): TrainingRecord | undefined {
  return taken
    .filter(({ lesson }) => lesson.id === id)
    .reduce<TrainingRecord | undefined>(
      (best, one) => (best && worthOf(best) > worthOf(one) ? best : one),
      undefined,
    );
}

const worthOf = (one: TrainingRecord): number => one.score!.total + (isPassed(one) ? 1000 : 0);

/** Every lesson that somebody took, the oldest first, as a chart; the title, which may be long, is the end of its line. `taken`: in that order. */
export function progressLines(taken: readonly TrainingRecord[], trainee: string): string[] {
  if (taken.length === 0) return [`${trainee} has taken no lesson yet. Next: novamem-runbook train`];
  const distinct = new Set(taken.map(({ lesson }) => lesson.id)).size;
  const rows = taken.map((one) => ({ one, took: tookWords(one) }));
  const widest = Math.max(...rows.map(({ took }) => took.length));
  return [
    `${trainee}: taken ${taken.length === 1 ? 'once' : `${taken.length} times`}, ${plural(distinct, 'lesson')} of the list`,
    '',
    ...rows.map(({ one, took }) => {
      const { total } = one.score!;
      const full = Math.round((BAR * total) / 100);
      const bar = `${'█'.repeat(full)}${'░'.repeat(BAR - full)} ${String(total).padStart(3)}`;
      return `${day(one)}  ${bar}  ${took.padEnd(widest)}  ${one.lesson.title}`;
    }),
    '',
    `${' '.repeat(day(taken[0]!).length + 2)}${'─'.repeat(Math.round((BAR * PASSED) / 100))}┴ ${PASSED} pass, where nothing was lost that could be kept`,
  ];
}

function tookWords({ givenUp, recoveredAt, pagedAt }: TrainingRecord): string {
  if (givenUp) return 'given up';
  return recoveredAt === null ? 'never' : durationOf(recoveredAt - pagedAt);
}

export const day = ({ pagedAt }: Pick<TrainingRecord, 'pagedAt'>): string =>
  new Date(pagedAt).toISOString().slice(0, 10);
