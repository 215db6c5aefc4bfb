import { Problem } from '../../problem.js';
import { loadRunbook } from '../../runbook/library.js';
import type { JournalEvent } from '../journal.js';
import type { Predicted } from './record.js';

/**
 * What the runbooks ask to be predicted at steps that somebody confirmed without having been asked, as with this program in a shell: the
 * steps of these journals, but for those in `known`.
 */
export function unansweredIn(journals: readonly JournalEvent[][], known: readonly Predicted[]): Predicted[] {
  const ids = new Set(known.map(({ id }) => id));
  return journals.flatMap(questionsIn).filter(({ id }) => !ids.has(id) && ids.add(id));
}

function questionsIn(events: readonly JournalEvent[]): Predicted[] {
  const [first] = events;
  if (first?.type !== 'run.started') return [];
  const confirmed = new Set(events.flatMap((event) => (event.type === 'confirm.given' ? [event.step] : [])));
  return stepsOf(first.runbookFile ?? first.scenario).flatMap(({ id, teach }) =>
    confirmed.has(id) && teach?.predict
      ? [{ ...teach.predict, id: `${first.scenario}.${id}`, given: null, at: null }]
      : [],
  );
}

/** None of a runbook that is not there any more, or is not one any more. */
function stepsOf(runbook: string) {
  try {
    return loadRunbook(runbook).steps;
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    return [];
  }
}
