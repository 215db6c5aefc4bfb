import { z } from 'zod';
import { type Check, equal } from '../check.js';
import { type Answer, answerText, type Novamem } from './connection.js';

export const DEEP_HEALTH = '/v1/admin/health/deep';

const deepHealthSchema = z.object({
  deps: z.record(z.string(), z.string()),
  pendingEmbeddings: z.number().nullish(),
});

/** What novamem says of its own parts. */
export interface DeepHealth {
  /** Part → `ok`, `unreachable`, `failing`, `disabled`. */
  deps: Record<string, string>;
  /** Memories that wait for their vector; undefined where this version does not say. */
  pending: number | undefined;
}

/** Undefined where this token may not ask (an admin's is needed), where there is no such path, and while nothing answers. */
export async function deepHealth(novamem: Novamem): Promise<DeepHealth | undefined> {
  const answer = await novamem.get(DEEP_HEALTH).catch(() => undefined);
  return answer && deepHealthIn(answer);
}

/** The same, out of the answer itself. */
export function deepHealthIn({ status, body }: Answer): DeepHealth | undefined {
  const parsed = deepHealthSchema.safeParse(body);
  if (status !== 200 || !parsed.success) return undefined;
  return { deps: parsed.data.deps, pending: parsed.data.pendingEmbeddings ?? undefined };
}

/** A server may be configured without a graph: that is no trouble. */
const isWell = (state: string): boolean => state === 'ok' || state === 'disabled';

/** The parts that are not well, each with its state; none where nothing is said of them. */
export const partsUnwell = (deep: DeepHealth | undefined): [part: string, state: string][] =>
  Object.entries(deep?.deps ?? {}).filter(([, state]) => !isWell(state));

/** The same in words; empty where all is well. */
export const troubleOf = (deep: DeepHealth | undefined): string =>
  partsUnwell(deep)
    .map(([part, state]) => `${part} ${state}`)
    .join(', ');

/** A check of each part; none where this token may not ask, or there is no such path. Rejects while nothing answers. */
export async function deepChecks(novamem: Novamem): Promise<Check[]> {
  const answer = await novamem.get(DEEP_HEALTH);
  if (answer.status >= 500) return [equal('novamem', 'deep health', 'HTTP 200', answerText(answer))];
  return Object.entries(deepHealthIn(answer)?.deps ?? {}).map(([part, state]) =>
    equal('novamem', `deep health: ${part}`, isWell(state) ? state : 'ok', state),
  );
}
