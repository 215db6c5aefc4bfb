import { join } from 'node:path';
import { exists, sha256Of, writeText } from '../../hosts/files.js';
import { LineFile, type Lines, lineBatches } from '../../hosts/line-file.js';
import type { Difference } from '../../stores/crosscheck/crosscheck.js';
import {
  countNodes,
  countRelationships,
  deleteNodes,
  type NodeOf,
  nodesAmong,
  readNodes,
  type SavedNode,
} from '../../stores/falkordb/nodes.js';
import { putNodesBack, putRelationshipsBack, unmarkNodes } from '../../stores/falkordb/put-back.js';
import { memoriesAmong } from '../../stores/postgres/memories.js';
import { exactPoints } from '../../stores/qdrant/inventory.js';
import {
  deletePoints,
  memoryOf,
  type Point,
  pointsAmong,
  putPoints,
  readPoints,
} from '../../stores/qdrant/points.js';
import { countOf, plural } from '../../words.js';
import type { StepContext } from '../step.js';
import type { Emitter } from '../step-events.js';
import type { CrosscheckFacts } from './crosscheck.js';

// How what has no memory is copied, deleted and put back: the doing of `cluster.reconcile`.

/** One line of a safety copy of vectors. */
export interface SavedPoint {
  collection: string;
  point: Point;
}

/** What a reconciliation leaves for its verification and its undo. */
export interface ReconcileFacts {
  /** Of every attempt: what was copied before it deleted. */
  copies: { vectors: Lines; nodes: Lines }[];
  /** Counted right before the newest attempt deleted: collection → points. */
  before: { points: Record<string, number>; nodes: number; relationships: number };
  /** Deleted by the newest attempt. */
  deleted: { points: Record<string, number>; nodes: number; relationships: number };
}

/** A vector of 384 numbers is some 4 KB of JSON. */
const POINTS_AT_ONCE = 250;
const NODES_AT_ONCE = 500;

/** Strays of the cross-check that Postgres still has no memory of: it is asked again, batch by batch. Those that name no memory are left out. */
async function* strays(
  files: CrosscheckFacts['files'],
  kind: 'stray-vectors' | 'stray-nodes',
  { cluster }: StepContext,
  signal?: AbortSignal,
): AsyncGenerator<(Difference & { memory: string })[]> {
  const file = files[kind];
  if (file === undefined) return;
  const size = kind === 'stray-vectors' ? POINTS_AT_ONCE : NODES_AT_ONCE;
  for await (const batch of lineBatches<Difference>(file, size)) {
    signal?.throwIfAborted();
    const named = batch.filter((one): one is Difference & { memory: string } => one.memory !== null);
    const there = await memoriesAmong(
      cluster.postgres,
      named.map((one) => one.memory),
    );
    yield named.filter((one) => !there.has(one.memory));
  }
}

/** What would be deleted, counted now: vectors by collection, and nodes. */
export async function countStrays(
  files: CrosscheckFacts['files'],
  ctx: StepContext,
): Promise<{ points: Record<string, number>; nodes: number }> {
  const points: Record<string, number> = {};
  for await (const batch of strays(files, 'stray-vectors', ctx))
    for (const [collection, of] of Map.groupBy(batch, (one) => one.collection!)) {
      const there = await pointsAmong(
        ctx.cluster.qdrant,
        collection,
        of.map((one) => one.point!),
      );
      points[collection] = (points[collection] ?? 0) + there.size;
    }
  let nodes = 0;
  for await (const batch of strays(files, 'stray-nodes', ctx))
    nodes += (
      await nodesAmong(
        ctx.cluster.falkordb,
        batch.map(({ node, memory }) => ({ node: node!, memory })),
      )
    ).length;
  return { points, nodes };
}

/** Copies all strays into files of their own and reads those back. Nothing is deleted yet. */
export async function copyStrays(
  files: CrosscheckFacts['files'],
  ctx: StepContext,
  emit: Emitter<ReconcileFacts>,
  signal: AbortSignal,
): Promise<{ vectors: Lines; nodes: Lines }> {
  const { qdrant, falkordb } = ctx.cluster;
  const open = async (what: string) =>
    LineFile.open(
      ctx.gateway,
      await freeName(join(ctx.workFolder, `deleted-${what}`)),
      `a copy of all ${what} that will be deleted`,
    );
  const vectors = await written(await open('vectors'), async (file) => {
    for await (const batch of strays(files, 'stray-vectors', ctx, signal)) {
      for (const [collection, of] of Map.groupBy(batch, (one) => one.collection!)) {
        const memories = new Map(of.map((one) => [one.point!, one.memory]));
        for (const point of await readPoints(qdrant, collection, [...memories.keys()]))
          if (memoryOf(point.payload) === memories.get(point.id))
            await file.write({ collection, point } satisfies SavedPoint);
      }
      emit.progress({ done: file.lines, unit: 'items', text: 'vectors copied' });
    }
  });
  const nodes = await written(await open('nodes'), async (file) => {
    for await (const batch of strays(files, 'stray-nodes', ctx, signal)) {
      const wanted = batch.map(({ node, memory }): NodeOf => ({ node: node!, memory }));
      if (wanted.length > 0) for (const node of await readNodes(falkordb, wanted)) await file.write(node);
      emit.progress({ done: file.lines, unit: 'items', text: 'nodes copied' });
    }
  });
  for (const [what, copy] of [['vector', vectors] as const, ['node', nodes] as const]) {
    if (copy.lines === 0) continue;
    await proveCopy(copy);
    emit.safetyCopy(plural(copy.lines, what), copy.file, `read back, SHA-256 ${copy.sha256}`);
  }
  return { vectors, nodes };
}

async function written(file: LineFile, work: (file: LineFile) => Promise<void>): Promise<Lines> {
  try {
    await work(file);
  } catch (error) {
    await file.close().catch(() => {});
    throw error;
  }
  return file.close();
}

/** Reads a copy to its end. Throws where it is not what was written. */
export async function proveCopy({ file, lines, sha256 }: Lines): Promise<void> {
  let read = 0;
  for await (const batch of lineBatches(file, NODES_AT_ONCE)) read += batch.length;
  const found = await sha256Of(file);
  if (read !== lines || found !== sha256)
    throw new Error(
      `the copy ${file} is not what was written: ${countOf(read)} lines of ${countOf(lines)}, SHA-256 ${found}, written was ${sha256}`,
    );
}

/** What is there of all that could be deleted from, right before. */
export async function countBefore(copy: { vectors: Lines }, ctx: StepContext): Promise<ReconcileFacts['before']> {
  const names = new Set<string>();
  for await (const batch of lineBatches<SavedPoint>(copy.vectors.file, POINTS_AT_ONCE))
    for (const { collection } of batch) names.add(collection);
  const points: Record<string, number> = {};
  for (const name of names) points[name] = await exactPoints(ctx.cluster.qdrant, name);
  return {
    points,
    nodes: (await countNodes(ctx.cluster.falkordb)).count,
    relationships: await countRelationships(ctx.cluster.falkordb),
  };
}

/** Deletes what is in the copies and nothing else, each batch only after Postgres was asked once more. `deleted` is added to as it goes. */
export async function deleteCopied(
  copy: { vectors: Lines; nodes: Lines },
  ctx: StepContext,
  emit: Emitter<ReconcileFacts>,
  signal: AbortSignal,
  deleted: ReconcileFacts['deleted'],
): Promise<void> {
  const { postgres, qdrant, falkordb } = ctx.cluster;
  const total = copy.vectors.lines + copy.nodes.lines;
  let done = 0;
  let spared = 0;
  const told = (batch: number, left: number, text: string) => {
    done += batch;
    spared += batch - left;
    emit.progress({ done, total, unit: 'items', text });
  };
  for await (const batch of lineBatches<SavedPoint>(copy.vectors.file, POINTS_AT_ONCE)) {
    signal.throwIfAborted();
    const there = await memoriesAmong(
      postgres,
      batch.map(({ point }) => memoryOf(point.payload)!),
    );
    const still = batch.filter(({ point }) => !there.has(memoryOf(point.payload)!));
    for (const [collection, of] of Map.groupBy(still, (one) => one.collection)) {
      await deletePoints(
        ctx.gateway,
        qdrant,
        collection,
        of.map(({ point }) => point.id),
      );
      deleted.points[collection] = (deleted.points[collection] ?? 0) + of.length;
    }
    told(batch.length, still.length, 'vectors deleted');
  }
  for await (const batch of lineBatches<SavedNode>(copy.nodes.file, NODES_AT_ONCE)) {
    signal.throwIfAborted();
    const there = await memoriesAmong(
      postgres,
      batch.map(({ memory }) => memory),
    );
    const still = batch.filter(({ memory }) => !there.has(memory));
    if (still.length > 0) {
      const counted = await deleteNodes(ctx.gateway, falkordb, still);
      deleted.nodes += counted.nodes;
      deleted.relationships += counted.relationships;
    }
    told(batch.length, still.length, 'nodes deleted');
  }
  if (spared > 0) emit.output(`${countOf(spared)} were spared: Postgres has a memory of that id now`);
}

/**
 * Puts everything back that the copies hold. What is there already is left as it is, so that it can be done again wherever it
 * broke off: several attempts may have copied the same node, so the marks stay until all of them are through.
 */
export async function putBack(
  copies: ReconcileFacts['copies'],
  ctx: StepContext,
  emit: Emitter<unknown>,
): Promise<void> {
  const { gateway, cluster } = ctx;
  const { falkordb } = cluster;
  for (const { vectors, nodes } of copies) {
    await proveCopy(vectors);
    await proveCopy(nodes);
  }
  const vectors = await putVectorsBack(copies, ctx, emit);
  const total = copies.reduce((sum, { nodes }) => sum + nodes.lines, 0);
  async function* nodeBatches(text: string) {
    let done = 0;
    for (const { nodes } of copies)
      for await (const batch of lineBatches<SavedNode>(nodes.file, NODES_AT_ONCE)) {
        yield batch;
        done += batch.length;
        emit.progress({ done, total, unit: 'items', text });
      }
  }
  const counted = { nodes: 0, relationships: 0, lost: 0 };
  // Without the marks nodes that were put back cannot be told from others: that they all are is written down before.
  const complete = `${copies.at(-1)!.nodes.file}.put-back`;
  if (!(await exists(complete))) {
    for await (const batch of nodeBatches('nodes put back'))
      counted.nodes += await putNodesBack(gateway, falkordb, batch);
    for await (const batch of nodeBatches('relationships put back')) {
      const { made, lost } = await putRelationshipsBack(gateway, falkordb, batch);
      counted.relationships += made;
      counted.lost += lost;
    }
    await writeText(gateway, complete, 'All nodes of this copy are in the graph again, with their relationships.\n');
  }
  for await (const batch of nodeBatches('marks taken off')) await unmarkNodes(gateway, falkordb, batch);
  emit.output(
    `put back: ${plural(vectors, 'vector')}, ${plural(counted.nodes, 'node')}, ${plural(counted.relationships, 'relationship')}`,
  );
  if (counted.lost > 0)
    throw new Error(
      `${plural(counted.lost, 'relationship')} could not be put back: the node at the other end is gone. All else is as it was`,
    );
}

async function putVectorsBack(
  copies: ReconcileFacts['copies'],
  { gateway, cluster: { qdrant } }: StepContext,
  emit: Emitter<unknown>,
): Promise<number> {
  const total = copies.reduce((sum, { vectors }) => sum + vectors.lines, 0);
  let done = 0;
  let put = 0;
  for (const { vectors } of copies)
    for await (const batch of lineBatches<SavedPoint>(vectors.file, POINTS_AT_ONCE)) {
      for (const [collection, of] of Map.groupBy(batch, (one) => one.collection)) {
        const points = of.map(({ point }) => point);
        const there = await pointsAmong(
          qdrant,
          collection,
          points.map(({ id }) => id),
        );
        const absent = points.filter(({ id }) => !there.has(id));
        if (absent.length > 0) await putPoints(gateway, qdrant, collection, absent);
        put += absent.length;
      }
      done += batch.length;
      emit.progress({ done, total, unit: 'items', text: 'vectors put back' });
    }
  return put;
}

async function freeName(path: string): Promise<string> {
  for (let number = 1; ; number += 1) {
    const name = `${path}${number === 1 ? '' : `-${number}`}.jsonl`;
    if (!(await exists(name))) return name;
  }
}
