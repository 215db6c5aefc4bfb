import { type TrainingRecord, wasTaken } from '../engine/training/record.js';
import { isPassed, PASSED } from '../engine/training/score.js';
import type { Lesson } from '../runbook/lesson.js';
import { durationOf, plural } from '../words.js';
import { attemptsUntil, bestOf, day, ordinal } from './progress.js';

/** What somebody has shown to be able to recover, in Markdown. */
export function certificate(all: readonly Lesson[], taken: readonly TrainingRecord[], trainee: string): string[] {
  const rows = all.map((lesson) => ({ lesson, best: bestOf(lesson.id, taken) }));
  const passed = rows.filter(({ best }) => best && isPassed(best));
  return [
    `# Recovery training: ${trainee}`,
    '',
    `${passed.length} of ${all.length} lessons passed (from ${PASSED} of 100 marks on, and nothing lost that could be kept), each on a real cluster that was really broken.`,
    '',
    '| lesson | level | best | passed | attempt | when | recovered in | record |',
    '|---|---|---:|---|---|---|---|---|',
    ...rows.map(({ lesson, best }) => {
      if (!best) return `| ${lesson.title} | ${lesson.level} | – | no | – | never taken | – | – |`;
      const { score, pagedAt, recoveredAt } = best;
      const took = best.givenUp || recoveredAt === null ? 'never' : durationOf(recoveredAt - pagedAt);
      const changed = best.lesson.hash === lesson.hash ? '' : ' (an earlier wording of the lesson)';
      return `| ${lesson.title}${changed} | ${lesson.level} | ${score!.total} | ${isPassed(best) ? 'yes' : 'no'} | ${attemptWords(best, taken)} | ${day(best)} | ${took} | ${best.id} |`;
    }),
    '',
  ];
}

/** `3rd (1 left, 2 hints before)`: marks are worth less where the answer was paid for earlier. */
function attemptWords(best: TrainingRecord, taken: readonly TrainingRecord[]): string {
  const attempts = attemptsUntil(best, taken);
  const earlier = attempts.slice(0, -1);
  const left = earlier.filter((one) => !wasTaken(one)).length;
  const hints = earlier.reduce((sum, one) => sum + one.hints.length, 0);
  const before = [...(left > 0 ? [`${left} left`] : []), ...(hints > 0 ? [`${plural(hints, 'hint')} before`] : [])];
  return `${ordinal(attempts.length)}${before.length > 0 ? ` (${before.join(', ')})` : ''}`;
}
