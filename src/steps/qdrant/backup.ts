import { join } from 'node:path';
import { z } from 'zod';
import { inParallel } from '../../in-parallel.js';
import type { QdrantPart } from '../../stores/backup-set/manifest.js';
import { type Check, equal, sameSet } from '../../stores/check.js';
import {
  type CollectionInventory,
  creationOf,
  inventoryCollection,
  listAliases,
  listCollections,
  type QdrantInventory,
  versionOf,
} from '../../stores/qdrant/inventory.js';
import { snapshotsUrl } from '../../stores/qdrant/recovery.js';
import { plural, sizeOf } from '../../words.js';
import { newBackupFolder, newBackupOf, noBackupRoot } from '../backup/new-backup.js';
import { beginSending, destinationOf, sizesSaved, streamText } from '../backup/sending.js';
import { readingPlan, type StepContext, type StepKind } from '../step.js';
import { stepEvents } from '../step-events.js';
import { unreachable } from '../store-readiness.js';
import { fetchSnapshot, sendSnapshot } from './fetching.js';
import { type Source, shardFindings, sourcesOf } from './nodes.js';
import { nodesFindings, rightsFindings } from './server-findings.js';
import { type MadeSnapshot, makeSnapshot, removeSnapshot } from './snapshots.js';

const params = z.strictObject({ atOnce: z.number().int().positive().max(32).default(4) });
type Params = z.infer<typeof params>;

interface Facts {
  parts: QdrantPart[];
  inventory: QdrantInventory;
  /** Collections that were written to while their snapshot was taken, as they were before it. */
  moving: Record<string, CollectionInventory>;
}

const TRIES = 3;
const fileOf = (collection: string, shard?: number) =>
  `qdrant/${encodeURIComponent(collection)}${shard === undefined ? '' : `.shard-${shard}`}.snapshot`;

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
      await takingText(ctx, names),
      { onAbort: 'an unfinished backup set, which is never restored from; a snapshot may be left on the server' },
    );
  },
  async check(p, ctx) {
    const problems = [await unreachable('qdrant', ctx), noBackupRoot(ctx)].filter((finding) => finding !== undefined);
    if (problems.length > 0) return problems;
    const { qdrant } = ctx.cluster;
    const names = await listCollections(qdrant);
    return [
      ...(await rightsFindings(qdrant)),
      ...(await nodesFindings(ctx.cluster, 'backup')),
      ...(await shardFindings(ctx.cluster, names)),
      {
        level: names.length === 0 ? 'warning' : 'info',
        message: `${plural(names.length, 'collection')} begin with ${qdrant.prefix}`,
      },
      ...(ctx.newBackup?.to
        ? [
            {
              level: 'info' as const,
              message: `at most ${plural(Math.min(p.atOnce, names.length), 'snapshot')} at a time lie on the server until they are in ${ctx.newBackup.to}; they take no room here`,
            },
          ]
        : []),
    ];
  },
  run: (p, ctx, signal) =>
    stepEvents<Facts>(async (emit) => {
      const { qdrant } = ctx.cluster;
      if (destinationOf(ctx)) await beginSending(ctx, 'qdrant');
      else await newBackupFolder(ctx, 'qdrant');
      const names = await listCollections(qdrant);
      const serverVersion = await versionOf(qdrant);
      const parts: QdrantPart[] = [];
      const moving: Record<string, CollectionInventory> = {};
      const collections: Record<string, CollectionInventory> = {};
      await inParallel(names, p.atOnce, async (name) => {
        signal.throwIfAborted();
        const taken = await takeSnapshots(ctx, name, signal);
        if (taken.moved) moving[name] = taken.before;
        collections[name] = taken.inventory;
        for (const file of taken.files)
          parts.push({ ...file, collection: name, toolVersion: 'Qdrant snapshot', serverVersion });
        emit.progress({
          done: Object.keys(collections).length,
          total: names.length,
          unit: 'items',
          text: `collections, now ${name}`,
        });
        emit.output(
          `${name}: ${plural(taken.inventory.points, 'point')}, ${sizeOf(taken.files.reduce((sum, { bytes }) => sum + bytes, 0))}${taken.moved ? ', written to meanwhile' : ''}`,
        );
      });
      parts.sort((a, b) => (a.file < b.file ? -1 : 1));
      const inventory = {
        serverVersion,
        collections: Object.fromEntries(names.map((name) => [name, collections[name]!])),
        aliases: await listAliases(qdrant),
      };
      emit.facts({ parts, inventory, moving });
    }),
  async verify(_p, ctx, { parts, inventory }): Promise<Check[]> {
    const now = await listCollections(ctx.cluster.qdrant);
    const there = await sizesSaved(ctx, parts);
    const sizes = parts.map((part) =>
      equal(
        `qdrant snapshot ${part.collection}${part.shard === undefined ? '' : `, shard ${part.shard}`}`,
        'bytes',
        part.bytes,
        there.get(part.file),
      ),
    );
    return [sameSet('qdrant', 'collections with a snapshot', now, Object.keys(inventory.collections)), ...sizes];
  },
  probe: async (_p, _ctx, facts) => (facts.parts ? 'done' : 'not-started'),
};

async function takingText(ctx: StepContext, names: readonly string[]): Promise<string[]> {
  const { cluster } = ctx;
  const destination = destinationOf(ctx);
  const lines: string[] = [];
  for (const name of names)
    for (const { qdrant, shard } of await sourcesOf(cluster, name).catch((): Source[] => [cluster])) {
      const url = snapshotsUrl(qdrant, { collection: name, ...(shard === undefined ? {} : { shard }) });
      lines.push(
        `curl -fsS ${qdrant.curlArguments}-X POST '${url}'`,
        `curl -fsS ${qdrant.curlArguments}'${url}/NAME' ${destination ? `| ${streamText(destination, fileOf(name, shard))}` : `-o '${fileOf(name, shard)}'`}`,
      );
    }
  return lines;
}

/** The snapshots of a collection and the inventory that they hold: taken again when it was written to meanwhile, up to three times. */
async function takeSnapshots(ctx: StepContext, name: string, signal: AbortSignal) {
  const { qdrant } = ctx.cluster;
  for (let attempt = 1; ; attempt += 1) {
    const before = await inventoryCollection(qdrant, name);
    const at = new Date().toISOString();
    const made: { source: Source; snapshot: MadeSnapshot }[] = [];
    for (const source of await sourcesOf(ctx.cluster, name))
      made.push({ source, snapshot: await makeSnapshot(source.qdrant, ctx, name, source.shard) });
    const inventory = await inventoryCollection(qdrant, name);
    const moved = JSON.stringify(before) !== JSON.stringify(inventory);
    if (!moved || attempt === TRIES) {
      const files: Omit<QdrantPart, 'collection' | 'toolVersion' | 'serverVersion'>[] = [];
      for (const { source, snapshot } of made) {
        const { shard } = source;
        const file = fileOf(name, shard);
        const of = { collection: name, ...(shard === undefined ? {} : { shard }) };
        const to = join(newBackupOf(ctx).folder, file);
        const got = destinationOf(ctx)
          ? await sendSnapshot(source.qdrant, ctx, of, snapshot, file, signal)
          : // The manifest, without which it is no backup, is written once the whole set is on the disk.
            await fetchSnapshot(source.qdrant, ctx, of, snapshot, to, { signal, isKeptLater: true });
        const apart = shard === undefined ? {} : { shard, creation: await creationOf(qdrant, name) };
        files.push({ file, ...got, at, ...apart });
      }
      return { files, inventory, before, moved };
    }
    for (const { source, snapshot } of made) await removeSnapshot(source.qdrant, ctx, name, snapshot, source.shard);
  }
}
