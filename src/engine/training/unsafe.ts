import type { Lesson, UnsafeChoice } from '../../runbook/lesson.js';
import { isBeginning, type JournalEvent } from '../journal.js';
import { SKIPPED_BY_OPERATOR } from '../turn.js';
import type { UnsafeTaken } from './record.js';

/** What somebody chose in one run of a lesson. */
interface Choices {
  scenario: string;
  backup: 'latest' | 'previous' | 'none';
  /** Step → answer. */
  answers: Map<string, string>;
  skipped: string[];
  accepted: string[];
  /** A step that destroys was begun: who only looked, or took a backup, has risked nothing. */
  destroyed: boolean;
  at: number;
}

/** Why a choice that no lesson speaks of is unsafe all the same. */
const BY_ITSELF = {
  scenario: 'this runbook answers another disaster: it replaced what was well',
  skipped: 'what it proves or does was left open, and whatever needed it, too',
  accepted: 'a guard had a reason to hold it',
} as const;

/**
 * The choices in the runs of a lesson that could cost data. `journals`: of those runs; `backups`: the ids of the backup sets that were
 * there, the newest first. Read out of the journals alone, so that a debrief says what was really done.
 */
export function unsafeIn(
  lesson: Lesson,
  journals: readonly (readonly JournalEvent[])[],
  backups: readonly string[],
): UnsafeTaken[] {
  const taken: UnsafeTaken[] = [];
  for (const choices of journals.flatMap((events) => choicesIn(events, backups))) {
    const { at } = choices;
    const named = lesson.unsafe.filter(({ when }) => holds(when, choices));
    taken.push(...named.map(({ when, because }) => ({ what: whatOf(when, choices), because, at })));
    const isNamed = (key: 'scenario' | 'accepted' | 'skipped', value: string) =>
      named.some(({ when }) => when[key] === value);
    const right = lesson.right.path.filter((move) => 'run' in move).filter(({ run }) => run === choices.scenario);
    if (choices.destroyed && right.length === 0 && !isNamed('scenario', choices.scenario))
      taken.push({ what: `began ${choices.scenario}`, because: BY_ITSELF.scenario, at });
    for (const one of choices.accepted)
      if (!right.some(({ accept }) => accept.includes(one)) && !isNamed('accepted', one))
        taken.push({ what: `let pass: ${one}`, because: BY_ITSELF.accepted, at });
    for (const one of choices.skipped)
      if (!isNamed('skipped', one)) taken.push({ what: `skipped ${one}`, because: BY_ITSELF.skipped, at });
  }
  return taken;
}

/** Nothing where nothing was begun. */
function choicesIn(events: readonly JournalEvent[], backups: readonly string[]): Choices[] {
  const [first] = events;
  const begun = events.find(isBeginning);
  if (first?.type !== 'run.started' || !begun) return [];
  const asked = new Set(
    events.flatMap((event) => (event.type === 'confirm.asked' && event.question !== undefined ? [event.step] : [])),
  );
  const backup = first.backup === null ? 'none' : backups.indexOf(first.backup.id) > 0 ? 'previous' : 'latest';
  return [
    {
      scenario: first.scenario,
      backup,
      answers: new Map([
        ...first.steps.flatMap(({ id, params }) => {
          const { answer } = (params ?? {}) as { answer?: unknown };
          return typeof answer === 'string' ? [[id, answer] as const] : [];
        }),
        ...events.flatMap((event) =>
          event.type === 'confirm.given' && asked.has(event.step) ? [[event.step, event.typed] as const] : [],
        ),
      ]),
      skipped: events.flatMap((event) =>
        event.type === 'step.finished' && event.outcome === 'skipped' && event.reason === SKIPPED_BY_OPERATOR
          ? [event.step]
          : [],
      ),
      destroyed: first.steps.some(
        ({ id, effect }) =>
          effect === 'destroy' && events.some((event) => event.type === 'step.started' && event.step === id),
      ),
      accepted: events.flatMap((event) => (event.type === 'guard.accepted' ? [event.difference] : [])),
      at: Date.parse(begun.ts),
    },
  ];
}

function holds(
  { scenario, backup, answer = {}, skipped, accepted }: UnsafeChoice['when'],
  choices: Choices,
): boolean {
  return (
    (scenario === undefined || scenario === choices.scenario) &&
    (backup === undefined || backup === choices.backup) &&
    Object.entries(answer).every(([step, given]) => choices.answers.get(step) === given) &&
    (skipped === undefined || choices.skipped.includes(skipped)) &&
    (accepted === undefined || choices.accepted.includes(accepted))
  );
}

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
