import type { TrainingRecord } from '../engine/training/record.js';
import { isPassed, PASSED } from '../engine/training/score.js';
import type { Lesson } from '../runbook/lesson.js';
import { durationOf, plural } from '../words.js';

const BAR = 15;

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

/** Every lesson that somebody took, the oldest first, as a chart. `taken`: in that order. */
export function progressLines(taken: readonly TrainingRecord[], trainee: string): string[] {
  if (taken.length === 0) return [`${trainee} has taken no lesson yet. Next: novamem-runbook train`];
  const widest = Math.max(...taken.map(({ lesson }) => lesson.id.length));
  const best = new Set(taken.map(({ lesson }) => lesson.id)).size;
  return [
    `${trainee}: taken ${taken.length === 1 ? 'once' : `${taken.length} times`}, ${plural(best, 'lesson')} of the list`,
    '',
    ...taken.map((one) => {
      const { total } = one.score!;
      const full = Math.round((BAR * total) / 100);
      const took = one.givenUp
        ? 'given up'
        : one.recoveredAt === null
          ? 'never recovered'
          : durationOf(one.recoveredAt - one.pagedAt);
      return `${minute(one)}  ${one.lesson.id.padEnd(widest)}  ${'█'.repeat(full)}${'░'.repeat(BAR - full)} ${String(total).padStart(3)}  ${took}`;
    }),
    '',
    `${' '.repeat(18)}${' '.repeat(widest)}  ${'─'.repeat(Math.round((BAR * PASSED) / 100))}┴ ${PASSED}`,
    `${PASSED} pass, where nothing was lost that could be kept.`,
  ];
}

const minute = ({ pagedAt }: Pick<TrainingRecord, 'pagedAt'>): string =>
  new Date(pagedAt).toISOString().slice(0, 16).replace('T', ' ');

export const day = ({ pagedAt }: Pick<TrainingRecord, 'pagedAt'>): string =>
  new Date(pagedAt).toISOString().slice(0, 10);
