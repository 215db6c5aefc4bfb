import { SERVICES, type ServiceName } from '../config/profile.js';
import type { Cluster, Standing as Seen } from '../stores/cluster.js';
import type { Ailment, Symptom } from '../stores/symptoms/looking.js';

/** How one service stands at the end of a run. */
export interface Standing extends Seen {
  service: ServiceName;
  /** How it is started, where it does not answer and the profile says how. */
  start?: string;
  /** What was seen of its data being lost: a mere start would have it begin with nothing. */
  lost?: string;
  /** How it is stopped before, where it still runs. */
  stop?: string;
}

const GONE: ReadonlySet<Ailment> = new Set(['missing', 'unreadable']);

/** Asks every service of a cluster, side by side: what is true now, whatever the steps said. `symptoms`: what is known to ail it. */
export async function standingOf(cluster: Cluster, symptoms: readonly Symptom[] = []): Promise<Standing[]> {
  const asked = SERVICES.filter(
    (service) => service !== 'novamem' || cluster.novamem !== undefined || cluster.driver(service) !== undefined,
  );
  return Promise.all(
    asked.map(async (service) => {
      const standing = await cluster.standing(service);
      const driver = cluster.driver(service);
      if (standing.answers || standing.untrusted) return { service, ...standing };
      const gone = symptoms.find((one) => one.service === service && GONE.has(one.ailment));
      if (gone) return { service, ...standing, lost: gone.seen };
      if (!driver) return { service, ...standing };
      const { start, stop } = await driver.commands();
      const runs = (await driver.state().catch(() => 'unknown')) === 'running';
      return { service, ...standing, start, ...(runs ? { stop } : {}) };
    }),
  );
}

/** That a service answers, and what was seen of it: `answers (Qdrant 1.16.3)`. */
export const answersText = (seen: string): string => (seen === 'answers' ? seen : `answers (${seen})`);

/** One line of how a service stands, for people. */
export function standingLine({ service, answers, seen, lost, start, stop, untrusted }: Standing): string {
  if (untrusted) return `${service.padEnd(9)} IS NOT TRUSTED (${seen})`;
  if (answers) return `${service.padEnd(9)} ${answersText(seen)}`;
  if (lost)
    return `${service.padEnd(9)} DOES NOT ANSWER (${seen}), and its data is lost: do not merely start it (${lost})`;
  const next = stop
    ? `; it runs: stop it first: ${stop}; then start it: ${start}`
    : start
      ? `; start it: ${start}`
      : '';
  return `${service.padEnd(9)} DOES NOT ANSWER (${seen})${next}`;
}
