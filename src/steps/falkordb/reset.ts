import { join } from 'node:path';
import { z } from 'zod';
import { type Check, equal, sameSet } from '../../stores/check.js';
import type { Cluster } from '../../stores/cluster.js';
import { contentText, graphContent, isEmpty, totalOf } from '../../stores/falkordb/graph-content.js';
import { INDEXED, indexChecks, indexText, makeIndexes, untilBuilt } from '../../stores/falkordb/indexes.js';
import { type PersistenceSettings, persistenceOf, placesOf } from '../../stores/falkordb/persistence.js';
import { memoryGraphContent } from '../../stores/novamem/memory-graph.js';
import { plural } from '../../words.js';
import type { Finding, Probe, StepContext, StepKind } from '../step.js';
import { filesEvents, saidWhileStopped } from '../stopped-service.js';
import { uncountedIn } from '../store-readiness.js';
import { asideName, type FilesFacts, movingAside, putFilesBack, startEmpty } from './files.js';
import { refuseBlocked, serverFindings, serverStateFindings } from './findings.js';
import { proveWritable, savingCheck } from './server.js';
import { graphSources, nameOfBackup } from './sources.js';
import { filesUndoChecks, planFilesUndo } from './undo-plan.js';

const params = z.strictObject({ patienceSeconds: z.number().int().positive().max(86_400).default(600) });
type Params = z.infer<typeof params>;

interface Facts extends FilesFacts {
  /** The graph stands again, with its indexes and nothing else. */
  empty?: boolean;
  /** What Postgres could have given the graph instead. */
  without?: string;
}

/** Starts FalkorDB with an empty graph; everything that it had is moved aside. */
export const falkordbReset: StepKind<Params, Facts> = {
  kind: 'falkordb.reset',
  effect: 'destroy',
  backupSet: 'compares',
  params,

  async plan(_p, ctx) {
    const { cluster } = ctx;
    const { falkordb } = cluster;
    const settings = await settingsNow(cluster);
    const dir = settings?.dir || cluster.profile.falkordb.dataDir || '(the folder that the server names)';
    const aside: string[] = [];
    const { files } = cluster.host('falkordb');
    for (const path of settings?.dir ? placesOf(settings) : []) if (await files.exists(path)) aside.push(path);
    const folder = join(dir, asideName(ctx.runId));
    return {
      summary: `Start FalkorDB with an empty graph ${falkordb.graph}`,
      commands: [
        `${falkordb.clientCommand} SHUTDOWN NOSAVE`,
        ...(await saidWhileStopped('falkordb', ctx, (stopped) => movingAside(stopped, aside, folder))),
        ...INDEXED.map(
          (property) => `${falkordb.clientCommand} GRAPH.QUERY ${falkordb.graph} '${indexText(property)}'`,
        ),
      ],
      destroys: await graphsNow(cluster),
      ...(await uncountedIn('falkordb', ctx)),
      wayBack: `the files of now are moved aside into ${folder}, never deleted`,
      pointOfNoReturn: 'none: moving the files back undoes it, until novamem has written new relationships',
      onAbort: 'FalkorDB may be stopped, its files moved aside; undo, or a retry, goes on from there',
      estimateMs: 5_000,
    };
  },

  check: async (_p, ctx) => [...(await lossFindings(ctx)), ...(await serverStateFindings(ctx))],

  run: (p, ctx, signal) =>
    filesEvents<Facts>('falkordb', ctx, async (emit) => {
      const { falkordb } = ctx.cluster;
      const patienceMs = p.patienceSeconds * 1000;
      const { postgres } = await graphSources(ctx);
      if (postgres) emit.facts({ without: contentText(memoryGraphContent(postgres)) });
      const accept = async (settings: PersistenceSettings) =>
        refuseBlocked(await serverFindings(ctx.cluster, settings, { files: true }));
      await startEmpty({ ctx, emit, patienceMs, signal, accept });
      await makeIndexes(falkordb, ctx.gateway, falkordb.graph);
      await untilBuilt(falkordb, patienceMs, signal);
      await proveWritable(ctx, emit, await persistenceOf(falkordb), patienceMs, signal);
      emit.facts({ empty: true });
      emit.output(`the graph ${falkordb.graph} is there, empty, with its indexes`);
    }),

  async verify(_p, { cluster }, facts): Promise<Check[]> {
    const { falkordb } = cluster;
    const { graph } = falkordb;
    const graphs = await falkordb.graphs();
    const checks = [
      equal('falkordb', 'folder', facts.dir, (await persistenceOf(falkordb)).dir),
      sameSet('falkordb', 'graphs', [graph], graphs),
      await savingCheck(cluster),
    ];
    if (!graphs.includes(graph)) return checks;
    const { nodes, relationships } = await graphContent(falkordb, graph);
    return [
      ...checks,
      equal(`falkordb graph ${graph}`, 'nodes', 0, totalOf(nodes)),
      equal(`falkordb graph ${graph}`, 'relationships', 0, totalOf(relationships)),
      ...(await indexChecks(falkordb, graph)),
    ];
  },

  conclusion: ({ without }) =>
    without === undefined
      ? undefined
      : { text: `begun empty, without what could be rebuilt from Postgres: ${without}`, exception: false },

  async probe(p, ctx, facts): Promise<Probe> {
    if (!facts.dir) return 'not-started';
    if (!facts.empty || !(await ctx.cluster.answering('falkordb')).answers) return 'partial';
    return (await falkordbReset.verify(p, ctx, facts as Facts)).every((check) => check.ok) ? 'done' : 'partial';
  },

  undo: (p, ctx, facts) =>
    filesEvents<Facts>('falkordb', ctx, (emit) => putFilesBack(ctx, emit, facts, p.patienceSeconds * 1000)),
  planUndo: (_p, ctx, facts, since) => planFilesUndo(ctx, facts, since),
  verifyUndo: (_p, ctx, facts) => filesUndoChecks(ctx, facts),
};

async function settingsNow(cluster: Cluster): Promise<PersistenceSettings | undefined> {
  return (await cluster.answering('falkordb')).answers ? persistenceOf(cluster.falkordb) : undefined;
}

/** Every graph of the server with what it holds: all of them go with the files. */
async function graphsNow(cluster: Cluster): Promise<string[]> {
  const { falkordb } = cluster;
  if (!(await cluster.answering('falkordb')).answers) return [];
  const found: string[] = [];
  // Without the graph module there are none; the preflight says so.
  for (const name of await falkordb.graphs().catch(() => [])) {
    const content = await graphContent(falkordb, name);
    if (!isEmpty(content)) found.push(`graph ${name} at ${falkordb.address}: ${contentText(content)}`);
  }
  return found;
}

/** What beginning anew loses: all of the graph, wherever it could still be had from. */
async function lossFindings(ctx: StepContext): Promise<Finding[]> {
  const sources = await graphSources(ctx);
  const findings: Finding[] = [];
  if (sources.postgres) {
    const { memories } = sources.postgres;
    findings.push({
      level: 'warning',
      message: `${plural(memories.count, 'memory', 'memories')} lose their graph hits until they are linked again. This way loses of what Postgres holds: ${contentText(memoryGraphContent(sources.postgres))}`,
    });
  } else {
    findings.push({ level: 'info', message: `not counted in Postgres: ${sources.unknown.postgres}` });
  }
  if (sources.backup)
    findings.push({
      level: 'warning',
      message: `this way loses of what ${nameOfBackup(ctx)} holds: ${contentText(sources.backup)}`,
    });
  else findings.push({ level: 'info', message: `not counted in a backup: ${sources.unknown.backup}` });
  if (sources.postgres || sources.backup)
    findings.push({
      level: 'info',
      message: 'vector_neighbour forms again by itself; co_occurs and co_inferred do not',
    });
  return findings;
}
