import type { Check } from '../../stores/check.js';
import type { Cluster } from '../../stores/cluster.js';
import { compareCollection, inventoryCollection } from '../../stores/qdrant/inventory.js';
import type { StepContext } from '../step.js';
import { healthChecks } from './collections.js';

// The evidence that collections were restored.

/** How the collection differs from the backup's inventory; undefined where there is none. */
export async function inventoryChecks(ctx: StepContext, name: string): Promise<Check[] | undefined> {
  const expected = ctx.backup?.inventory?.qdrant?.collections[name];
  if (!expected) return undefined;
  const now = await inventoryCollection(ctx.cluster.qdrant, name);
  return compareCollection(name, expected, now, ctx.backup?.moving?.qdrant[name]);
}

/** That a collection is healthy, on every node, and holds what the backup says. */
export async function evidenceOf(ctx: StepContext, name: string): Promise<Check[]> {
  const checks: Check[] = [];
  for (const node of ctx.cluster.qdrantNodes) checks.push(...(await healthChecks(node, name)));
  return [...checks, ...((await inventoryChecks(ctx, name)) ?? [])];
}

/**
 * Cluster → collection → its evidence, gathered while others were still restored. It is for the proof that follows at once: no fact
 * of the step, since it says nothing of any later moment, and of ten thousand collections it would be kept three times.
 */
const gathered = new WeakMap<Cluster, Map<string, Check[]>>();

/** Has `work` gather evidence. What it gathered is kept only where it succeeds. */
export async function gathering(
  { cluster }: StepContext,
  work: (gather: (name: string, checks: Check[]) => void) => Promise<void>,
): Promise<void> {
  gathered.delete(cluster);
  const evidence = new Map<string, Check[]>();
  await work((name, checks) => void evidence.set(name, checks));
  gathered.set(cluster, evidence);
}

/** What was gathered last, which is then forgotten; nothing where nothing was. */
export function takeGathered({ cluster }: StepContext): ReadonlyMap<string, Check[]> {
  const evidence = gathered.get(cluster) ?? new Map<string, Check[]>();
  gathered.delete(cluster);
  return evidence;
}
