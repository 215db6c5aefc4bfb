import { SERVICE_TITLES, type ServiceName, type StoreName } from '../config/profile.js';
import type { Answering } from '../stores/cluster.js';
import { TlsFault } from '../stores/tls/tls-fault.js';
import { messageOf } from '../words.js';
import type { Finding, StepContext, StepPlan } from './step.js';

/**
 * The finding for a store that does not answer: blocking, unless an earlier step of this run is going to start it. One whose TLS is
 * not agreed on is there already, so that no start helps.
 */
export async function unreachable(service: ServiceName, ctx: StepContext): Promise<Finding | undefined> {
  const asked = await ctx.cluster.answering(service).catch((error: unknown) => error);
  if (asked instanceof TlsFault) return { level: 'blocking', message: asked.message, next: asked.next };
  const { answers, seen } = asked as Answering;
  if (answers) return undefined;
  const title = SERVICE_TITLES[service];
  if (ctx.phase === 'preflight' && ctx.startsEarlier(service)) {
    return {
      level: 'warning',
      message: `${title} does not answer now (${seen}); an earlier step of this run starts it`,
    };
  }
  return { level: 'blocking', message: `${title} does not answer: ${seen}`, next: `start ${title}, then retry` };
}

/** For a plan: that what a store holds cannot be counted while it does not answer. */
export async function uncountedIn(
  service: StoreName,
  { cluster }: StepContext,
): Promise<Pick<StepPlan, 'uncounted'>> {
  const { answers, seen } = await cluster
    .answering(service)
    .catch((error: unknown) => ({ answers: false, seen: messageOf(error) }));
  return answers ? {} : { uncounted: `${SERVICE_TITLES[service]} does not answer (${seen})` };
}
