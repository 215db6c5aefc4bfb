import { join } from 'node:path';
import { exists } from '../../hosts/files.js';
import { LineFile, type Lines, lineBatches } from '../../hosts/line-file.js';
import type { FalkorDB } from '../../stores/falkordb/connection.js';
import { type GraphContent, graphContent } from '../../stores/falkordb/graph-content.js';
import {
  memoriesMissing,
  mergeMemories,
  mergeRelations,
  relationsMissing,
  takeOut,
} from '../../stores/falkordb/memory-nodes.js';
import { type MemoryNode, type MemoryRelation, memoriesIn, relationsIn } from '../../stores/novamem/memory-graph.js';
import { countOf } from '../../words.js';
import { startService } from '../service.js';
import type { StepContext } from '../step.js';
import type { Emitter } from '../step-events.js';

/** What a graph holds that nothing may disturb. */
export interface Standing {
  content: GraphContent;
  /** Nodes of memories that have another node. */
  doubles: number;
  /** How many relationships say from when and to when they are valid, with the first and the last of each. */
  validity: string;
}

/** What a filling leaves to be proven or undone. */
export interface FillFacts {
  /** Before the first attempt. */
  before: Standing;
  /** Of every attempt: what was missing and is added, a line each. */
  lists: Lines[];
  /** `3 nodes, 4 co_occurs`; empty where nothing was missing. */
  added?: string;
}

export interface FillWork {
  ctx: StepContext;
  emit: Emitter<FillFacts>;
  signal: AbortSignal;
  batch: number;
  patienceMs: number;
}

type Missing = { memory: MemoryNode } | { relation: MemoryRelation };

export async function standing(falkordb: FalkorDB): Promise<Standing> {
  const { graph } = falkordb;
  const content = await graphContent(falkordb, graph);
  const [nodes] = await falkordb.query(graph, 'MATCH (m:Memory) RETURN count(m.id) - count(DISTINCT m.id)');
  const [valid] = await falkordb.query(
    graph,
    'MATCH ()-[r:RELATES]->() RETURN count(r.validFrom), count(r.validTo), min(r.validFrom), max(r.validFrom), min(r.validTo), max(r.validTo)',
  );
  const [from, to, ...ends] = (valid ?? []).map((value) => String(value ?? '-'));
  return {
    content,
    doubles: Number(nodes?.[0] ?? 0),
    validity: `${from} from, ${to} to, ${ends.join(' ')}`,
  };
}

/** Writes down what Postgres has as of one moment, and the graph does not. Changes nothing but that file. */
export async function findMissing({ ctx, emit, signal, batch }: FillWork): Promise<Lines> {
  const file = await LineFile.open(ctx.gateway, await freeName(ctx.workFolder), 'what is missing in the graph');
  try {
    let done = 0;
    await compare(ctx, batch, async (rows, missing) => {
      signal.throwIfAborted();
      for (const one of missing) await file.write(one);
      done += rows;
      emit.progress({ done, unit: 'items', text: `compared with the graph, ${countOf(file.lines)} are missing` });
    });
  } catch (error) {
    await file.close().catch(() => {});
    throw error;
  }
  return file.close();
}

/** How much of what Postgres says the graph does not have. */
export async function missingNow(ctx: StepContext, batch: number): Promise<{ memories: number; relations: number }> {
  let [memories, relations] = [0, 0];
  await compare(ctx, batch, async (_rows, missing) => {
    const sorted = sortedOut(missing);
    memories += sorted.memories.length;
    relations += sorted.relations.length;
  });
  return { memories, relations };
}

/** Goes through Postgres as of one moment, memories first. `told` is given how many were looked at, and which the graph does not have. */
async function compare(
  { cluster: { postgres, falkordb } }: StepContext,
  batch: number,
  told: (rows: number, missing: Missing[]) => Promise<void>,
): Promise<void> {
  const { graph } = falkordb;
  await postgres.reading(
    async (reading) => {
      for await (const rows of memoriesIn(reading, batch)) {
        const missing = await memoriesMissing(falkordb, graph, rows);
        await told(
          rows.length,
          missing.map((memory) => ({ memory })),
        );
      }
      for await (const rows of relationsIn(reading, batch)) {
        const missing = await relationsMissing(falkordb, graph, rows);
        await told(
          rows.length,
          missing.map((relation) => ({ relation })),
        );
      }
    },
    { snapshot: true },
  );
}

/** Adds what was written down as missing, and touches nothing else. Doing it again doubles nothing. */
export async function addMissing({ ctx, emit, signal, batch }: FillWork, list: Lines): Promise<void> {
  const { falkordb } = ctx.cluster;
  const { graph } = falkordb;
  let done = 0;
  for await (const lines of lineBatches<Missing>(list.file, batch)) {
    signal.throwIfAborted();
    const { memories, relations } = sortedOut(lines);
    if (memories.length > 0) await mergeMemories(falkordb, ctx.gateway, graph, memories);
    if (relations.length > 0) await mergeRelations(falkordb, ctx.gateway, graph, relations);
    done += lines.length;
    emit.progress({ done, total: list.lines, unit: 'items', text: 'added to the graph' });
  }
}

/** Takes what was added out of the graph again; what was linked to it since goes with it. */
export async function takeOutAdded(
  { ctx, emit, signal, batch, patienceMs }: FillWork,
  { lists = [] }: Partial<FillFacts>,
): Promise<void> {
  const { falkordb } = ctx.cluster;
  if (lists.every(({ lines }) => lines === 0)) return emit.output('nothing had been added');
  await startService('falkordb', ctx, emit, patienceMs, signal);
  for (const { file } of lists)
    for await (const lines of lineBatches<Missing>(file, batch))
      await takeOut(falkordb, ctx.gateway, falkordb.graph, sortedOut(lines));
  emit.output(`the graph ${falkordb.graph} is without what was added to it`);
}

/** How much of what was added is in the graph. */
export async function leftOf(falkordb: FalkorDB, lists: readonly Lines[], batch: number): Promise<number> {
  let left = 0;
  for (const { file } of lists)
    for await (const lines of lineBatches<Missing>(file, batch)) {
      const { memories, relations } = sortedOut(lines);
      left += lines.length;
      left -= (await memoriesMissing(falkordb, falkordb.graph, memories)).length;
      left -= (await relationsMissing(falkordb, falkordb.graph, relations)).length;
    }
  return left;
}

const sortedOut = (lines: readonly Missing[]) => ({
  memories: lines.flatMap((line) => ('memory' in line ? [line.memory] : [])),
  relations: lines.flatMap((line) => ('relation' in line ? [line.relation] : [])),
});

async function freeName(folder: string): Promise<string> {
  for (let attempt = 1; ; attempt += 1) {
    const name = join(folder, `missing-in-the-graph${attempt === 1 ? '' : `-${attempt}`}.jsonl`);
    if (!(await exists(name))) return name;
  }
}
