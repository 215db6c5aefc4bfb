import { SERVICE_TITLES, SERVICES } from '../../config/profile.js';
import type { LossCounts } from '../../runbook/lesson.js';
import { type Check, equal } from '../../stores/check.js';
import type { Cluster } from '../../stores/cluster.js';
import type { Loss } from '../../stores/loss.js';
import { deepChecks } from '../../stores/novamem/deep-health.js';
import { messageOf } from '../../words.js';
import { avoidableIn } from './score.js';

/** What a check of the memories compares that are gone for ever. */
export const LOST = 'memories that were lost without need';

/**
 * Whether everything answers, novamem remembers (`remembers`: `yes`, or why not) and says that all its parts are well, and each store has
 * what the memories that are left need, and is made of what it was.
 */
export async function recoveryChecks(
  cluster: Cluster,
  loss: Loss,
  unavoidable: LossCounts,
  remembers: string,
): Promise<Check[]> {
  const answering = await Promise.all(
    SERVICES.map(async (service) => {
      const { answers, seen } = await cluster.answering(service);
      return equal(SERVICE_TITLES[service], 'answers', 'yes', answers ? 'yes' : seen);
    }),
  );
  const { novamem } = cluster;
  const health = await novamem!.get('/health').then(
    ({ status }) => `HTTP ${status}`,
    (error: unknown) => messageOf(error),
  );
  const parts = await deepChecks(novamem!).catch((error: unknown) => [
    equal('novamem', 'deep health', 'HTTP 200', messageOf(error)),
  ]);
  const { memories, vectors, nodes } = avoidableIn(loss, unavoidable);
  return [
    ...answering,
    equal('Postgres', 'memories that can be read', 'all', loss.unread ? `not all: ${loss.unread}` : 'all'),
    equal('Postgres', LOST, 0, memories),
    equal('novamem', '/health', 'HTTP 200', health),
    equal('novamem', 'remembers something new', 'yes', remembers),
    // Who says nothing of its parts has not said that they are well.
    ...(parts.length > 0 ? parts : [equal('novamem', 'deep health', 'HTTP 200', 'it does not say')]),
    equal('Qdrant', 'memories without a vector', 0, vectors),
    equal('FalkorDB', 'memories without a node', 0, nodes),
    ...loss.equality,
  ];
}
