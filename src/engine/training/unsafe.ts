import type { Lesson, UnsafeChoice } from '../../runbook/lesson.js';
import { scenarioOf } from '../../runbook/library.js';
import type { Choices } from './choices.js';
import type { UnsafeTaken } from './record.js';

/** Why a choice that no lesson speaks of is unsafe all the same. */
const BY_ITSELF = {
  scenario: 'this runbook answers another disaster: it replaced what was well',
  skipped: 'what it proves or does was left open, and whatever needed it, too',
  accepted: 'a guard had a reason to hold it',
} as const;

/**
 * The choices in the runs of a lesson that could cost data, each at the moment at which it was made. They are read out of journals
 * alone, so that a debrief says what was really done.
 */
export function unsafeIn(lesson: Lesson, runs: readonly Choices[]): UnsafeTaken[] {
  const taken: UnsafeTaken[] = [];
  for (const choices of runs) {
    const named = lesson.unsafe.filter(({ when }) => holds(when, choices));
    taken.push(
      ...named.map(({ when, because }) => ({ what: whatOf(when, choices), because, at: momentOf(when, choices) })),
    );
    const isNamed = (key: 'scenario' | 'accepted' | 'skipped', value: string) =>
      named.some(({ when }) => when[key] === value);
    const right = lesson.right.path
      .filter((move) => 'run' in move)
      .filter(({ run }) => scenarioOf(run) === choices.scenario);
    if (choices.destroyed && right.length === 0 && !isNamed('scenario', choices.scenario))
      taken.push({ what: `began ${choices.scenario}`, because: BY_ITSELF.scenario, at: choices.at });
    for (const [one, at] of choices.accepted)
      if (!right.some(({ accept }) => accept.includes(one)) && !isNamed('accepted', one))
        taken.push({ what: `let pass: ${one}`, because: BY_ITSELF.accepted, at });
    for (const [one, at] of choices.skipped)
      if (!isNamed('skipped', one) && !isProvenLater(choices.looks.get(one), at, runs))
        taken.push({ what: `skipped ${one}`, because: BY_ITSELF.skipped, at });
  }
  return taken;
}

/** What one run could not prove yet, as long as another store was gone, a later one has proven. */
const isProvenLater = (kind: string | undefined, at: number, runs: readonly Choices[]) =>
  kind !== undefined && runs.some(({ succeeded }) => (succeeded.get(kind) ?? 0) > at);

function holds(
  { scenario, backup, answer = {}, skipped, accepted }: UnsafeChoice['when'],
  choices: Choices,
): boolean {
  return (
    (scenario === undefined || scenario === choices.scenario) &&
    (backup === undefined || backup === choices.backup) &&
    Object.entries(answer).every(([step, given]) => choices.answers.get(step)?.given === given) &&
    (skipped === undefined || choices.skipped.has(skipped)) &&
    (accepted === undefined || choices.accepted.has(accepted)) &&
    // A step left out and a guard let pass are choices by themselves; what was only opened or answered has not cost anything yet.
    (skipped !== undefined || accepted !== undefined || choices.destroyed)
  );
}

/** When the last of its conditions came true. */
const momentOf = ({ answer = {}, skipped = '', accepted = '' }: UnsafeChoice['when'], choices: Choices): number =>
  Math.max(
    choices.at,
    ...Object.keys(answer).map((step) => choices.answers.get(step)?.at ?? 0),
    choices.skipped.get(skipped) ?? 0,
    choices.accepted.get(accepted) ?? 0,
  );

const BACKUP_WORDS = { latest: 'the newest backup', previous: 'an older backup', none: 'no backup' };

function whatOf({ backup, answer = {}, skipped, accepted }: UnsafeChoice['when'], { scenario }: Choices): string {
  return [
    `began ${scenario}`,
    ...(backup === undefined ? [] : [`from ${BACKUP_WORDS[backup]}`]),
    ...Object.entries(answer).map(([step, given]) => `with ${step} answered ${given}`),
    ...(skipped === undefined ? [] : [`with ${skipped} skipped`]),
    ...(accepted === undefined ? [] : [`with the guard of the ${accepted} let pass`]),
  ].join(' ');
}
