import { stepKind } from '../steps/registry.js';
import type { Guard } from './guards.js';
import { pastOf, type RunPast } from './past.js';
import { findRun, listRuns, type RecordedRun } from './runs.js';

/** The newest run on a cluster that has anything to put back; undefined where there is none. */
export function newestUndoable(cluster: string): RecordedRun | undefined {
  for (const id of listRuns()) {
    const recorded = findRun(id);
    const past = pastOn(recorded, cluster);
    if (past && !recorded.changed && changedBy(past).length > 0) return recorded;
  }
  return undefined;
}

/** Why what a run has replaced should not be put back before what newer runs have replaced: the newest of these, if there are any. */
export function newerRunGuards(run: string, cluster: string): Guard[] {
  for (const id of listRuns()) {
    if (id <= run) return [];
    const past = pastOn(findRun(id), cluster);
    if (!past || !changedBy(past).some((uses) => stepKind(uses)?.effect === 'destroy')) continue;
    return [
      {
        difference: 'run',
        said: `run ${id} (${past.started.title}) has replaced data on ${cluster} since, and is not undone: what it brought would be mixed with what was before ${run}. Undo that one first: novamem-runbook undo ${id}`,
      },
    ];
  }
  return [];
}

/** Where a run on that cluster stands; undefined for a run on another one, a dry run, and one that cannot be read. */
function pastOn({ events }: RecordedRun, cluster: string): RunPast | undefined {
  const [first] = events;
  if (first?.type !== 'run.started' || first.profile !== cluster || first.mode === 'dry-run') return undefined;
  return pastOf(events);
}

/** The kinds of the steps that have left something to undo. */
export function changedBy({ started, steps }: RunPast): string[] {
  return started.steps
    .filter(({ id, uses }) => stepKind(uses)?.undo && Object.keys(steps.get(id)?.facts ?? {}).length > 0)
    .map(({ uses }) => uses);
}
