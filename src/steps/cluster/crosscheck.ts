import { join } from 'node:path';
import { z } from 'zod';
import { STORES } from '../../config/profile.js';
import { exists, remove } from '../../hosts/files.js';
import { LineFile } from '../../hosts/line-file.js';
import type { Check } from '../../stores/check.js';
import {
  all,
  type Crosscheck,
  crosscheck,
  DIFFERENCES,
  type DifferenceKind,
} from '../../stores/crosscheck/crosscheck.js';
import { hasMemories } from '../../stores/postgres/memories.js';
import { countOf, durationOf, instantOf, plural } from '../../words.js';
import { type Finding, readingPlan, type StepContext, type StepKind } from '../step.js';
import { type Emitter, stepEvents } from '../step-events.js';
import { unreachable } from '../store-readiness.js';
import {
  ALLOWED,
  against,
  type CrosscheckParams,
  crosscheckChecks,
  exceptionOf,
  type Rule,
  ruleOf,
} from './crosscheck-rule.js';

const params = z.strictObject({
  /**
   * Differences that may be there in any number; they are listed all the same. `stray`: a vector or node without a memory in
   * Postgres. `younger`: a stray written after what Postgres holds, as a point in time leaves them. `missing`: a memory without a
   * vector or node. `double`: a second one of a memory.
   */
  allow: z.array(z.enum(ALLOWED)).default([]),
  /** The share of the memories that may differ where the backup set cannot say whether its own parts agree. */
  tolerance: z.number().min(0).max(1).default(0.01),
  /** What is recent, or younger than another store's part, does not pass: a backup set is put to the proof. */
  strict: z.boolean().default(false),
});
type Params = z.infer<typeof params>;

export interface CrosscheckFacts {
  found: Omit<Crosscheck, 'collections'>;
  checks: Check[];
  /** Where all of a kind are listed, a line each; absent where there is none. */
  files: Partial<Record<DifferenceKind, string>>;
  /** Why the run has recovered with exceptions only; empty where it has not. */
  exception: string;
}

/** A backup of the largest cluster takes less. */
const FAR_APART_MS = 6 * 3_600_000;
const ROUGH_PER_MS = 60;

/** Compares every memory in Postgres with every vector and every node, both ways. */
export const clusterCrosscheck: StepKind<Params, CrosscheckFacts> = {
  kind: 'cluster.crosscheck',
  effect: 'read',
  params,
  async plan(_p, ctx) {
    const { postgres, qdrant, falkordb } = ctx.cluster;
    const memories = await estimate(ctx);
    return readingPlan(
      'Compare every memory with every vector and every node, both ways',
      [
        `SELECT id FROM memory_entries -- in ${postgres.address}`,
        `POST ${qdrant.address}/collections/${qdrant.prefix}*/points/scroll {"with_payload": ["entryId"]}`,
        `GRAPH.RO_QUERY ${falkordb.graph} "MATCH (m:Memory) WHERE ID(m) >= … RETURN ID(m), m.id"`,
      ],
      {
        onAbort: 'nothing is changed; the lists are not whole',
        estimateMs: 500 + memories / ROUGH_PER_MS,
        ...(memories > 0 ? { work: { amount: memories, unit: 'rows' } } : {}),
      },
    );
  },
  async check(p, ctx) {
    const apart = skewFindings(p, ctx);
    const asked = await Promise.all(STORES.map((store) => unreachable(store, ctx)));
    const obstacles = asked.filter((finding) => finding !== undefined).filter(({ level }) => level === 'blocking');
    // Before the stores are restored there is nothing else to say of them, and no reason not to restore one.
    if (ctx.phase === 'preflight')
      return [...apart, ...obstacles.map((finding) => ({ ...finding, level: 'warning' as const }))];
    if (obstacles.length > 0) return obstacles;
    if (await hasMemories(ctx.cluster.postgres)) return [...apart, { level: 'info', message: ruleOf(p, ctx).words }];
    return [
      {
        level: 'blocking',
        message: `there is no table memory_entries in ${ctx.cluster.postgres.address}: nothing to compare the other stores with`,
        next: 'restore Postgres first: novamem-runbook whole-cluster-lost',
      },
    ];
  },
  run: (p, ctx, signal) =>
    stepEvents<CrosscheckFacts>(async (emit) => {
      const rule = ruleOf(p, ctx);
      emit.output(`the rule: ${rule.words}`);
      const lists = new Lists(ctx);
      const found = await crosscheck(ctx.cluster, {
        moments: rule.moments,
        signal,
        onDifference: (difference) => lists.add(difference.kind, difference),
        onProgress: (progress) => emit.progress({ ...progress, unit: 'items' }),
      }).finally(() => lists.close());
      const { collections: _, ...facts } = found;
      emit.facts({
        found: facts,
        checks: crosscheckChecks(found, rule),
        files: lists.files,
        exception: exceptionOf(found, rule),
      });
      tell(found, rule, lists.files, emit);
    }),
  verify: async (_p, _ctx, { checks }) => checks,
  conclusion({ exception = '', found }) {
    if (exception !== '') return { text: exception, exception: true };
    const seen = DIFFERENCES.filter((kind) => found && all(found.differences[kind]) > 0);
    const words = seen.map((kind) => `${countOf(all(found!.differences[kind]))} ${kind.replace('-', ' ')}`);
    if (words.length === 0) return undefined;
    const lost = seen.some((kind) => kind.startsWith('stray'));
    return {
      text: `let pass: ${words.join(', ')}${lost ? '; the memories of what is stray are not in Postgres' : ''}`,
      exception: false,
    };
  },
  /** It leaves nothing behind that could be asked for. */
  probe: async () => 'not-started',
};

/** Between the moments of its stores a set has lost what was written: of that the stores know different things. */
function skewFindings(p: CrosscheckParams, { backup }: StepContext): Finding[] {
  if (backup?.skewMs === undefined || backup.skewMs < FAR_APART_MS || p.allow.includes('stray')) return [];
  return [
    {
      level: 'warning',
      message: `the stores of the backup set ${backup.id} lie ${durationOf(backup.skewMs)} apart, the oldest ${backup.takenAt ? `of ${instantOf(backup.takenAt)}` : 'of an unknown moment'}: what was written between is in one of them and not in the others`,
      next: 'take a set whose stores are of one moment, if there is one: novamem-runbook backups list; else keep or delete afterwards what has no memory: novamem-runbook run cross-check',
    },
  ];
}

async function estimate({ cluster }: StepContext): Promise<number> {
  const rows = await cluster.postgres
    .read<{ rows: string }>("SELECT reltuples::text AS rows FROM pg_class WHERE oid = to_regclass('memory_entries')")
    .catch(() => []);
  return Math.max(0, Number(rows[0]?.rows ?? 0));
}

/** A file for each kind of difference, begun with the first of them. */
class Lists {
  readonly files: Partial<Record<DifferenceKind, string>> = {};
  readonly #opening = new Map<DifferenceKind, Promise<LineFile>>();
  readonly #open = new Map<DifferenceKind, LineFile>();

  constructor(readonly ctx: StepContext) {}

  add(kind: DifferenceKind, line: unknown): Promise<void> | undefined {
    const open = this.#open.get(kind);
    return open ? open.write(line) : this.#addFirst(kind, line);
  }

  async close(): Promise<void> {
    for (const opening of this.#opening.values()) await (await opening).close();
  }

  async #addFirst(kind: DifferenceKind, line: unknown): Promise<void> {
    const opening = this.#opening.get(kind) ?? this.#begin(kind);
    this.#opening.set(kind, opening);
    const open = await opening;
    this.#open.set(kind, open);
    await open.write(line);
  }

  async #begin(kind: DifferenceKind): Promise<LineFile> {
    const { gateway, workFolder } = this.ctx;
    const file = join(workFolder, `${kind}.jsonl`);
    this.files[kind] = file;
    // An earlier attempt may have left one: it says what was true then.
    if (await exists(file)) await remove(gateway, file);
    return LineFile.open(gateway, file, `all ${kind.replace('-', ' ')}, a line each`);
  }
}

const SENTENCES: Record<DifferenceKind, (count: number) => string> = {
  'missing-vectors': (count) => `${memories(count)} in Postgres ${have(count)} no vector in Qdrant`,
  'stray-vectors': (count) => `${plural(count, 'vector')} in Qdrant ${belong(count)} to no memory in Postgres`,
  'double-vectors': (count) =>
    `${plural(count, 'vector')} in Qdrant ${count === 1 ? 'is' : 'are'} of a memory that has another one`,
  'missing-nodes': (count) => `${memories(count)} in Postgres ${have(count)} no node in FalkorDB`,
  'stray-nodes': (count) => `${plural(count, 'node')} in FalkorDB ${belong(count)} to no memory in Postgres`,
  'double-nodes': (count) =>
    `${plural(count, 'node')} in FalkorDB ${count === 1 ? 'is' : 'are'} of a memory that has another one`,
};

const WHAT_NOW: Record<DifferenceKind, string> = {
  'missing-vectors': 'novamem can embed them anew',
  'stray-vectors': 'searches meet them and find nothing behind; novamem-runbook cross-check can delete them',
  'double-vectors': 'a snapshot may have been restored into a collection of another name',
  'missing-nodes': 'their relationships are gone from the graph, but Postgres has them in memory_relations',
  'stray-nodes': 'they lead nowhere; novamem-runbook cross-check can delete them',
  'double-nodes': 'the graph may have been filled twice',
};

const memories = (count: number) => plural(count, 'memory', 'memories');
const have = (count: number) => (count === 1 ? 'has' : 'have');
const belong = (count: number) => (count === 1 ? 'belongs' : 'belong');

function tell(found: Crosscheck, rule: Rule, files: CrosscheckFacts['files'], emit: Emitter<CrosscheckFacts>): void {
  emit.output(
    `${memories(found.memories)}, ${plural(found.vectors, 'vector')} in ${plural(Object.keys(found.collections).length, 'collection')}, ${plural(found.nodes, 'node')}`,
  );
  if (found.pending > 0)
    emit.output(`${memories(found.pending)} ${have(found.pending)} yet to be embedded by novamem`);
  for (const kind of DIFFERENCES) {
    const tally = found.differences[kind];
    const count = all(tally);
    if (count === 0) continue;
    const fails = against(found, kind, rule) > rule.limits[kind](found.memories);
    const reasons = [
      tally.younger > 0 ? `${countOf(tally.younger)} younger than what that store holds` : '',
      tally.known > 0 ? `${countOf(tally.known)} known to novamem as orphans` : '',
      tally.recent > 0 ? `${countOf(tally.recent)} of the last minute` : '',
      tally.unexplained > 0 ? `${countOf(tally.unexplained)} that nothing explains` : '',
    ].filter((part) => part !== '');
    emit.output(
      `${fails ? 'NOT AS IT SHOULD BE' : 'warning'}: ${SENTENCES[kind](count)} (${reasons.join(', ')}); ${WHAT_NOW[kind]}`,
    );
    emit.output(`  all of them: ${files[kind]}; for example ${tally.examples.join(', ')}`);
  }
  if (DIFFERENCES.every((kind) => all(found.differences[kind]) === 0))
    emit.output('the stores agree about all of them');
}
