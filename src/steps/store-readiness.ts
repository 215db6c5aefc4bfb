import { SERVICE_TITLES, type ServiceName } from '../config/profile.js';
import type { Finding, StepContext } from './step.js';

/** The finding for a store that does not answer: blocking, unless an earlier step of this run is going to start it. */
export async function unreachable(service: ServiceName, ctx: StepContext): Promise<Finding | undefined> {
  const { answers, seen } = await ctx.cluster.answering(service);
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
