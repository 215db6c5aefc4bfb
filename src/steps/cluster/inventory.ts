import { z } from 'zod';
import { SERVICE_TITLES, STORES } from '../../config/profile.js';
import type { Inventory } from '../../stores/backup-set/manifest.js';
import { type Check, equal } from '../../stores/check.js';
import { sampledStrangers } from '../../stores/cluster-agreement.js';
import { compareFalkordb, inventoryFalkordb } from '../../stores/falkordb/inventory.js';
import { comparePostgres, inventoryPostgres } from '../../stores/postgres/inventory.js';
import { compareQdrant, exactPoints, inventoryQdrant } from '../../stores/qdrant/inventory.js';
import { plural } from '../../words.js';
import { falkordbRestore } from '../falkordb/restore.js';
import { postgresRestore } from '../postgres/restore.js';
import { rowChecks } from '../postgres/restoring.js';
import { qdrantRestore } from '../qdrant/restore.js';
import { type Finding, readingPlan, type StepContext, type StepKind } from '../step.js';
import { type Emitter, stepEvents } from '../step-events.js';
import { unreachable } from '../store-readiness.js';

const params = z.strictObject({
  /** Which stores are compared: where the others were not restored they have moved on since the backup. */
  stores: z
    .array(z.enum(STORES))
    .min(1)
    .default([...STORES]),
  /** A backup set that does not say what it must hold proves nothing, and blocks. */
  required: z.boolean().default(false),
});
type Params = z.infer<typeof params>;

const HOW: Record<(typeof STORES)[number], string> = {
  postgres: 'count and checksum every table',
  qdrant: 'count every collection, sample points',
  falkordb: 'count nodes and relationships by kind',
};

interface Facts {
  checks: Check[];
}

/** Compares all three stores with the inventory of the backup set, or with what this run has restored. */
export const clusterInventory: StepKind<Params, Facts> = {
  kind: 'cluster.inventory',
  effect: 'read',
  params,
  async plan({ stores }, ctx) {
    const what = ctx.backup?.inventory
      ? `the inventory of backup ${ctx.backup.id}`
      : 'what this run restored (the backup set has no inventory)';
    const which =
      stores.length === STORES.length ? 'all three stores' : stores.map((one) => SERVICE_TITLES[one]).join(' and ');
    const rows = Object.values(ctx.backup?.inventory?.postgres?.tables ?? {}).reduce((sum, one) => sum + one.rows, 0);
    return readingPlan(
      `Compare ${which} with ${what}`,
      [`${stores.map((one) => HOW[one]).join(', ')} (read-only)`],
      rows > 0 ? { work: { amount: rows, unit: 'rows' } } : {},
    );
  },
  async check({ stores, required }, ctx) {
    const findings: (Finding | undefined)[] = [];
    if (ctx.phase === 'ready') for (const store of stores) findings.push(await unreachable(store, ctx));
    if (!ctx.backup?.inventory) {
      const message =
        'this backup set has no inventory: rows are compared with the dump itself, points and nodes with what was there right after their restore';
      findings.push(
        required
          ? { level: 'blocking', message, next: 'take a backup set that has one: novamem-runbook backup' }
          : { level: 'warning', message },
      );
    }
    return findings.filter((finding) => finding !== undefined);
  },
  run: ({ stores }, ctx) =>
    stepEvents<Facts>(async (emit) => {
      const expected = ctx.backup?.inventory;
      const checks = expected ? await compare(expected, stores, ctx, emit) : await compareWithRun(stores, ctx, emit);
      emit.facts({ checks });
      const failed = checks.filter((check) => !check.ok).length;
      emit.output(`${plural(checks.length, 'comparison')}, ${failed === 0 ? 'all equal' : `${failed} not equal`}`);
    }),
  verify: async (_p, _ctx, facts) => facts.checks,
  probe: async () => 'not-started',
};

async function compare(
  expected: Inventory,
  stores: Params['stores'],
  ctx: StepContext,
  emit: Emitter<Facts>,
): Promise<Check[]> {
  const { postgres, qdrant, falkordb } = ctx.cluster;
  const moving = ctx.backup?.moving;
  const onTable = (table: string, done: number, total: number) =>
    emit.progress({ done, total, unit: 'items', text: `tables, now ${table}` });
  const checks = await Promise.all([
    expected.postgres && stores.includes('postgres')
      ? inventoryPostgres(postgres, onTable).then((now) => comparePostgres(expected.postgres!, now))
      : [],
    expected.qdrant && stores.includes('qdrant')
      ? inventoryQdrant(qdrant).then((now) => compareQdrant(expected.qdrant!, now, moving?.qdrant))
      : [],
    expected.falkordb && stores.includes('falkordb')
      ? inventoryFalkordb(falkordb).then((now) => compareFalkordb(expected.falkordb!, now, moving?.falkordb))
      : [],
  ]);
  return checks.flat();
}

/** Without an inventory: the rows counted in the dump, and what stood in the other stores right after they were restored. */
async function compareWithRun(stores: Params['stores'], ctx: StepContext, emit: Emitter<Facts>): Promise<Check[]> {
  const { postgres, qdrant, falkordb } = ctx.cluster;
  const checks: Check[] = [];
  for (const facts of ctx.factsOf(postgresRestore)) checks.push(...(await rowChecks(postgres, facts)));
  for (const { restored } of ctx.factsOf(qdrantRestore)) {
    for (const [name, { points }] of Object.entries(restored)) {
      checks.push(equal(`qdrant collection ${name}`, 'points', points, await exactPoints(qdrant, name)));
    }
  }
  for (const { loaded } of ctx.factsOf(falkordbRestore)) {
    if (loaded) checks.push(...compareFalkordb(loaded, await inventoryFalkordb(falkordb)));
  }
  if (stores.length < STORES.length) return checks;
  for (const line of await sampledStrangers(ctx.cluster)) emit.output(`warning: ${line}`);
  return checks;
}
