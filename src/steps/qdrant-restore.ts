import { mkdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { z } from 'zod';
import { sha256Of } from '../hosts/files.js';
import { waitFor } from '../hosts/waiting.js';
import { type BackupFile, type BackupSet, bytesOf } from '../stores/backup-set/backup-set.js';
import { type Check, equal } from '../stores/check.js';
import type { Qdrant } from '../stores/qdrant/connection.js';
import {
  collectionHealth,
  compareCollection,
  inParallel,
  inventoryCollection,
  listAliases,
  listCollections,
} from '../stores/qdrant/inventory.js';
import { downloadSnapshot, uploadSnapshot, uploadText } from '../stores/qdrant/transfer.js';
import { messageOf, plural, sizeOf } from '../words.js';
import { fileFindings } from './backup-file.js';
import { startService, stopService } from './service.js';
import type { Finding, Probe, StepContext, StepKind } from './step.js';
import { type Emitter, stepEvents } from './step-events.js';
import { unreachable } from './store-readiness.js';

const params = z.strictObject({
  /** Only these collections of the backup set; all of them when absent. */
  collections: z.array(z.string()).optional(),
  /** The collection of a snapshot whose name does not tell it (`snap.tgz`). */
  collection: z.string().optional(),
  atOnce: z.number().int().positive().max(32).default(4),
});
type Params = z.infer<typeof params>;

interface Facts {
  /** Collection → SHA-256 of the snapshot that was uploaded into it, and its exact points right after. */
  restored: Record<string, { sha256: string; points: number }>;
  /** Collection → the snapshot that was taken of it before. */
  safety: Record<string, { file: string; sha256: string }>;
  /** Collections that did not exist before. */
  created: string[];
}

type Snapshot = BackupFile & { collection: string };

const GREEN_PATIENCE = 120_000;
const RESTART_PATIENCE = 180_000;

function snapshotsOf(p: Params, backup: BackupSet | undefined): Snapshot[] {
  const named = backup?.qdrant ?? [];
  const given =
    p.collection !== undefined && backup?.unnamed.length === 1
      ? [{ ...backup.unnamed[0]!, collection: p.collection }]
      : [];
  return [...named, ...given].filter((one) => p.collections === undefined || p.collections.includes(one.collection));
}

/** Points of each collection that stands now. */
async function pointsNow(qdrant: Qdrant, names: string[]): Promise<Map<string, number>> {
  const there = (await listCollections(qdrant)).filter((name) => names.includes(name));
  const counts = new Map<string, number>();
  await inParallel(there, 4, async (name) => {
    counts.set(name, (await qdrant.client.count(name, { exact: true })).count);
  });
  return counts;
}

export const qdrantRestore: StepKind<Params, Facts> = {
  kind: 'qdrant.restore',
  effect: 'destroy',
  backupSet: 'reads',
  params,

  async plan(p, ctx) {
    const { qdrant } = ctx.cluster;
    const snapshots = snapshotsOf(p, ctx.backup);
    const bytes = snapshots.reduce((sum, one) => sum + one.bytes, 0);
    const names = snapshots.map((one) => one.collection);
    const now = await pointsNow(qdrant, names).catch(() => new Map<string, number>());
    const points = [...now.values()].reduce((sum, count) => sum + count, 0);
    return {
      summary: `Restore ${plural(snapshots.length, 'Qdrant collection')} (${sizeOf(bytes)}), ${p.atOnce} at a time`,
      commands: snapshots.map((one) => uploadText(qdrant, { ...one, sha256: one.sha256 ?? '…' })),
      destroys:
        now.size === 0
          ? []
          : [`${plural(now.size, 'collection')} at ${qdrant.address} with ${plural(points, 'point')}`],
      wayBack:
        now.size === 0
          ? 'not needed: none of these collections exists'
          : `a snapshot of each is taken before and kept in ${ctx.workFolder}`,
      pointOfNoReturn: 'each upload replaces its collection at once',
      onAbort:
        'the collections done so far are restored, the others are as they were; Qdrant may finish the uploads under way by itself',
      estimateMs: 1_000 + bytes / 60_000,
    };
  },

  async check(p, ctx) {
    const { backup } = ctx;
    const snapshots = snapshotsOf(p, backup);
    const findings: Finding[] = [];
    if (backup && backup.unnamed.length > 0 && !(p.collection !== undefined && backup.unnamed.length === 1)) {
      findings.push({
        level: 'blocking',
        message: `nothing says into which collection ${backup.unnamed.map((one) => basename(one.file)).join(', ')} belongs`,
        next:
          backup.unnamed.length === 1
            ? 'say it: --set <step>.collection=NAME, or rename the file to NAME.snapshot'
            : 'rename each file to COLLECTION.snapshot',
      });
    } else if (snapshots.length === 0) {
      findings.push({
        level: 'blocking',
        message: 'this backup set holds no Qdrant snapshot',
        next: 'choose another set with --backup',
      });
    }
    for (const one of snapshots) findings.push(...(await fileFindings(one, 'snapshot')));
    const strange = snapshots.filter((one) => !one.collection.startsWith(ctx.cluster.qdrant.prefix));
    if (strange.length > 0) {
      findings.push({
        level: 'blocking',
        message: `${strange.map((one) => one.collection).join(', ')}: no collection of this cluster, whose names begin with ${ctx.cluster.qdrant.prefix}; an upload would make a new one`,
        next: 'rename the file to COLLECTION.snapshot, or set qdrant.collectionPrefix in the profile',
      });
    }
    const absent = await unreachable('qdrant', ctx);
    if (absent) return [...findings, absent];
    const names = await listCollections(ctx.cluster.qdrant);
    const extra = names.filter((name) => !snapshots.some((one) => one.collection === name));
    findings.push({
      level: 'info',
      message: `${plural(snapshots.length, 'snapshot')} to restore; ${plural(names.length, 'collection')} now`,
    });
    if (extra.length > 0) {
      findings.push({
        level: 'warning',
        message: `${plural(extra.length, 'collection')} not in this backup set would stay as now: ${extra.slice(0, 5).join(', ')}`,
      });
    }
    return findings;
  },

  run: (p, ctx, signal) =>
    stepEvents<Facts>(async (emit) => {
      const { qdrant } = ctx.cluster;
      const snapshots = snapshotsOf(p, ctx.backup);
      const facts: Facts = { restored: {}, safety: {}, created: [] };
      const names = snapshots.map((one) => one.collection);
      await proveWritable(ctx, emit, names, signal);
      const before = await pointsNow(qdrant, names);
      facts.created = names.filter((name) => !before.has(name));
      emit.facts(facts);
      const total = snapshots.reduce((sum, one) => sum + one.bytes, 0);
      let done = 0;
      let finished = 0;
      await inParallel(snapshots, p.atOnce, async (snapshot) => {
        signal.throwIfAborted();
        const sha256 = await checksum(snapshot, signal);
        if ((before.get(snapshot.collection) ?? 0) > 0) {
          const safety = await takeSafetySnapshot(qdrant, ctx, snapshot.collection, signal);
          facts.safety[snapshot.collection] = safety;
          emit.facts(facts);
          emit.safetyCopy(`collection ${snapshot.collection}`, safety.file, `SHA-256 ${safety.sha256}`);
        }
        const onBytes = (bytes: number) => {
          done += bytes;
          emit.progress({
            done,
            total,
            unit: 'bytes',
            text: `${finished} of ${snapshots.length} collections, now ${snapshot.collection}`,
          });
        };
        await uploadWithWayBack(ctx, emit, snapshot, sha256, facts, onBytes, signal);
        finished += 1;
        const { count } = await qdrant.client.count(snapshot.collection, { exact: true });
        facts.restored[snapshot.collection] = { sha256, points: count };
        emit.facts(facts);
        emit.output(
          `${snapshot.collection} restored, ${plural(count, 'point')} (${finished} of ${snapshots.length})`,
        );
      });
      await restoreAliases(ctx, emit);
    }),

  async verify(p, ctx) {
    const { qdrant } = ctx.cluster;
    const checks: Check[] = [];
    const names = snapshotsOf(p, ctx.backup).map((one) => one.collection);
    const there = await listCollections(qdrant);
    await inParallel(names, 4, async (name) => {
      const subject = `qdrant collection ${name}`;
      if (!there.includes(name)) {
        checks.push(equal(subject, 'exists', 'yes', 'no'));
        return;
      }
      const health = await settled(qdrant, name);
      checks.push(
        equal(subject, 'status', 'green', health.status),
        equal(subject, 'shards not active', '', health.inactiveShards.join(', ')),
      );
      const expected = ctx.backup?.inventory?.qdrant?.collections[name];
      if (expected) checks.push(...compareCollection(name, expected, await inventoryCollection(qdrant, name)));
    });
    const aliases = ctx.backup?.inventory?.qdrant?.aliases ?? {};
    const now = await listAliases(qdrant);
    for (const [alias, collection] of Object.entries(aliases))
      checks.push(equal(`qdrant alias ${alias}`, 'collection', collection, now[alias]));
    return checks.sort((a, b) => (a.subject < b.subject ? -1 : a.subject > b.subject ? 1 : 0));
  },

  async probe(p, ctx, facts): Promise<Probe> {
    const names = snapshotsOf(p, ctx.backup).map((one) => one.collection);
    const there = await listCollections(ctx.cluster.qdrant);
    const standing = names.filter((name) => there.includes(name));
    if (standing.length === 0) return 'not-started';
    const restored = Object.keys(facts.restored ?? {});
    if (standing.length < names.length || restored.length < names.length) return 'partial';
    return (await qdrantRestore.verify(p, ctx, facts as Facts)).every((check) => check.ok) ? 'done' : 'partial';
  },

  undo: (_p, ctx, facts) =>
    stepEvents<Facts>(async (emit) => {
      const { qdrant } = ctx.cluster;
      for (const [collection, safety] of Object.entries(facts.safety ?? {})) {
        await upload(ctx, { collection, ...safety, bytes: await bytesOf(safety.file) }, safety.sha256, () => {});
        emit.output(`${collection} is as it was before this step`);
      }
      for (const collection of facts.created ?? []) {
        if (!(await listCollections(qdrant)).includes(collection)) continue;
        await qdrant.write(ctx.gateway, 'DELETE', `/collections/${collection}`, (client) =>
          client.deleteCollection(collection),
        );
        emit.output(`${collection} did not exist before this step: removed`);
      }
    }),
};

/**
 * Has the server write before anything is replaced: a key without the right to manage is found here, and so is a server
 * whose disk went away under it, which goes on answering reads from memory. A restart mends the second.
 */
async function proveWritable(
  ctx: StepContext,
  emit: Emitter<Facts>,
  names: string[],
  signal: AbortSignal,
): Promise<void> {
  const { qdrant } = ctx.cluster;
  try {
    await tryToWrite(ctx, names);
  } catch (error) {
    if (!/HTTP 5\d\d/.test(messageOf(error)) || !ctx.cluster.driver('qdrant')) throw error;
    emit.output(`${messageOf(error)}: Qdrant at ${qdrant.address} answers but cannot use its storage; restarting it`);
    await stopService('qdrant', ctx, emit, RESTART_PATIENCE, signal);
    await startService('qdrant', ctx, emit, RESTART_PATIENCE, signal);
    await tryToWrite(ctx, names);
  }
}

/** A snapshot of the smallest collection that holds points, or an empty collection of its own: both are removed again. */
async function tryToWrite(ctx: StepContext, names: string[]): Promise<void> {
  const { qdrant } = ctx.cluster;
  const [smallest] = [...(await pointsNow(qdrant, names))]
    .filter(([, points]) => points > 0)
    .sort((a, b) => a[1] - b[1]);
  if (smallest) {
    await removeSnapshot(qdrant, ctx, smallest[0], (await makeSnapshot(qdrant, ctx, smallest[0])).name);
    return;
  }
  const name = `runbook_probe_${ctx.runId}`;
  await qdrant.write(ctx.gateway, 'PUT', `/collections/${name}`, (client) =>
    client.createCollection(name, { vectors: { size: 1, distance: 'Dot' } }),
  );
  await qdrant.write(ctx.gateway, 'DELETE', `/collections/${name}`, (client) => client.deleteCollection(name));
}

/** The file's SHA-256; a file that is not the one of the manifest is refused before anything is touched. */
async function checksum(snapshot: Snapshot, signal: AbortSignal): Promise<string> {
  const sha256 = await sha256Of(snapshot.file, { signal });
  if (snapshot.sha256 !== undefined && snapshot.sha256 !== sha256) {
    throw new Error(
      `the snapshot ${snapshot.file} is not the one that was backed up: its SHA-256 is ${sha256}, the manifest says ${snapshot.sha256}; ${snapshot.collection} was not touched`,
    );
  }
  return sha256;
}

/** A failed recovery can destroy a collection; a good upload repairs it. */
async function uploadWithWayBack(
  ctx: StepContext,
  emit: Emitter<Facts>,
  snapshot: Snapshot,
  sha256: string,
  facts: Facts,
  onBytes: (bytes: number) => void,
  signal: AbortSignal,
): Promise<void> {
  try {
    await upload(ctx, snapshot, sha256, onBytes, signal);
  } catch (error) {
    const safety = facts.safety[snapshot.collection];
    if (!safety || signal.aborted) throw error;
    emit.output(`${messageOf(error)}; putting ${snapshot.collection} back from ${safety.file}`);
    await upload(
      ctx,
      { ...safety, collection: snapshot.collection, bytes: await bytesOf(safety.file) },
      safety.sha256,
      () => {},
      signal,
    );
    throw new Error(`${messageOf(error)}. ${snapshot.collection} was put back as it was before`);
  }
}

async function upload(
  ctx: StepContext,
  snapshot: Snapshot,
  sha256: string,
  onBytes: (bytes: number) => void,
  signal?: AbortSignal,
): Promise<void> {
  const { qdrant } = ctx.cluster;
  // The file stays on the server's disk under this name, where an equal name would be written over: it is removed after.
  const uploadName = `novamem-runbook-${ctx.runId}-${basename(snapshot.file)}`.replace(/[^A-Za-z0-9._-]/g, '_');
  await uploadSnapshot(
    ctx.gateway,
    qdrant,
    { collection: snapshot.collection, file: snapshot.file, sha256, uploadName },
    { onBytes, signal },
  );
  const left = (await qdrant.client.listSnapshots(snapshot.collection)).filter((one) => one.name === uploadName);
  for (const { name } of left) {
    await qdrant.write(ctx.gateway, 'DELETE', `/collections/${snapshot.collection}/snapshots/${name}`, (client) =>
      client.deleteSnapshot(snapshot.collection, name),
    );
  }
}

async function takeSafetySnapshot(
  qdrant: Qdrant,
  ctx: StepContext,
  collection: string,
  signal: AbortSignal,
): Promise<{ file: string; sha256: string }> {
  await mkdir(ctx.workFolder, { recursive: true, mode: 0o700 });
  const made = await makeSnapshot(qdrant, ctx, collection);
  const file = join(ctx.workFolder, `${collection.replace(/[^A-Za-z0-9._-]/g, '_')}-before.snapshot`);
  const { sha256 } = await downloadSnapshot(
    ctx.gateway,
    qdrant,
    { collection, snapshot: made.name, file },
    { signal },
  );
  await removeSnapshot(qdrant, ctx, collection, made.name);
  if (made.checksum !== undefined && made.checksum !== sha256) {
    throw new Error(
      `the safety snapshot of ${collection} did not arrive whole: SHA-256 ${sha256}, the server says ${made.checksum}; ${collection} was not touched`,
    );
  }
  return { file, sha256 };
}

/** Has the server make a snapshot of a collection; answers its name and, from Qdrant 1.8 on, its SHA-256. */
export async function makeSnapshot(
  qdrant: Qdrant,
  ctx: StepContext,
  collection: string,
): Promise<{ name: string; checksum?: string }> {
  const made = await qdrant.write(ctx.gateway, 'POST', `/collections/${collection}/snapshots`, (client) =>
    client.createSnapshot(collection),
  );
  if (!made) throw new Error(`Qdrant made no snapshot of ${collection}`);
  return { name: made.name, ...(made.checksum ? { checksum: made.checksum } : {}) };
}

export async function removeSnapshot(
  qdrant: Qdrant,
  ctx: StepContext,
  collection: string,
  name: string,
): Promise<void> {
  await qdrant.write(ctx.gateway, 'DELETE', `/collections/${collection}/snapshots/${name}`, (client) =>
    client.deleteSnapshot(collection, name),
  );
}

/** Aliases are not part of a collection's snapshot: they come from the manifest. */
async function restoreAliases(ctx: StepContext, emit: Emitter<Facts>): Promise<void> {
  const { qdrant } = ctx.cluster;
  const now = await listAliases(qdrant);
  const wanted = Object.entries(ctx.backup?.inventory?.qdrant?.aliases ?? {}).filter(
    ([alias, collection]) => now[alias] !== collection,
  );
  if (wanted.length === 0) return;
  const actions = wanted.flatMap(([alias, collection]) => [
    ...(now[alias] === undefined ? [] : [{ delete_alias: { alias_name: alias } }]),
    { create_alias: { alias_name: alias, collection_name: collection } },
  ]);
  await qdrant.write(ctx.gateway, 'POST', '/collections/aliases', (client) =>
    client.updateCollectionAliases({ actions }),
  );
  emit.output(
    `${plural(wanted.length, 'alias', 'aliases')} made again: ${wanted.map(([alias, collection]) => `${alias} → ${collection}`).join(', ')}`,
  );
}

/** A collection's health once its optimizers have had time to finish. */
async function settled(qdrant: Qdrant, name: string) {
  const good = await waitFor(
    async () => {
      const health = await collectionHealth(qdrant, name);
      return health.status === 'green' && health.inactiveShards.length === 0 ? health : undefined;
    },
    { timeoutMs: GREEN_PATIENCE },
  );
  return good ?? collectionHealth(qdrant, name);
}
