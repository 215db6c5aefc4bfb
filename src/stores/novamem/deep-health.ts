import { z } from 'zod';
import type { Novamem } from './connection.js';

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
  const parsed = deepHealthSchema.safeParse(answer?.body);
  if (answer?.status !== 200 || !parsed.success) return undefined;
  return { deps: parsed.data.deps, pending: parsed.data.pendingEmbeddings ?? undefined };
}

/** What of it is not well, in words; empty where all is. */
export function troubleOf({ deps }: DeepHealth): string {
  return Object.entries(deps)
    .filter(([, state]) => state !== 'ok' && state !== 'disabled')
    .map(([part, state]) => `${part} ${state}`)
    .join(', ');
}
