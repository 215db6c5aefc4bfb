import { loadRunbook } from '../runbook/library.js';
import type { Overrides } from '../runbook/runbook.js';

/** What a step asks of a backup set in a drill, and not in an outage, when whatever comes back is better than nothing. */
const ASKED_IN_DRILLS: Record<string, Record<string, unknown>> = {
  'cluster.inventory': { required: true },
  'cluster.crosscheck': { strict: true },
  'novamem.search': { strict: true },
};

/** The settings of a scenario's steps in a drill; what was given by hand holds. */
export function drillOverrides(scenario: string, given: Overrides): Overrides {
  const { steps } = loadRunbook(scenario, given);
  const strict = steps
    .filter(({ kind }) => ASKED_IN_DRILLS[kind.kind])
    .map(({ id, kind }) => [id, { ...ASKED_IN_DRILLS[kind.kind], ...given[id] }]);
  return { ...given, ...(Object.fromEntries(strict) as Overrides) };
}
