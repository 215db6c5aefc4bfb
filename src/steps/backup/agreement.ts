import { type Agreement, agreementOf } from '../../stores/crosscheck/agreement.js';
import { crosscheck } from '../../stores/crosscheck/crosscheck.js';
import { type FalkordbInventory, nodesLabelled } from '../../stores/falkordb/inventory.js';
import type { PostgresInventory } from '../../stores/postgres/inventory.js';
import type { QdrantInventory } from '../../stores/qdrant/inventory.js';
import { countOf, messageOf, plural } from '../../words.js';
import type { StepContext } from '../step.js';
import type { Emitter } from '../step-events.js';

/** The inventories of what was backed up, and the oldest part's moment (ms since 1970). */
interface SavedInventories {
  postgres: { inventory: PostgresInventory } | undefined;
  qdrant: { inventory: QdrantInventory } | undefined;
  falkordb: { inventory: FalkordbInventory } | undefined;
  begun: number;
}

/** How far the stores agree at the end of a backup of all three. A backup that cannot say it is still a backup: `note` says why. */
export async function agreementNow(
  ctx: StepContext,
  { postgres, qdrant, falkordb, begun }: SavedInventories,
  emit: Emitter<unknown>,
  signal: AbortSignal,
): Promise<{ agreement?: Agreement; note?: string }> {
  if (!postgres || !qdrant || !falkordb) return {};
  try {
    const found = await crosscheck(ctx.cluster, {
      moments: { postgres: begun, qdrant: begun, falkordb: begun },
      onProgress: (progress) => emit.progress({ ...progress, unit: 'items' }),
      signal,
    });
    const table = Object.keys(postgres.inventory.tables).find((name) => name.endsWith('.memory_entries'));
    const collections = Object.entries(qdrant.inventory.collections).map(([name, { points }]) => [name, points]);
    const agreement = agreementOf(found, {
      memories: table === undefined ? undefined : postgres.inventory.tables[table]!.rows,
      collections: Object.fromEntries(collections) as Record<string, number>,
      nodes: nodesLabelled(falkordb.inventory, ctx.cluster.falkordb.graph, 'Memory'),
      begun,
    });
    const differing = Object.entries(agreement.differences).filter(([, count]) => count > 0);
    emit.output(
      differing.length === 0
        ? `the stores agree about ${plural(found.memories, 'memory', 'memories')}`
        : `warning: the stores do not agree: ${differing.map(([kind, count]) => `${countOf(count)} ${kind.replace('-', ' ')}`).join(', ')}; see: novamem-runbook cross-check`,
    );
    return { agreement };
  } catch (error) {
    signal.throwIfAborted();
    return { note: `how far the stores agree is not recorded: ${messageOf(error)}` };
  }
}
