import { STORES } from '../config/profile.js';
import { loadRunbook } from '../runbook/library.js';
import type { Runbook } from '../runbook/runbook.js';
import type { Cluster } from '../stores/cluster.js';
import type { Symptom } from '../stores/symptoms/looking.js';
import { sentence } from '../words.js';
import { diagnose, type Suspicion } from './diagnosis.js';

/** What is damaged that a run does not mend. */
export interface DamageLeft {
  /** The runbooks that answer it, the best fitting first. */
  next: Suspicion[];
  symptoms: Symptom[];
}

export const NO_DAMAGE_LEFT: DamageLeft = { next: [], symptoms: [] };

/** The stores that a runbook changes. */
function storesOf({ steps }: Runbook): ReadonlySet<string> {
  const changing = steps.filter(({ kind }) => kind.effect === 'write' || kind.effect === 'destroy');
  return new Set(STORES.filter((store) => changing.some(({ kind }) => kind.kind.startsWith(`${store}.`))));
}

/** Looks at a cluster (reads only, at most ten seconds): what is seen to be lost of a store that this runbook leaves alone. Never rejects. */
export async function damageLeft(cluster: Cluster, runbook: Runbook): Promise<DamageLeft> {
  try {
    const { scenarios, symptoms } = await diagnose(cluster);
    const own = storesOf(runbook);
    const isAnother = ({ scenario, confidence }: Suspicion) =>
      confidence !== 'possible' && [...storesOf(loadRunbook(scenario))].some((store) => !own.has(store));
    return { next: scenarios.filter(isAnother), symptoms };
  } catch {
    return NO_DAMAGE_LEFT;
  }
}

/** What to do about it, in sentences; empty where nothing is left. */
export function damageLeftText(next: readonly Suspicion[]): string {
  const [first, ...further] = next;
  if (!first) return '';
  const then = further.length > 0 ? `, then ${further.map(({ scenario }) => scenario).join(' and ')}` : '';
  return `Another store is damaged, too, which this runbook leaves alone. ${sentence(first.reasons.join('; '))}. Next: end this run (what it has done stays done), then begin ${first.scenario}${then}; skipping this proves nothing.`;
}
