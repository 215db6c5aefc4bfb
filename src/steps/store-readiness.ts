import { SERVICE_TITLES, type ServiceName } from '../config/profile.js';
import type { Answering } from '../stores/cluster.js';
import { TlsFault } from '../stores/tls/tls-fault.js';
import type { Finding, StepContext } from './step.js';

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
