import { SERVICES, type ServiceName } from '../config/profile.js';
import type { Cluster, Standing as Seen } from '../stores/cluster.js';

/** How one service stands at the end of a run. */
export interface Standing extends Seen {
  service: ServiceName;
  /** How it is started, where it does not answer and the profile says how. */
  start?: string;
}

/** Asks every service of a cluster, side by side: what is true now, whatever the steps said. */
export async function standingOf(cluster: Cluster): Promise<Standing[]> {
  const asked = SERVICES.filter(
    (service) => service !== 'novamem' || cluster.novamem !== undefined || cluster.driver(service) !== undefined,
  );
  return Promise.all(
    asked.map(async (service) => {
      const standing = await cluster.standing(service);
      const driver = cluster.driver(service);
      const isOff = !standing.answers && !standing.untrusted;
      return { service, ...standing, ...(isOff && driver ? { start: driver.commands.start } : {}) };
    }),
  );
}

/** That a service answers, and what was seen of it: `answers (Qdrant 1.16.3)`. */
export const answersText = (seen: string): string => (seen === 'answers' ? seen : `answers (${seen})`);

/** One line of how a service stands, for people. */
export function standingLine({ service, answers, seen, start, untrusted }: Standing): string {
  if (untrusted) return `${service.padEnd(9)} IS NOT TRUSTED (${seen})`;
  if (answers) return `${service.padEnd(9)} ${answersText(seen)}`;
  return `${service.padEnd(9)} DOES NOT ANSWER (${seen})${start ? `; start it: ${start}` : ''}`;
}
