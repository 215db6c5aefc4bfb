import { type TrainingRecord, wasTaken } from '../engine/training/record.js';
import { isPassed, PASSED } from '../engine/training/score.js';
import type { Lesson } from '../runbook/lesson.js';
import { durationOf, plural } from '../words.js';

const BAR = 10;

/** How somebody stands in a lesson: `never taken`, `87, passed`, `87, passed (2nd)`. The best of all times that it was taken. */
export function standingIn({ id }: Pick<Lesson, 'id'>, taken: readonly TrainingRecord[]): string {
  const best = bestOf(id, taken);
  if (!best) return taken.some(({ lesson }) => lesson.id === id) ? 'left' : 'never taken';
  const attempt = attemptsUntil(best, taken).length;
  return `${best.score!.total}, ${isPassed(best) ? 'passed' : 'not passed'}${attempt > 1 ? ` (${ordinal(attempt)})` : ''}`;
}

/** Every time that somebody had begun a lesson, up to this one. */
export function attemptsUntil(one: TrainingRecord, taken: readonly TrainingRecord[]): TrainingRecord[] {
  return taken.slice(0, taken.indexOf(one) + 1).filter(({ lesson }) => lesson.id === one.lesson.id);
}

/** `1st`, `22nd` */
export function ordinal(count: number): string {
  const ending = ['th', 'st', 'nd', 'rd'][count % 100 > 10 && count % 100 < 14 ? 0 : count % 10];
  return `${count}${ending ?? 'th'}`;
}

/** One that was passed before one that was not, the one with the most marks, the newest. */
export function bestOf(id: string, taken: readonly TrainingRecord[]): TrainingRecord | undefined {
  return taken
    .filter((one) => one.lesson.id === id && wasTaken(one))
    .reduce<TrainingRecord | undefined>(
      (best, one) => (best && worthOf(best) > worthOf(one) ? best : one),
      undefined,
    );
}

const worthOf = (one: TrainingRecord): number => one.score!.total + (isPassed(one) ? 1000 : 0);

/** Every lesson that somebody took or left, the oldest first, as a chart; the title, which may be long, is the end of its line. `taken`: in that order. */
export function progressLines(taken: readonly TrainingRecord[], trainee: string): string[] {
  if (taken.length === 0) return [`${trainee} has taken no lesson yet. Next: novamem-runbook train`];
  const distinct = new Set(taken.map(({ lesson }) => lesson.id)).size;
  const left = taken.filter((one) => !wasTaken(one)).length;
  const rows = taken.map((one) => ({ one, took: tookWords(one) }));
  const widest = Math.max(...rows.map(({ took }) => took.length));
  return [
    `${trainee}: taken ${timesWord(taken.filter(wasTaken).length)}${left > 0 ? `, left ${timesWord(left)}` : ''}, ${plural(distinct, 'lesson')} of the list`,
    '',
    ...rows.map(({ one, took }) => {
      if (!wasTaken(one)) return `${day(one)}  ${' '.repeat(BAR)}   –  ${took.padEnd(widest)}  ${one.lesson.title}`;
      const { total } = one.score!;
      const full = Math.round((BAR * total) / 100);
      const bar = `${'█'.repeat(full)}${'░'.repeat(BAR - full)} ${String(total).padStart(3)}`;
      return `${day(one)}  ${bar}  ${took.padEnd(widest)}  ${one.lesson.title}`;
    }),
    '',
    `${' '.repeat(day(taken[0]!).length + 2)}${'─'.repeat(Math.round((BAR * PASSED) / 100))}┴ ${PASSED} pass, where nothing was lost that could be kept`,
  ];
}

const timesWord = (count: number): string => (count === 1 ? 'once' : `${count} times`);

function tookWords({ givenUp, recoveredAt, pagedAt, leftAt, hints }: TrainingRecord): string {
  if (leftAt !== undefined) return `left${hints.length > 0 ? `, ${plural(hints.length, 'hint')}` : ''}`;
  if (givenUp) return 'given up';
  return recoveredAt === null ? 'never' : durationOf(recoveredAt - pagedAt);
}

export const day = ({ pagedAt }: Pick<TrainingRecord, 'pagedAt'>): string =>
  new Date(pagedAt).toISOString().slice(0, 10);
