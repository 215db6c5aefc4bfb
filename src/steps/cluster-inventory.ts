import { join } from 'node:path';
import { z } from 'zod';
import { remove, writeText } from '../hosts/files.js';
import type { BackupSet } from '../stores/backup-set/backup-set.js';
import { type Inventory, MANIFEST_FILE, type Manifest, UNFINISHED_FILE } from '../stores/backup-set/manifest.js';
import { openBackupSet, readManifest } from '../stores/backup-set/open-backup-set.js';
import { type Check, equal } from '../stores/check.js';
import { sampledStrangers } from '../stores/cluster-agreement.js';
import { compareFalkordb, inventoryFalkordb } from '../stores/falkordb/inventory.js';
import { comparePostgres, inventoryPostgres } from '../stores/postgres/inventory.js';
import { compareQdrant, inventoryQdrant } from '../stores/qdrant/inventory.js';
import { durationOf, plural } from '../words.js';
import { falkordbBackup } from './falkordb-backup.js';
import { falkordbRestore } from './falkordb-restore.js';
import { newBackupOf, noBackupRoot } from './new-backup.js';
import { postgresBackup } from './postgres-backup.js';
import { postgresRestore } from './postgres-restore.js';
import { rowChecks } from './postgres-restoring.js';
import { qdrantBackup } from './qdrant-backup.js';
import { qdrantRestore } from './qdrant-restore.js';
import { type Finding, readingPlan, type StepContext, type StepKind } from './step.js';
import { type Emitter, stepEvents } from './step-events.js';
import { unreachable } from './store-readiness.js';

const params = z.strictObject({
  /** `compare`: against the inventory in the backup set. `record`: writes the manifest of a new backup set. */
  mode: z.enum(['compare', 'record']).default('compare'),
});
type Params = z.infer<typeof params>;

interface Facts {
  checks: Check[];
  manifest?: string;
}

export const clusterInventory: StepKind<Params, Facts> = {
  kind: 'cluster.inventory',
  effect: 'write',
  params,
  async plan(p, ctx) {
    if (p.mode === 'record') {
      const folder = ctx.newBackup?.folder ?? '(no backup root)';
      return readingPlan(
        'Write the manifest: what the set holds, with checksums and the inventory',
        [`write ${join(folder, MANIFEST_FILE)}`],
        { onAbort: 'an unfinished backup set, which is never restored from' },
      );
    }
    const what = ctx.backup?.inventory
      ? `the inventory of backup ${ctx.backup.id}`
      : 'what this run restored (the backup set has no inventory)';
    return readingPlan(`Compare all three stores with ${what}`, [
      'count and checksum every table, count every collection, sample points, count nodes and relationships by kind (read-only)',
    ]);
  },
  async check(p, ctx) {
    if (p.mode === 'record') {
      const nowhere = noBackupRoot(ctx);
      return nowhere ? [nowhere] : [];
    }
    const findings: (Finding | undefined)[] = [];
    if (ctx.phase === 'ready')
      for (const store of ['postgres', 'qdrant', 'falkordb'] as const) findings.push(await unreachable(store, ctx));
    if (!ctx.backup?.inventory) {
      findings.push({
        level: 'warning',
        message:
          'this backup set has no inventory: rows are compared with the dump itself, points and nodes with what was there right after their restore',
      });
    }
    return findings.filter((finding) => finding !== undefined);
  },
  run: (p, ctx) =>
    stepEvents<Facts>(async (emit) => {
      if (p.mode === 'record') return record(ctx, emit);
      const expected = ctx.backup?.inventory;
      const checks = expected ? await compare(expected, ctx, emit) : await compareWithRun(ctx, emit);
      emit.facts({ checks });
      const failed = checks.filter((check) => !check.ok).length;
      emit.output(`${plural(checks.length, 'comparison')}, ${failed === 0 ? 'all equal' : `${failed} not equal`}`);
    }),
  async verify(p, ctx, facts) {
    if (p.mode === 'compare') return facts.checks;
    const { folder } = newBackupOf(ctx);
    const set: BackupSet = await openBackupSet(folder);
    return [
      equal('backup set', 'opens as', 'manifest', set.kind),
      equal(
        'backup set',
        'parts',
        partsOf(readManifest(folder)),
        String((set.postgres ? 1 : 0) + set.qdrant.length + (set.falkordb?.files.length ?? 0)),
      ),
    ];
  },
  probe: async () => 'not-started',
};

const partsOf = ({ parts }: Manifest) =>
  String((parts.postgres ? 1 : 0) + parts.qdrant.length + parts.falkordb.length);

async function compare(expected: Inventory, ctx: StepContext, emit: Emitter<Facts>): Promise<Check[]> {
  const { postgres, qdrant, falkordb } = ctx.cluster;
  const moving = ctx.backup?.moving;
  const onTable = (table: string, done: number, total: number) =>
    emit.progress({ done, total, unit: 'items', text: `tables, now ${table}` });
  const checks = await Promise.all([
    expected.postgres
      ? inventoryPostgres(postgres, onTable).then((now) => comparePostgres(expected.postgres!, now))
      : [],
    expected.qdrant
      ? inventoryQdrant(qdrant).then((now) => compareQdrant(expected.qdrant!, now, moving?.qdrant))
      : [],
    expected.falkordb
      ? inventoryFalkordb(falkordb).then((now) => compareFalkordb(expected.falkordb!, now, moving?.falkordb))
      : [],
  ]);
  return checks.flat();
}

/** Without an inventory: the rows counted in the dump, and what stood in the other stores right after they were restored. */
async function compareWithRun(ctx: StepContext, emit: Emitter<Facts>): Promise<Check[]> {
  const { postgres, qdrant, falkordb } = ctx.cluster;
  const checks: Check[] = [];
  for (const facts of ctx.factsOf(postgresRestore)) checks.push(...(await rowChecks(postgres, facts)));
  for (const { restored } of ctx.factsOf(qdrantRestore)) {
    for (const [name, { points }] of Object.entries(restored)) {
      checks.push(
        equal(
          `qdrant collection ${name}`,
          'points',
          points,
          (await qdrant.client.count(name, { exact: true })).count,
        ),
      );
    }
  }
  for (const { loaded } of ctx.factsOf(falkordbRestore)) {
    if (loaded) checks.push(...compareFalkordb(loaded, await inventoryFalkordb(falkordb)));
  }
  for (const line of await sampledStrangers(ctx.cluster)) emit.output(`warning: ${line}`);
  return checks;
}

async function record(ctx: StepContext, emit: Emitter<Facts>): Promise<void> {
  const { id, folder } = newBackupOf(ctx);
  const [postgres] = ctx.factsOf(postgresBackup);
  const [qdrant] = ctx.factsOf(qdrantBackup);
  const [falkordb] = ctx.factsOf(falkordbBackup);
  const instants = [postgres?.part.at, ...(qdrant?.parts ?? []).map((part) => part.at), falkordb?.parts[0]?.at]
    .filter((at) => at !== undefined)
    .map((at) => Date.parse(at));
  if (instants.length === 0) throw new Error('no earlier step of this run has backed up anything');
  const finishedAt = new Date().toISOString();
  const manifest: Manifest = {
    version: 1,
    id,
    cluster: ctx.cluster.name,
    startedAt: new Date(Math.min(...instants)).toISOString(),
    finishedAt,
    skewMs: Math.max(...instants) - Math.min(...instants),
    parts: {
      ...(postgres ? { postgres: postgres.part } : {}),
      qdrant: qdrant?.parts ?? [],
      falkordb: falkordb?.parts ?? [],
    },
    inventory: {
      takenAt: finishedAt,
      ...(postgres ? { postgres: postgres.inventory } : {}),
      ...(qdrant ? { qdrant: qdrant.inventory } : {}),
      ...(falkordb ? { falkordb: falkordb.inventory } : {}),
    },
    notExact: [
      ...Object.keys(qdrant?.moving ?? {}).map(
        (name) => `collection ${name} was written to while its snapshot was taken`,
      ),
      ...(falkordb?.moving ? ['the graph was written to while it was copied'] : []),
    ],
    moving: { qdrant: qdrant?.moving ?? {}, ...(falkordb?.moving ? { falkordb: falkordb.moving } : {}) },
  };
  const file = join(folder, MANIFEST_FILE);
  await writeText(ctx.gateway, file, `${JSON.stringify(manifest, null, 1)}\n`);
  await remove(ctx.gateway, join(folder, UNFINISHED_FILE));
  emit.facts({ checks: [], manifest: file });
  emit.output(`backup set ${id} is complete; the stores' instants lie ${durationOf(manifest.skewMs)} apart`);
}
