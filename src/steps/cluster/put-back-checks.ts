import { isDeepStrictEqual } from 'node:util';
import { lineBatches } from '../../hosts/line-file.js';
import { type Check, equal } from '../../stores/check.js';
import { nodesOfMemories, readNodes, type SavedNode } from '../../stores/falkordb/nodes.js';
import { memoriesAmong } from '../../stores/postgres/memories.js';
import { memoryOf, type Point, readPoints } from '../../stores/qdrant/points.js';
import type { StepContext } from '../step.js';
import type { ReconcileFacts, SavedPoint } from './reconciling.js';

/** Lines that are compared at once. */
const AT_ONCE = 250;

/**
 * After an undo of `cluster.reconcile`: what its copies hold against what is there. A memory that Postgres has again may have been
 * written to since, so that its point and node need not be what they were.
 */
export async function putBackChecks(copies: ReconcileFacts['copies'], ctx: StepContext): Promise<Check[]> {
  return [...(await vectorChecks(copies, ctx)), ...(await nodeChecks(copies, ctx))];
}

async function vectorChecks(copies: ReconcileFacts['copies'], { cluster }: StepContext): Promise<Check[]> {
  const tallies = new Map<string, { copied: number; there: number }>();
  const seen = new Set<string>();
  for (const { vectors } of copies)
    for await (const batch of lineBatches<SavedPoint>(vectors.file, AT_ONCE)) {
      const again = await memoriesAmong(
        cluster.postgres,
        batch.map(({ point }) => memoryOf(point.payload)!),
      );
      // A point that several attempts copied is put back from the first of its copies.
      const fresh = batch.filter(({ collection, point }) => isFirst(seen, collection, point.id));
      for (const [collection, of] of Map.groupBy(fresh, (one) => one.collection)) {
        const ids = of.map(({ point }) => point.id);
        const now = new Map((await readPoints(cluster.qdrant, collection, ids)).map((point) => [point.id, point]));
        const asBefore = of.filter(
          ({ point }) => again.has(memoryOf(point.payload)!) || isSame(point, now.get(point.id)),
        );
        const tally = tallies.get(collection) ?? { copied: 0, there: 0 };
        tallies.set(collection, {
          copied: tally.copied + of.length,
          there: tally.there + asBefore.length,
        });
      }
    }
  return [...tallies].map(([collection, { copied, there }]) =>
    equal(`qdrant collection ${collection}`, 'deleted points as before', copied, there),
  );
}

async function nodeChecks(copies: ReconcileFacts['copies'], { cluster }: StepContext): Promise<Check[]> {
  const nodes = { copied: 0, there: 0 };
  const relationships = { copied: 0, there: 0 };
  const seen = new Set<string>();
  for (const copy of copies)
    for await (const batch of lineBatches<SavedNode>(copy.nodes.file, AT_ONCE)) {
      const fresh = batch.filter(({ node, memory }) => isFirst(seen, node, memory));
      const memories = [...new Set(fresh.map(({ memory }) => memory))];
      const again = await memoriesAmong(cluster.postgres, memories);
      const now = await readNodes(cluster.falkordb, await nodesOfMemories(cluster.falkordb, memories));
      for (const [tally, linesOf] of [
        [nodes, nodeLine],
        [relationships, relationshipLines],
      ] as const) {
        const there = countsOf(now.flatMap(linesOf));
        const lines = fresh.flatMap((one) => linesOf(one).map((line) => ({ line, isKnown: again.has(one.memory) })));
        tally.copied += lines.length;
        for (const { line, isKnown } of lines) {
          const left = there.get(line) ?? 0;
          there.set(line, left - 1);
          if (left > 0 || isKnown) tally.there += 1;
        }
      }
    }
  if (nodes.copied === 0) return [];
  return [
    equal('falkordb', 'deleted nodes as before', nodes.copied, nodes.there),
    equal('falkordb', 'edges of theirs as before', relationships.copied, relationships.there),
  ];
}

function isFirst(seen: Set<string>, ...key: unknown[]): boolean {
  const before = seen.size;
  return seen.add(JSON.stringify(key)).size > before;
}

/** The numbers of a vector may differ in their last digits: Qdrant makes each of them as long as 1 when it takes it. */
function isSame(before: Point, now: Point | undefined): boolean {
  return now !== undefined && isDeepStrictEqual(before.payload, now.payload) && isAsClose(before.vector, now.vector);
}

function isAsClose(one: unknown, other: unknown): boolean {
  if (typeof one === 'number' && typeof other === 'number')
    return Math.abs(one - other) <= 1e-5 * Math.max(1, Math.abs(one));
  if (typeof one !== 'object' || typeof other !== 'object' || !one || !other) return one === other;
  const [left, right] = [Object.entries(one), Object.entries(other)];
  return (
    left.length === right.length &&
    left.every(([name, value]) => isAsClose(value, (other as Record<string, unknown>)[name]))
  );
}

/** A node without the number that the server gives it. */
const nodeLine = ({ memory, labels, properties }: SavedNode) => [
  JSON.stringify([memory, labels.toSorted(), Object.entries(properties).sort()]),
];

const relationshipLines = ({ memory, relationships }: SavedNode) =>
  relationships.map(({ direction, type, properties, other }) =>
    JSON.stringify([memory, direction, type, Object.entries(properties).sort(), other.memory]),
  );

function countsOf(lines: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const line of lines) counts.set(line, (counts.get(line) ?? 0) + 1);
  return counts;
}
