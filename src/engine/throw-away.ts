import { SERVICE_TITLES, SERVICES } from '../config/profile.js';
import { isThrowAway } from '../config/profiles.js';
import { EXIT, Problem } from '../problem.js';
import type { Cluster } from '../stores/cluster.js';
import type { Mode } from './journal.js';

/**
 * Refuses a drill or a lesson on anything but a cluster that this program made for it: one whose profile is its sandbox's own, and
 * where nothing else answers in the place of a server that does not run.
 */
export async function requireThrowAway(mode: Mode, cluster: Cluster): Promise<void> {
  if (mode !== 'drill' && mode !== 'train') return;
  const what = mode === 'drill' ? 'A drill' : 'A lesson';
  const refused = {
    exitCode: EXIT.refused,
    next: 'novamem-runbook sandbox up, then name that sandbox with --profile',
  };
  if (!isThrowAway(cluster.profile))
    throw new Problem(
      `${what} works on a throw-away sandbox only, and the profile ${cluster.name} is none that this program made.`,
      refused,
    );
  for (const service of SERVICES) {
    const [{ answers }, state] = await Promise.all([cluster.answering(service), cluster.driver(service)?.state()]);
    if (answers && state !== 'running')
      throw new Problem(
        `${what} works on a throw-away sandbox only, and what answers in the place of its ${SERVICE_TITLES[service]} is not its own: that one is ${state ?? 'unknown'}.`,
        refused,
      );
  }
}
