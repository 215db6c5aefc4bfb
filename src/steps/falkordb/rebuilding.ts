import { steadyNow } from '../../hosts/waiting.js';
import { contentText, graphContent, isEmpty } from '../../stores/falkordb/graph-content.js';
import { INDEXED, indexedProperties, makeIndexes, untilBuilt } from '../../stores/falkordb/indexes.js';
import { compareGraph, type GraphInventory, inventoryGraph } from '../../stores/falkordb/inventory.js';
import { mergeMemories, mergeRelations } from '../../stores/falkordb/memory-nodes.js';
import {
  countMemoryGraph,
  type MemoryGraph,
  memoriesIn,
  memoryGraphContent,
  relationsIn,
} from '../../stores/novamem/memory-graph.js';
import type { Reading } from '../../stores/postgres/connection.js';
import { countOf } from '../../words.js';
import { startService } from '../service.js';
import type { StepContext } from '../step.js';
import type { Emitter } from '../step-events.js';
import { type FilesFacts, putFilesBack } from './files.js';

/** What a rebuild must know to go on, to be proven or to be undone. */
export interface RebuildFacts extends Partial<FilesFacts> {
  /** How the graph was before the first attempt. `empty`: there, with nothing in it but novamem's indexes. */
  before?: 'absent' | 'empty' | 'populated';
  /** The name to which a graph was moved that was populated. */
  safety?: string;
  /** What Postgres said when it was read. */
  expected?: MemoryGraph;
  /** All of it was put into the graph: what is not right now does not come right by going on. */
  built?: boolean;
}

export interface RebuildWork {
  ctx: StepContext;
  emit: Emitter<RebuildFacts>;
  patienceMs: number;
  signal: AbortSignal;
}

export const safetyName = (graph: string, runId: string) => `${graph}-before-${runId}`;

/**
 * Sees to it that the graph can be built into: one that is populated is moved to another name, and compared with what it was.
 * An attempt that was broken off is gone on with; one that came to its end with a wrong graph is begun anew.
 */
export async function makeRoom({ ctx, emit, patienceMs, signal }: RebuildWork): Promise<void> {
  const { falkordb } = ctx.cluster;
  const { graph } = falkordb;
  const earlier = ctx.earlier as RebuildFacts;
  const there = (await falkordb.graphs()).includes(graph);
  if (earlier.before !== undefined) {
    if (earlier.built && there) await falkordb.deleteGraph(ctx.gateway, graph);
    emit.facts({ built: false });
    emit.output(earlier.built ? 'the graph of the attempt before is removed' : 'going on with the attempt before');
    return;
  }
  if (!there) return emit.facts({ before: 'absent' });
  if (await isBare(ctx)) return emit.facts({ before: 'empty' });
  const safety = safetyName(graph, ctx.runId);
  // The status of an index is part of what is compared.
  await untilBuilt(falkordb, patienceMs, signal);
  const before = await inventoryGraph(falkordb, graph);
  await falkordb.renameGraph(ctx.gateway, graph, safety);
  emit.facts({ before: 'populated', safety });
  const differing = differences(safety, before, await inventoryGraph(falkordb, safety));
  if (differing.length > 0)
    throw new Error(`the graph was moved to ${safety} and is not what it was: ${differing.join('; ')}`);
  const content = contentText(await graphContent(falkordb, safety));
  emit.safetyCopy(`graph ${graph}`, `graph ${safety} at ${falkordb.address}`, `moved, compared equal: ${content}`);
}

/** Nothing is in it but what this step makes anyway. */
async function isBare({ cluster }: StepContext): Promise<boolean> {
  const { falkordb } = cluster;
  const { constraints } = await inventoryGraph(falkordb, falkordb.graph);
  const indexed = await indexedProperties(falkordb, falkordb.graph);
  return (
    isEmpty(await graphContent(falkordb, falkordb.graph)) &&
    constraints.length === 0 &&
    indexed.every((one) => INDEXED.some((property) => one === `Memory.${property}`))
  );
}

function differences(name: string, before: GraphInventory, after: GraphInventory): string[] {
  return compareGraph(name, before, after)
    .filter((check) => !check.ok)
    .map((check) => `${check.what}: ${check.expected} became ${check.actual}`);
}

/** Puts everything that Postgres says into the graph, as of one moment and batch by batch. Doing it again doubles nothing. */
export async function build({ ctx, emit, patienceMs, signal }: RebuildWork, batch: number): Promise<void> {
  const { postgres, falkordb } = ctx.cluster;
  const { graph } = falkordb;
  await makeIndexes(falkordb, ctx.gateway, graph);
  await untilBuilt(falkordb, patienceMs, signal);
  await postgres.reading(
    async (reading: Reading) => {
      const expected = await countMemoryGraph(reading);
      emit.facts({ expected });
      const content = memoryGraphContent(expected);
      emit.output(`Postgres holds ${contentText(content)}`);
      const relations = Object.values(content.relationships).reduce((sum, count) => sum + count, 0);
      const told = counter(emit, expected.memories.count + relations);
      for await (const rows of memoriesIn(reading, batch)) {
        signal.throwIfAborted();
        await mergeMemories(falkordb, ctx.gateway, graph, rows);
        told(rows.length, 'memories');
      }
      for await (const rows of relationsIn(reading, batch)) {
        signal.throwIfAborted();
        await mergeRelations(falkordb, ctx.gateway, graph, rows);
        told(rows.length, 'relationships');
      }
    },
    { snapshot: true },
  );
  await untilBuilt(falkordb, patienceMs, signal);
}

function counter(emit: Emitter<RebuildFacts>, total: number): (items: number, what: string) => void {
  const started = steadyNow();
  let done = 0;
  return (items, what) => {
    done += items;
    const rate = Math.round(done / Math.max(0.001, (steadyNow() - started) / 1000));
    emit.progress({ done, total, unit: 'items', text: `${what}, ${countOf(rate)} a second` });
  };
}

/** Puts back the graph, or the files, of before. */
export async function undoRebuild(
  { ctx, emit, patienceMs, signal }: RebuildWork,
  facts: RebuildFacts,
): Promise<void> {
  if (facts.dir) return putFilesBack(ctx, emit, facts, patienceMs);
  const { falkordb } = ctx.cluster;
  const { graph } = falkordb;
  if (facts.before === undefined) return emit.output('nothing had been changed');
  await startService('falkordb', ctx, emit, patienceMs, signal);
  const graphs = await falkordb.graphs();
  if (facts.safety !== undefined && !graphs.includes(facts.safety))
    throw new Error(`the graph of before, ${facts.safety}, is not there any more. Nothing was removed`);
  if (graphs.includes(graph)) await falkordb.deleteGraph(ctx.gateway, graph);
  if (facts.safety !== undefined) {
    await untilBuilt(falkordb, patienceMs, signal);
    const before = await inventoryGraph(falkordb, facts.safety);
    await falkordb.renameGraph(ctx.gateway, facts.safety, graph);
    const differing = differences(graph, before, await inventoryGraph(falkordb, graph));
    if (differing.length > 0)
      throw new Error(`the graph was moved back and is not what it was: ${differing.join('; ')}`);
  } else if (facts.before === 'empty') await makeIndexes(falkordb, ctx.gateway, graph);
  emit.output(`the graph ${graph} is as it was before: ${facts.before}`);
}
