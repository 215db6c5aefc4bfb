import { inParallel } from '../../in-parallel.js';
import { saysItIsBroken } from '../../stores/qdrant/connection.js';
import { exactPoints, versionOf } from '../../stores/qdrant/inventory.js';
import { comparesChecksums } from '../../stores/qdrant/server.js';
import { messageOf, plural } from '../../words.js';
import type { StepContext } from '../step.js';
import type { Emitter } from '../step-events.js';
import { restoreAliases, shared } from './collections.js';
import { evidenceOf, gathering, inventoryChecks } from './evidence.js';
import { giveWithWayBack, untilIdle } from './giving.js';
import { Pace } from './pace.js';
import { type SafetySnapshot, takeSafetySnapshot } from './safety-snapshot.js';
import { checksum, pointsNow, proveWritable, type Snapshot } from './snapshots.js';

// The doing of `qdrant.restore`.

export interface Facts {
  /** Collection → SHA-256 of the snapshot, or of one for each shard, that it was restored from, and its exact points right after. */
  restored: Record<string, { sha256: string; points: number }>;
  /** Collection → the snapshot that was taken of it before. */
  safety: Record<string, SafetySnapshot>;
  /** Collection → why no snapshot of it could be taken: it could not be read at all. */
  unsaved: Record<string, string>;
  /** Collections that did not exist before. */
  created: string[];
}

/** Rough: receiving, loading and comparing one on two cores takes so long, however small it is. */
export const roughMs = (bytes: number) => 500 + bytes / 60_000;

export const collectionsIn = (snapshots: readonly Snapshot[]) => [...new Set(snapshots.map((one) => one.collection))];

interface How {
  /** The most collections at a time. */
  atOnce: number;
  /** Send each, also where the server could read the files itself. */
  upload: boolean;
}

/** Replaces collections by their snapshots, several side by side; each is proved while others are restored. */
export const restoreSnapshots = (
  snapshots: readonly Snapshot[],
  how: How,
  ctx: StepContext,
  emit: Emitter<Facts>,
  signal: AbortSignal,
): Promise<void> =>
  gathering(ctx, async (gather) => {
    const { qdrant } = ctx.cluster;
    const names = collectionsIn(snapshots);
    // What an attempt that was ended has sent may still be at work: nothing is asked of a collection meanwhile.
    for (const node of ctx.cluster.qdrantNodes) await untilIdle(node, emit, names, signal);
    await proveWritable(ctx, emit, names, signal);
    const before = await pointsNow(qdrant, names);
    const { safety = {}, created, unsaved = {} } = ctx.earlier as Partial<Facts>;
    const facts: Facts = {
      restored: {},
      safety: { ...safety },
      unsaved: { ...unsaved },
      created: created ?? names.filter((name) => !before.has(name)),
    };
    emit.facts(facts);
    const isNew = new Set(facts.created);
    const total = snapshots.reduce((sum, one) => sum + one.bytes, 0);
    let done = 0;
    let finished = 0;
    const pace = new Pace(how.atOnce);
    const isCompared = comparesChecksums(await versionOf(qdrant));
    const restoreOne = async (name: string) => {
      signal.throwIfAborted();
      const own = snapshots.filter(({ collection }) => collection === name);
      const holdsNothing = isNew.has(name) || before.get(name) === 0;
      // Where nothing can be lost a file is read once: the server refuses one that is not of this checksum before it makes anything.
      const isRead = (one: Snapshot) => !(holdsNothing && isCompared && one.sha256 !== undefined);
      const sums: string[] = [];
      for (const one of own) sums.push(isRead(one) ? await checksum(one, signal) : one.sha256!);
      const isSettled = name in facts.safety || name in facts.unsaved;
      if (!holdsNothing && !isSettled) await keep(name, facts, before.get(name) !== undefined, ctx, emit, signal);
      const onBytes = (bytes: number) => {
        // A shard that several nodes have is sent to each.
        done = Math.min(total, done + bytes);
        const text = `${finished} of ${names.length} collections, now ${name}`;
        emit.progress({ done, total, unit: 'bytes', text });
      };
      const isRestored = async () => (await inventoryChecks(ctx, name))!.every((check) => check.ok);
      await makeAgain(ctx, emit, own[0]!);
      for (const [index, one] of own.entries()) {
        const isLast = index === own.length - 1;
        await giveWithWayBack(ctx, emit, one, sums[index]!, facts.safety[name], {
          onBytes,
          signal,
          byUpload: how.upload || !isCompared,
          // Only with the last of them the whole collection is there.
          ...(isLast && backupHas(ctx, name) ? { isRestored } : {}),
        }).catch(async (error: unknown) => {
          // Was it the file, that is said; and it was refused before anything was touched.
          if (!isRead(one)) await checksum(one, signal);
          throw error;
        });
        pace.ended(roughMs(one.bytes));
      }
      await shared(ctx.cluster, name);
      finished += 1;
      const count = await exactPoints(qdrant, name);
      emit.output(`${name} restored, ${plural(count, 'point')} (${finished} of ${names.length})`);
      emit.addFacts({ restored: { [name]: { sha256: sums.join(' '), points: count } } });
      gather(name, await evidenceOf(ctx, name));
    };
    await inParallel(names, () => pace.limit, restoreOne);
    await restoreAliases(names, ctx, emit);
  });

const backupHas = ({ backup }: StepContext, name: string) =>
  backup?.inventory?.qdrant?.collections[name] !== undefined;

/** A shard's snapshot goes into a collection that is there: one that is gone is made again first, empty, as it was. */
async function makeAgain(
  ctx: StepContext,
  emit: Emitter<unknown>,
  { collection, creation }: Snapshot,
): Promise<void> {
  const { qdrant } = ctx.cluster;
  if (!creation || (await qdrant.client.collectionExists(collection)).exists) return;
  await qdrant.write(ctx.gateway, 'PUT', `/collections/${collection}`, (client) =>
    client.createCollection(collection, creation as Parameters<typeof client.createCollection>[1]),
  );
  const { payloadIndexes = {} } = ctx.backup?.inventory?.qdrant?.collections[collection] ?? {};
  for (const [field, type] of Object.entries(payloadIndexes))
    await qdrant.write(ctx.gateway, 'PUT', `/collections/${collection}/index?wait=true`, (client) =>
      client.createPayloadIndex(collection, { field_name: field, field_schema: type as 'keyword', wait: true }),
    );
  emit.output(`${collection} was gone: made again, empty, for its shards`);
}

/** Takes a snapshot of what is about to be replaced. Only of a collection that cannot even be counted it may fail. */
async function keep(
  collection: string,
  facts: Facts,
  isReadable: boolean,
  ctx: StepContext,
  emit: Emitter<Facts>,
  signal: AbortSignal,
): Promise<void> {
  try {
    const safety = await takeSafetySnapshot(ctx.cluster.qdrant, ctx, collection, signal);
    facts.safety[collection] = safety;
    emit.addFacts({ safety: { [collection]: safety } });
    emit.safetyCopy(`collection ${collection}`, safety.file, `SHA-256 ${safety.sha256}`);
  } catch (error) {
    signal.throwIfAborted();
    if (isReadable || !saysItIsBroken(error)) throw error;
    const why = messageOf(error).replaceAll(/\s+/g, ' ');
    facts.unsaved[collection] = why;
    emit.addFacts({ unsaved: { [collection]: why } });
    emit.output(`WITHOUT A SAFETY COPY: ${collection} cannot be read (${why})`);
  }
}
