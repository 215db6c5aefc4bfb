import { endOf, isBeginning, type JournalEvent } from '../journal.js';
import { findRun, listRuns } from '../runs.js';
import type { LessonRun } from './record.js';

/**
 * What was begun on the cluster of a lesson since its pager went (ms since 1970), in the order in which it began, and the journals of it:
 * on its screens, or with this program in a shell. Rehearsals are no runs.
 */
export function runsOf(cluster: string, since: number): { runs: LessonRun[]; journals: JournalEvent[][] } {
  const found = listRuns()
    .reverse()
    .map((id) => ({ id, events: findRun(id).events }))
    .flatMap(({ id, events }) => {
      const run = runIn(id, events, cluster, since);
      return run ? [{ run, events }] : [];
    });
  return { runs: found.map(({ run }) => run), journals: found.map(({ events }) => events) };
}

function runIn(id: string, events: JournalEvent[], cluster: string, since: number): LessonRun | undefined {
  const [first] = events;
  const begun = events.find(isBeginning);
  if (first?.type !== 'run.started' || !begun) return undefined;
  if (first.profile !== cluster || first.mode === 'dry-run' || Date.parse(begun.ts) < since) return undefined;
  const ended = endOf(events);
  return {
    id,
    scenario: first.scenario,
    title: first.title,
    openedAt: Date.parse(first.ts),
    begunAt: Date.parse(begun.ts),
    endedAt: ended ? Date.parse(ended.ts) : null,
    tookMs: ended?.rtoMs ?? null,
    outcome: ended?.outcome ?? 'unfinished',
    isRepair: first.steps.some(({ effect }) => effect === 'destroy'),
  };
}
