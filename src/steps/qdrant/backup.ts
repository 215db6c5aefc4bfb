import { join } from 'node:path';
import { z } from 'zod';
import { bytesOf } from '../../stores/backup-set/backup-set.js';
import type { QdrantPart } from '../../stores/backup-set/manifest.js';
import { type Check, equal, sameSet } from '../../stores/check.js';
import {
  type CollectionInventory,
  inParallel,
  inventoryCollection,
  listAliases,
  listCollections,
  type QdrantInventory,
  versionOf,
} from '../../stores/qdrant/inventory.js';
import { downloadSnapshot } from '../../stores/qdrant/transfer.js';
import { plural, sizeOf } from '../../words.js';
import { newBackupFolder, newBackupOf, noBackupRoot } from '../backup/new-backup.js';
import { readingPlan, type StepContext, type StepKind } from '../step.js';
import { stepEvents } from '../step-events.js';
import { unreachable } from '../store-readiness.js';
import { nodesFindings, rightsFindings } from './server-findings.js';
import { makeSnapshot, removeSnapshot } from './snapshots.js';

const params = z.strictObject({ atOnce: z.number().int().positive().max(32).default(4) });
type Params = z.infer<typeof params>;

interface Facts {
  parts: QdrantPart[];
  inventory: QdrantInventory;
  /** Collections that were written to while their snapshot was taken, as they were before it. */
  moving: Record<string, CollectionInventory>;
}

const TRIES = 3;
const fileOf = (collection: string) => `qdrant/${encodeURIComponent(collection)}.snapshot`;

export const qdrantBackup: StepKind<Params, Facts> = {
  kind: 'qdrant.backup',
  effect: 'write',
  backupSet: 'writes',
  params,
  async plan(_p, ctx) {
    const { qdrant } = ctx.cluster;
    const names = await listCollections(qdrant).catch(() => []);
    return readingPlan(
      `Take a snapshot of ${plural(names.length, 'Qdrant collection')} and download it`,
      names.flatMap((name) => [
        `curl -fsS ${qdrant.curlArguments}-X POST '${qdrant.urlOf('collections', name, 'snapshots')}'`,
        `curl -fsS ${qdrant.curlArguments}'${qdrant.urlOf('collections', name, 'snapshots')}/NAME' -o '${fileOf(name)}'`,
      ]),
      { onAbort: 'an unfinished backup set, which is never restored from; a snapshot may be left on the server' },
    );
  },
  async check(_p, ctx) {
    const problems = [await unreachable('qdrant', ctx), noBackupRoot(ctx)].filter((finding) => finding !== undefined);
    if (problems.length > 0) return problems;
    const { qdrant } = ctx.cluster;
    const names = await listCollections(qdrant);
    return [
      ...(await rightsFindings(qdrant)),
      ...(await nodesFindings(qdrant, 'backup')),
      {
        level: names.length === 0 ? 'warning' : 'info',
        message: `${plural(names.length, 'collection')} begin with ${qdrant.prefix}`,
      },
    ];
  },
  run: (p, ctx, signal) =>
    stepEvents<Facts>(async (emit) => {
      const { qdrant } = ctx.cluster;
      await newBackupFolder(ctx, 'qdrant');
      const names = await listCollections(qdrant);
      const serverVersion = await versionOf(qdrant);
      const parts: QdrantPart[] = [];
      const moving: Record<string, CollectionInventory> = {};
      const collections: Record<string, CollectionInventory> = {};
      await inParallel(names, p.atOnce, async (name) => {
        signal.throwIfAborted();
        const taken = await takeSnapshot(ctx, name, signal);
        if (taken.moved) moving[name] = taken.before;
        collections[name] = taken.inventory;
        parts.push({ ...taken.file, collection: name, toolVersion: 'Qdrant snapshot', serverVersion });
        emit.progress({ done: parts.length, total: names.length, unit: 'items', text: `collections, now ${name}` });
        emit.output(
          `${name}: ${plural(taken.inventory.points, 'point')}, ${sizeOf(taken.file.bytes)}${taken.moved ? ', written to meanwhile' : ''}`,
        );
      });
      parts.sort((a, b) => (a.collection < b.collection ? -1 : 1));
      const inventory = {
        serverVersion,
        collections: Object.fromEntries(names.map((name) => [name, collections[name]!])),
        aliases: await listAliases(qdrant),
      };
      emit.facts({ parts, inventory, moving });
    }),
  async verify(_p, ctx, { parts, inventory }): Promise<Check[]> {
    const now = await listCollections(ctx.cluster.qdrant);
    const sizes = await Promise.all(
      parts.map(async (part) =>
        equal(
          `qdrant snapshot ${part.collection}`,
          'bytes',
          part.bytes,
          await bytesOf(join(newBackupOf(ctx).folder, part.file)),
        ),
      ),
    );
    return [sameSet('qdrant', 'collections with a snapshot', now, Object.keys(inventory.collections)), ...sizes];
  },
  probe: async (_p, _ctx, facts) => (facts.parts ? 'done' : 'not-started'),
};

/** A snapshot and the inventory that it holds: taken again when the collection was written to meanwhile, up to three times. */
async function takeSnapshot(ctx: StepContext, name: string, signal: AbortSignal) {
  const { qdrant } = ctx.cluster;
  const file = fileOf(name);
  const to = join(newBackupOf(ctx).folder, file);
  for (let attempt = 1; ; attempt += 1) {
    const before = await inventoryCollection(qdrant, name);
    const at = new Date().toISOString();
    const made = await makeSnapshot(qdrant, ctx, name);
    const inventory = await inventoryCollection(qdrant, name);
    const moved = JSON.stringify(before) !== JSON.stringify(inventory);
    if (!moved || attempt === TRIES) {
      const { bytes, sha256 } = await downloadSnapshot(
        ctx.gateway,
        qdrant,
        { collection: name, snapshot: made.name, file: to },
        { signal },
      );
      await removeSnapshot(qdrant, ctx, name, made);
      if (made.checksum !== undefined && made.checksum !== sha256)
        throw new Error(
          `the snapshot of ${name} did not arrive whole: SHA-256 ${sha256}, the server says ${made.checksum}`,
        );
      return { file: { file, bytes, sha256, at }, inventory, before, moved };
    }
    await removeSnapshot(qdrant, ctx, name, made);
  }
}
