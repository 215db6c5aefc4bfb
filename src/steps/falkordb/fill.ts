import { z } from 'zod';
import { type Check, equal } from '../../stores/check.js';
import { contentOf, graphContent, moreIn } from '../../stores/falkordb/graph-content.js';
import { MERGE_MEMORIES, MERGE_RELATIONS } from '../../stores/falkordb/memory-nodes.js';
import { memoryGraphContent } from '../../stores/novamem/memory-graph.js';
import { countOf, instantOf, messageOf } from '../../words.js';
import type { Finding, Probe, StepContext, StepKind } from '../step.js';
import { stepEvents } from '../step-events.js';
import { unreachable } from '../store-readiness.js';
import { addMissing, type FillFacts, findMissing, leftOf, missingNow, standing, takeOutAdded } from './filling.js';
import { savingCheck } from './server.js';
import { nameOfBackup, postgresGraph } from './sources.js';

const params = z.strictObject({
  /** Memories, or relations, that are compared with the graph and put into it at a time. */
  batch: z.number().int().positive().max(5_000).default(2_000),
  patienceSeconds: z.number().int().positive().max(86_400).default(600),
});
type Params = z.infer<typeof params>;

/** Adds to a graph that is there what Postgres knows more of, and leaves everything that it holds as it is. */
export const falkordbFill: StepKind<Params, FillFacts> = {
  kind: 'falkordb.fill',
  effect: 'write',
  backupSet: 'compares',
  params,

  async plan(p, ctx) {
    const { falkordb } = ctx.cluster;
    const command = (words: string) => `${falkordb.clientCommand} GRAPH.QUERY ${falkordb.graph} '${words}'`;
    return {
      summary: 'Fill the graph up with what only Postgres knows',
      commands: [
        'read every memory and relation in Postgres, and ask the graph for it (read-only)',
        command(`CYPHER rows=[(${countOf(p.batch)} memories without a node)] ${MERGE_MEMORIES}`),
        command(`CYPHER rows=[(${countOf(p.batch)} relations without a relationship)] ${MERGE_RELATIONS}`),
      ],
      destroys: [],
      wayBack: `what is added is listed in ${ctx.workFolder} first; undo takes it out again`,
      pointOfNoReturn: 'none: nothing that is there is replaced',
      onAbort: 'some of it is added; a retry adds the rest',
    };
  },

  async check(_p, ctx) {
    const silent = await unreachable('postgres', ctx);
    if (silent) return [silent];
    if (ctx.phase === 'preflight') return backupFindings(ctx);
    const absent = await unreachable('falkordb', ctx);
    if (absent) return [absent];
    const { falkordb } = ctx.cluster;
    if (!(await falkordb.graphs()).includes(falkordb.graph))
      return [
        {
          level: 'blocking',
          message: `there is no graph ${falkordb.graph} that could be filled up`,
          next: 'restore it first, or use falkordb.rebuild',
        },
      ];
    const more = moreIn(memoryGraphContent(await postgresGraph(ctx)), await graphContent(falkordb, falkordb.graph));
    return [
      {
        level: 'info',
        message: more === '' ? 'by count the graph holds all that Postgres says' : `Postgres knows more of: ${more}`,
      },
    ];
  },

  run: (p, ctx, signal) =>
    stepEvents<FillFacts>(async (emit) => {
      const work = { ctx, emit, signal, batch: p.batch, patienceMs: p.patienceSeconds * 1000 };
      const { falkordb } = ctx.cluster;
      if (!(await falkordb.graphs()).includes(falkordb.graph))
        throw new Error(`there is no graph ${falkordb.graph} that could be filled up. Nothing was changed`);
      const earlier = ctx.earlier as Partial<FillFacts>;
      const before = earlier.before ?? (await standing(falkordb));
      const list = await findMissing(work);
      // Before anything is added: from here on an undo knows what to take out.
      emit.facts({ before, lists: [...(earlier.lists ?? []), list] });
      await addMissing(work, list);
      const added = moreIn(await graphContent(falkordb, falkordb.graph), before.content);
      emit.facts({ added });
      emit.output(
        added === ''
          ? 'Postgres knows nothing that the graph does not have'
          : `added: ${added}, without validFrom and validTo, which are not in Postgres`,
      );
    }),

  async verify(p, ctx, { before }): Promise<Check[]> {
    const { falkordb } = ctx.cluster;
    const subject = `falkordb graph ${falkordb.graph}`;
    const missing = await missingNow(ctx, p.batch);
    const now = await standing(falkordb);
    return [
      equal(subject, 'memories of Postgres without a node', 0, missing.memories),
      equal(subject, 'relations of Postgres without a relationship', 0, missing.relations),
      equal(subject, 'fewer than before', 'nothing', moreIn(before.content, now.content) || 'nothing'),
      equal(subject, 'nodes of a memory that has one already', before.doubles, now.doubles),
      equal(subject, 'relationships with their validity', before.validity, now.validity),
      await savingCheck(ctx.cluster),
    ];
  },

  conclusion: ({ added = '' }) =>
    added === '' ? undefined : { text: `filled up from Postgres: ${added}`, exception: false },

  async probe(p, ctx, facts): Promise<Probe> {
    if (!facts.lists || !facts.before) return 'not-started';
    if (!(await ctx.cluster.answering('falkordb')).answers) return 'partial';
    return (await falkordbFill.verify(p, ctx, facts as FillFacts)).every(({ ok }) => ok) ? 'done' : 'partial';
  },

  async planUndo(_p, { cluster: { falkordb } }, { lists = [], added = '' }, since) {
    if (lists.every(({ lines }) => lines === 0)) return { putsBack: '', replaces: [] };
    return {
      putsBack: `the graph ${falkordb.graph} without what was added to it`,
      replaces: [`${added || 'what was added'}, with all that was linked to it since ${instantOf(since)}`],
      keeps: `in ${lists.map(({ file }) => file).join(', ')}, but for what was linked since`,
    };
  },

  undo: (p, ctx, facts) =>
    stepEvents<FillFacts>((emit) =>
      takeOutAdded(
        { ctx, emit, signal: new AbortController().signal, batch: p.batch, patienceMs: p.patienceSeconds * 1000 },
        facts,
      ),
    ),

  async verifyUndo(p, { cluster: { falkordb } }, { lists }) {
    if (!lists) return [];
    return [
      equal(`falkordb graph ${falkordb.graph}`, 'left of what was added', 0, await leftOf(falkordb, lists, p.batch)),
    ];
  },
};

/** What the backup set lacks of what Postgres says: as much as is going to be added. */
async function backupFindings(ctx: StepContext): Promise<Finding[]> {
  const { backup, cluster } = ctx;
  const inBackup = contentOf(backup?.inventory?.falkordb, cluster.falkordb.graph);
  if (!inBackup) return [];
  try {
    const more = moreIn(memoryGraphContent(await postgresGraph(ctx)), inBackup);
    return [
      {
        level: 'info',
        message:
          more === ''
            ? `by count Postgres knows nothing of the graph that ${nameOfBackup(ctx)} lacks`
            : `Postgres knows more than ${nameOfBackup(ctx)}, which is added, without validFrom and validTo: ${more}`,
      },
    ];
  } catch (error) {
    return [{ level: 'info', message: `not compared with Postgres: ${messageOf(error)}` }];
  }
}
