import { isBeginning, type JournalEvent } from '../journal.js';
import { SKIPPED_BY_OPERATOR } from '../turn.js';

/** What somebody chose in one run of a lesson, and when (ms since 1970). */
export interface Choices {
  scenario: string;
  backup: 'latest' | 'previous' | 'none';
  /** Step → answer. */
  answers: Map<string, { given: string; at: number }>;
  /** Step that was skipped → when. */
  skipped: Map<string, number>;
  /** Difference that a guard was told to let pass → when. */
  accepted: Map<string, number>;
  /** Step that only looks → its kind. */
  looks: Map<string, string>;
  /** Kind → when a step of it last succeeded. */
  succeeded: Map<string, number>;
  /** A step that destroys was begun: who only looked, or took a backup, has risked nothing. */
  destroyed: boolean;
  /** When it began. */
  at: number;
}

/** Out of the journal of a run; undefined where nothing was begun. `backups`: the ids of the sets that were there, the newest first. */
export function choicesIn(events: readonly JournalEvent[], backups: readonly string[]): Choices | undefined {
  const [first] = events;
  const begun = events.find(isBeginning);
  if (first?.type !== 'run.started' || !begun) return undefined;
  const at = Date.parse(begun.ts);
  const asked = new Set(
    events.flatMap((event) => (event.type === 'confirm.asked' && event.question !== undefined ? [event.step] : [])),
  );
  return {
    scenario: first.scenario,
    backup: first.backup === null ? 'none' : backups.indexOf(first.backup.id) > 0 ? 'previous' : 'latest',
    answers: new Map([
      ...first.steps.flatMap(({ id, params }) => {
        const { answer } = (params ?? {}) as { answer?: unknown };
        return typeof answer === 'string' ? [[id, { given: answer, at }] as const] : [];
      }),
      ...events.flatMap((event) =>
        event.type === 'confirm.given' && asked.has(event.step)
          ? [[event.step, { given: event.typed, at: Date.parse(event.ts) }] as const]
          : [],
      ),
    ]),
    skipped: new Map(
      events.flatMap((event) =>
        event.type === 'step.finished' && event.outcome === 'skipped' && event.reason === SKIPPED_BY_OPERATOR
          ? [[event.step, Date.parse(event.ts)] as const]
          : [],
      ),
    ),
    accepted: new Map(
      events.flatMap((event) =>
        event.type === 'guard.accepted' ? [[event.difference, Date.parse(event.ts)] as const] : [],
      ),
    ),
    looks: new Map(first.steps.flatMap(({ id, uses, effect }) => (effect === 'read' ? [[id, uses] as const] : []))),
    succeeded: new Map(
      first.steps.flatMap(({ id, uses }) =>
        events.flatMap((event) =>
          event.type === 'step.finished' && event.step === id && event.outcome === 'succeeded'
            ? [[uses, Date.parse(event.ts)] as const]
            : [],
        ),
      ),
    ),
    destroyed: first.steps.some(
      ({ id, effect }) =>
        effect === 'destroy' && events.some((event) => event.type === 'step.started' && event.step === id),
    ),
    at,
  };
}
