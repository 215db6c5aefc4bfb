import { z } from 'zod';
import type { Lines } from '../../hosts/line-file.js';
import { type Check, equal } from '../../stores/check.js';
import { all, crosscheck } from '../../stores/crosscheck/crosscheck.js';
import { countNodes, countRelationships } from '../../stores/falkordb/nodes.js';
import { exactPoints } from '../../stores/qdrant/inventory.js';
import { countOf, messageOf, plural } from '../../words.js';
import type { Finding, Probe, StepContext, StepKind } from '../step.js';
import { stepEvents } from '../step-events.js';
import { unreachable } from '../store-readiness.js';
import { type CrosscheckFacts, clusterCrosscheck } from './crosscheck.js';
import { putBackChecks } from './put-back-checks.js';
import {
  copyStrays,
  countBefore,
  countStrays,
  deleteCopied,
  proveCopy,
  putBack,
  type ReconcileFacts,
} from './reconciling.js';

const params = z.strictObject({
  /** Delete even where more than half of all vectors, or of all nodes, would go. */
  acceptMost: z.boolean().default(false),
});
type Params = z.infer<typeof params>;

/** Deletes the vectors and nodes that the cross-check of this run has found to be without a memory. */
export const clusterReconcile: StepKind<Params, ReconcileFacts> = {
  kind: 'cluster.reconcile',
  effect: 'destroy',
  params,

  async plan(_p, ctx) {
    const found = newest(ctx);
    const counted = found ? await countStrays(found.files, ctx).catch(() => undefined) : undefined;
    const points = Object.entries(counted?.points ?? {}).filter(([, count]) => count > 0);
    const vectors = sumOf(points);
    const { qdrant, falkordb } = ctx.cluster;
    return {
      summary: counted
        ? `Delete ${plural(vectors, 'vector')} and ${plural(counted.nodes, 'node')} that have no memory in Postgres`
        : 'Delete what the cross-check finds to have no memory in Postgres',
      commands: [
        `curl -fsS ${qdrant.curlArguments}-X POST '${qdrant.address}/collections/COLLECTION/points/delete?wait=true' -d '{"points": [ … ]}'`,
        `${falkordb.clientCommand} GRAPH.QUERY ${falkordb.graph} "MATCH (m:Memory) WHERE m.id IN [ … ] DELETE m"`,
      ],
      destroys: [
        ...(vectors > 0 ? [`${plural(vectors, 'vector')} in ${whereOf(points)}`] : []),
        ...(counted && counted.nodes > 0
          ? [`${plural(counted.nodes, 'node')} of the graph ${falkordb.graph}, with their relationships`]
          : []),
        ...(found && !counted ? ['what has no memory in Postgres; it cannot be counted now'] : []),
      ],
      ...(found ? {} : { uncounted: 'the cross-check before it counts' }),
      wayBack: `all of it is copied before, with vectors, payloads and relationships, into ${ctx.workFolder}`,
      pointOfNoReturn: 'none: undo puts the copy back',
      onAbort: 'some is deleted and some is not; all of it is in the copy, and undo puts it back',
      estimateMs: 1_000 + (vectors + (counted?.nodes ?? 0)) * 2,
    };
  },

  async check(p, ctx) {
    const found = newest(ctx);
    if (!found)
      return ctx.phase === 'preflight'
        ? []
        : [
            {
              level: 'blocking',
              message: 'no cross-check of this run says what to delete',
              next: 'put a step of the kind cluster.crosscheck before this one',
            },
          ];
    const findings: Finding[] = [];
    for (const store of ['postgres', 'qdrant', 'falkordb'] as const) {
      const absent = await unreachable(store, ctx);
      if (absent) findings.push(absent);
    }
    findings.push(...mostFindings(p, found));
    if (ctx.cluster.novamem && (await ctx.cluster.answering('novamem')).answers)
      findings.push({
        level: 'info',
        message:
          'novamem is running; each memory is asked for in Postgres once more, right before its vector or node goes',
      });
    return findings;
  },

  run: (_p, ctx, signal) =>
    stepEvents<ReconcileFacts>(async (emit) => {
      const found = newest(ctx);
      if (!found) throw new Error('no cross-check of this run says what to delete');
      const { copies: earlier = [] } = ctx.earlier as Partial<ReconcileFacts>;
      const copy = await copyStrays(found.files, ctx, emit, signal);
      const deleted: ReconcileFacts['deleted'] = { points: {}, nodes: 0, relationships: 0 };
      // Before anything is deleted: from here on an undo has something to put back.
      emit.facts({ copies: [...earlier, copy], before: await countBefore(copy, ctx), deleted });
      try {
        await deleteCopied(copy, ctx, emit, signal, deleted);
      } finally {
        emit.facts({ deleted });
      }
      const vectors = sumOf(Object.entries(deleted.points));
      emit.output(
        `deleted: ${plural(vectors, 'vector')}, ${plural(deleted.nodes, 'node')}, ${plural(deleted.relationships, 'relationship')}`,
      );
    }),

  async verify(_p, ctx, { copies, before, deleted }) {
    const { qdrant, falkordb } = ctx.cluster;
    const checks: Check[] = [];
    for (const [name, count] of Object.entries(before.points))
      checks.push(
        equal(
          `qdrant collection ${name}`,
          'points left',
          count - (deleted.points[name] ?? 0),
          await exactPoints(qdrant, name),
        ),
      );
    checks.push(
      equal('falkordb', 'nodes left', before.nodes - deleted.nodes, (await countNodes(falkordb)).count),
      equal(
        'falkordb',
        'edges left',
        countOf(before.relationships - deleted.relationships),
        countOf(await countRelationships(falkordb)),
      ),
    );
    const { differences } = await crosscheck(ctx.cluster);
    for (const [store, kind] of [['qdrant', 'stray-vectors'] as const, ['falkordb', 'stray-nodes'] as const]) {
      const named = all(differences[kind]) - differences[kind].nameless;
      checks.push(equal(store, 'strays left', 'none', named === 0 ? 'none' : countOf(named)));
    }
    for (const { vectors, nodes } of copies) {
      checks.push(equal('qdrant', 'safety copy', 'whole', await wordOf(vectors)));
      checks.push(equal('falkordb', 'safety copy', 'whole', await wordOf(nodes)));
    }
    return checks;
  },

  async probe(p, ctx, facts): Promise<Probe> {
    if (!facts.copies) return 'not-started';
    if (!facts.before || !facts.deleted) return 'partial';
    const checks = await clusterReconcile.verify(p, ctx, facts as ReconcileFacts);
    return checks.every((check) => check.ok) ? 'done' : 'partial';
  },

  planUndo: async (_p, _ctx, { deleted }) => ({
    putsBack: deleted
      ? `${plural(sumOf(Object.entries(deleted.points)), 'vector')} and ${plural(deleted.nodes, 'node')} that had no memory`
      : '',
    replaces: [],
  }),

  undo: (_p, ctx, facts) =>
    stepEvents<ReconcileFacts>(async (emit) => {
      if (!facts.copies) return emit.output('nothing had been deleted yet');
      await putBack(facts.copies, ctx, emit);
    }),
  verifyUndo: async (_p, ctx, { copies = [] }) => putBackChecks(copies, ctx),
};

/** `whole`, or what is wrong with a copy. */
const wordOf = (copy: Lines) =>
  proveCopy(copy).then(
    () => 'whole',
    (error: unknown) => messageOf(error),
  );

const sumOf = (counts: [string, number][]) => counts.reduce((sum, [, count]) => sum + count, 0);

const NAMED = 3;

/** `12 collections: 40 in a, 7 in b, 7 in c, …`, the most first. */
function whereOf(points: [string, number][]): string {
  const [only] = points;
  if (points.length === 1) return `collection ${only![0]}`;
  const named = points
    .toSorted(([, a], [, b]) => b - a)
    .slice(0, NAMED)
    .map(([collection, count]) => `${countOf(count)} in ${collection}`);
  return `${plural(points.length, 'collection')}: ${named.join(', ')}${points.length > NAMED ? ', …' : ''}`;
}

/** What the newest cross-check of this run has found. */
const newest = (ctx: StepContext): CrosscheckFacts | undefined => ctx.factsOf(clusterCrosscheck).at(-1);

/** More often than not, a store of which most has no memory stands beside the wrong Postgres. */
function mostFindings(p: Params, { found }: CrosscheckFacts): Finding[] {
  const findings: Finding[] = [];
  for (const [store, kind, total] of [
    ['vectors', 'stray-vectors', found.vectors],
    ['nodes', 'stray-nodes', found.nodes],
  ] as const) {
    const strays = all(found.differences[kind]);
    if (strays * 2 <= total) continue;
    const message = `${countOf(strays)} of ${countOf(total)} ${store} have no memory in Postgres, which holds ${countOf(found.memories)}: is it the right Postgres, and whole?`;
    const next = 'look at Postgres first; to delete them all the same: --set <step>.acceptMost=true';
    findings.push(p.acceptMost ? { level: 'warning', message } : { level: 'blocking', message, next });
  }
  return findings;
}
