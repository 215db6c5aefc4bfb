import { z } from 'zod';
import { type Check, equal } from '../../stores/check.js';
import type { Cluster } from '../../stores/cluster.js';
import {
  contentOf,
  contentText,
  type GraphContent,
  graphContent,
  isEmpty,
  listOf,
  totalOf,
} from '../../stores/falkordb/graph-content.js';
import { INDEXED, indexChecks, indexText } from '../../stores/falkordb/indexes.js';
import { memoryOf } from '../../stores/falkordb/memory.js';
import {
  MERGE_MEMORIES,
  MERGE_RELATIONS,
  memoryGraphChecks,
  sampleChecks,
} from '../../stores/falkordb/memory-nodes.js';
import { diskLost, type PersistenceSettings, persistenceOf } from '../../stores/falkordb/persistence.js';
import {
  countMemoryGraph,
  type MemoryGraph,
  memoryGraphContent,
  sampledMemories,
} from '../../stores/novamem/memory-graph.js';
import { countOf, messageOf, plural } from '../../words.js';
import type { Finding, Probe, StepContext, StepKind } from '../step.js';
import { filesEvents } from '../stopped-service.js';
import { uncountedIn, unreachable } from '../store-readiness.js';
import { startEmpty } from './files.js';
import { evictionFindings, refuseBlocked, serverFindings, serverStateFindings, WITHOUT_MODULE } from './findings.js';
import { build, makeRoom, type RebuildFacts, type RebuildWork, safetyName, undoRebuild } from './rebuilding.js';
import { proveWritable, savingCheck, startServer } from './server.js';
import { lossFinding, nameOfBackup, postgresGraph } from './sources.js';
import { planRebuildUndo, rebuildUndoChecks } from './undo-plan.js';

const params = z.strictObject({
  /** Memories, or relations, that are put into the graph at a time. */
  batch: z.number().int().positive().max(50_000).default(2_000),
  patienceSeconds: z.number().int().positive().max(86_400).default(600),
});
type Params = z.infer<typeof params>;

const SAMPLES = 20;
/** Measured on one server: a guess that is good enough to say how long it takes, and whether it fits. */
const ITEMS_A_SECOND = 25_000;
const BYTES_A_NODE = 300;
const BYTES_A_RELATIONSHIP = 200;

/** Builds the graph anew from what Postgres says: a node for each memory, a relationship for each relation. */
export const falkordbRebuild: StepKind<Params, RebuildFacts> = {
  kind: 'falkordb.rebuild',
  effect: 'destroy',
  backupSet: 'compares',
  params,

  async plan(p, ctx) {
    const { falkordb } = ctx.cluster;
    const { graph } = falkordb;
    const said = await postgresGraph(ctx).catch(() => undefined);
    const content = said && memoryGraphContent(said);
    const items = content ? totalOf(content.nodes) + totalOf(content.relationships) : 0;
    const now = await contentNow(ctx.cluster);
    const files = await needsNewFiles(ctx.cluster);
    const safety = safetyName(graph, ctx.runId);
    const populated = now !== undefined && !isEmpty(now);
    const command = (words: string) => `${falkordb.clientCommand} ${words}`;
    return {
      summary: content
        ? `Rebuild the graph: ${plural(totalOf(content.nodes), 'node')}, ${plural(totalOf(content.relationships), 'relationship')} from Postgres`
        : 'Rebuild the graph from Postgres',
      commands: [
        ...(files === ''
          ? populated
            ? [command(`RENAMENX ${graph} ${safety}`)]
            : []
          : [
              '(stop FalkorDB without a save, and move aside all that it would load)',
              (await ctx.cluster.driver('falkordb')?.commands())?.start ?? '(start FalkorDB by hand)',
            ]),
        ...INDEXED.map((property) => command(`GRAPH.QUERY ${graph} '${indexText(property)}'`)),
        command(`GRAPH.QUERY ${graph} 'CYPHER rows=[(${countOf(p.batch)} memories)] ${MERGE_MEMORIES}'`),
        command(`GRAPH.QUERY ${graph} 'CYPHER rows=[(${countOf(p.batch)} relations)] ${MERGE_RELATIONS}'`),
      ],
      destroys: populated ? [`graph ${graph} at ${falkordb.address}: ${contentText(now)}`] : [],
      ...(await uncountedIn('falkordb', ctx)),
      wayBack:
        files !== ''
          ? 'what FalkorDB would load is moved aside, never deleted'
          : populated
            ? `the graph is moved to ${safety} first, and kept there`
            : 'not needed: there is no graph, or nothing in it',
      pointOfNoReturn: 'none: what was there is kept until an undo puts it back, or you remove it',
      onAbort: 'the graph is half built; undo, or a retry, goes on from there',
      ...(content
        ? { estimateMs: 3_000 + (items / ITEMS_A_SECOND) * 1000, work: { amount: items, unit: 'items' } }
        : {}),
    };
  },

  async check(_p, ctx) {
    const { cluster } = ctx;
    const silent = await unreachable('postgres', ctx);
    const findings: Finding[] = silent ? [silent] : await sourceFindings(ctx);
    const files = await needsNewFiles(cluster);
    if (files !== '') return [...findings, ...(await serverStateFindings(ctx))];
    findings.push(...(await runningFindings(ctx)));
    return findings;
  },

  run: (p, ctx, signal) =>
    filesEvents<RebuildFacts>('falkordb', ctx, async (emit) => {
      const { cluster } = ctx;
      const patienceMs = p.patienceSeconds * 1000;
      const work: RebuildWork = { ctx, emit, patienceMs, signal };
      const earlier = ctx.earlier as RebuildFacts;
      const accept = async (settings: PersistenceSettings) =>
        refuseBlocked(await serverFindings(cluster, settings, { files: true }));
      if (!earlier.placing && (await needsNewFiles(cluster)) !== '')
        await startEmpty({ ctx, emit, patienceMs, signal, accept });
      else {
        await startServer(ctx, emit, patienceMs, signal);
        refuseBlocked(await runningFindings(ctx));
      }
      await makeRoom(work);
      await build(work, p.batch);
      emit.facts({ built: true });
      emit.output('validFrom and validTo are not in Postgres: the relationships have neither');
      await proveWritable(ctx, emit, await persistenceOf(cluster.falkordb), patienceMs, signal);
    }),

  async verify(_p, ctx, facts): Promise<Check[]> {
    const { falkordb, postgres } = ctx.cluster;
    const { graph } = falkordb;
    const present = (await falkordb.graphs()).includes(graph);
    const checks: Check[] = [
      equal('falkordb', `graph ${graph}`, 'present', present ? 'present' : 'absent'),
      ...(facts.dir ? [equal('falkordb', 'folder', facts.dir, (await persistenceOf(falkordb)).dir)] : []),
      await savingCheck(ctx.cluster),
    ];
    if (!present) return checks;
    const [expected, samples] = await postgres.reading(
      async (reading) => [await countMemoryGraph(reading), await sampledMemories(reading, SAMPLES)] as const,
      { snapshot: true },
    );
    return [
      ...checks,
      ...(await memoryGraphChecks(falkordb, graph, expected)),
      ...(await sampleChecks(falkordb, graph, samples)),
      ...(await indexChecks(falkordb, graph)),
    ];
  },

  async probe(p, ctx, facts): Promise<Probe> {
    if (facts.before === undefined && !facts.dir) return 'not-started';
    if (!facts.built || !(await ctx.cluster.answering('falkordb')).answers) return 'partial';
    return (await falkordbRebuild.verify(p, ctx, facts as RebuildFacts)).every((check) => check.ok)
      ? 'done'
      : 'partial';
  },

  planUndo: (_p, ctx, facts, since) => planRebuildUndo(ctx, facts, since),
  verifyUndo: (_p, ctx, facts) => rebuildUndoChecks(ctx, facts),
  undo: (p, ctx, facts) =>
    filesEvents<RebuildFacts>('falkordb', ctx, (emit) =>
      undoRebuild({ ctx, emit, patienceMs: p.patienceSeconds * 1000, signal: new AbortController().signal }, facts),
    ),
};

async function contentNow(cluster: Cluster): Promise<GraphContent | undefined> {
  if (!(await cluster.answering('falkordb')).answers) return undefined;
  // Without the graph module there is nothing to count; the preflight says so.
  return graphContent(cluster.falkordb, cluster.falkordb.graph).catch(() => undefined);
}

/**
 * Why the server must first be started on nothing; empty where the graph can be built into the server as it runs. One that is down
 * is not started on files that may be damaged, and one whose files are gone could not keep what is built.
 */
async function needsNewFiles(cluster: Cluster): Promise<string> {
  const { falkordb, profile } = cluster;
  const { answers, seen } = await cluster.answering('falkordb');
  // Without its folder there is nothing that could be moved aside: it is started on what it has.
  if (!answers) return profile.falkordb.dataDir === undefined ? '' : seen;
  return diskLost(falkordb, await persistenceOf(falkordb), cluster.host('falkordb').files);
}

/** What is seen of a server that is built into as it runs; one that is down is started first. */
async function runningFindings(ctx: StepContext): Promise<Finding[]> {
  const { cluster } = ctx;
  const { falkordb } = cluster;
  const { answers, seen } = await cluster.answering('falkordb');
  if (!answers) {
    const started = cluster.driver('falkordb') !== undefined;
    return [
      started
        ? { level: 'warning', message: `FalkorDB does not answer (${seen}); it is started first` }
        : {
            level: 'blocking',
            message: `FalkorDB does not answer (${seen}), and the profile does not say how to start it`,
            next: 'start it by hand and retry, or add services.falkordb to the profile',
          },
    ];
  }
  const findings = await serverFindings(cluster, await persistenceOf(falkordb), { files: false });
  if (findings.includes(WITHOUT_MODULE)) return findings;
  const content = await graphContent(falkordb, falkordb.graph);
  const said = await postgresGraph(ctx).catch(() => undefined);
  if (said) {
    if (!isEmpty(content)) findings.push(lossFinding(memoryGraphContent(said), 'the graph now', content));
    findings.push(...(await evictionFindings(falkordb, (await memoryOf(falkordb)).used + bytesOfGraph(said))));
  }
  return findings;
}

function bytesOfGraph(said: MemoryGraph): number {
  const { nodes, relationships } = memoryGraphContent(said);
  return totalOf(nodes) * BYTES_A_NODE + totalOf(relationships) * BYTES_A_RELATIONSHIP;
}

/** What Postgres gives, what it does not have, and what a backup has more. */
async function sourceFindings(ctx: StepContext): Promise<Finding[]> {
  let said: MemoryGraph;
  try {
    said = await postgresGraph(ctx);
  } catch (error) {
    return [
      {
        level: 'blocking',
        message: `the graph cannot be rebuilt: ${messageOf(error)}`,
        next: 'choose another way, or restore Postgres first',
      },
    ];
  }
  const content = memoryGraphContent(said);
  if (said.memories.count === 0)
    return [
      {
        level: 'blocking',
        message: 'Postgres holds no memory: there is nothing to rebuild from',
        next: 'novamem-runbook whole-cluster-lost',
      },
    ];
  const relations = totalOf(content.relationships);
  const broken = totalOf(said.withoutEnds);
  const { backup, cluster } = ctx;
  const inBackup = backup && contentOf(backup.inventory?.falkordb, cluster.falkordb.graph);
  return [
    { level: 'info', message: `Postgres holds ${contentText(content)}` },
    {
      level: 'warning',
      message: `Postgres has no validFrom and no validTo: ${relations === 1 ? 'the relationship' : `all ${countOf(relations)} relationships`} will have neither`,
    },
    ...(broken === 0
      ? []
      : [
          {
            level: 'warning' as const,
            message: `${plural(broken, 'relation')} in Postgres ${broken === 1 ? 'names' : 'name'} a memory that is not there, and cannot come back: ${listOf(said.withoutEnds)}`,
          },
        ]),
    inBackup
      ? lossFinding(content, nameOfBackup(ctx), inBackup)
      : {
          level: 'info',
          message: backup
            ? `${nameOfBackup(ctx)} does not tell what its graph ${cluster.falkordb.graph} holds: not compared`
            : 'there is no backup set to compare with',
        },
  ];
}
