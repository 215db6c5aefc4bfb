import { join } from 'node:path';
import { z } from 'zod';
import { makeFolder, sha256Of } from '../../hosts/files.js';
import { inParallel } from '../../in-parallel.js';
import { equal } from '../../stores/check.js';
import { DEEP_HEALTH } from '../../stores/novamem/deep-health.js';
import {
  instantsBack,
  type KeptInstants,
  keepInstants,
  putInstantsBack,
  queueRows,
  type Rows,
  serverTime,
  updateRights,
} from '../../stores/novamem/embedding-queue.js';
import { describeMemories } from '../../stores/novamem/memories.js';
import { reindexText, startReindex } from '../../stores/novamem/reindex.js';
import { takeVectorCensus } from '../../stores/novamem/vectors.js';
import { listCollections } from '../../stores/qdrant/inventory.js';
import { countOf, durationOf, fileInstantOf, plural } from '../../words.js';
import { restartService } from '../service.js';
import type { Finding, StepContext, StepKind } from '../step.js';
import { type Emitter, stepEvents } from '../step-events.js';
import { unreachable } from '../store-readiness.js';
import {
  aliasChecks,
  healthChecks,
  payloadIndexChecks,
  restoreAliases,
  restorePayloadIndexes,
} from './collections.js';
import { followEmbeddings } from './embedding-progress.js';
import {
  amountOf,
  brokenFindings,
  endpointFindings,
  memoriesOf,
  NO_QUEUE,
  outlookOf,
  queueFindings,
  serviceFindings,
  timeFor,
} from './reindex-findings.js';
import { rightsFindings } from './server-findings.js';
import { proveWritable } from './snapshots.js';
import { vectorChecks } from './vector-checks.js';

const params = z
  .strictObject({
    /** `endpoint`: novamem's own POST /v1/admin/reindex. `queue`: rows of memory_entries whose embedded_at is set to NULL. */
    by: z.enum(['endpoint', 'queue']),
    /** `missing`: only memories that have no vector, or an outdated one. */
    only: z.enum(['all', 'missing']).default('all'),
    /** An earlier step of the same way restores snapshots: what is younger than they are is what is missing, and a novamem without a queue is no obstacle. */
    afterRestore: z.boolean().default(false),
    /** The rate to reckon with until one is measured. */
    perMinute: z.number().int().positive().max(1_000_000).default(400),
    /** How long nothing may move before it is said. */
    stallSeconds: z.number().int().positive().max(86_400).default(300),
    /** The endpoint is there although the server does not tell. */
    endpointExists: z.boolean().default(false),
  })
  .superRefine(({ by, only }, context) => {
    if (by === 'endpoint' && only === 'missing')
      context.addIssue({
        code: 'custom',
        path: ['only'],
        message: 'the endpoint embeds everything: by must be queue',
      });
  });
type Params = z.infer<typeof params>;

interface Facts {
  /** Which rows were embedded when, before they were queued. */
  kept: KeptInstants;
  /** All rows of it are queued. */
  queued: boolean;
  /** When the newest undo began, by the time of Postgres: what novamem still had in its hands it may embed after that. */
  undoBegan: string;
}

const RESTART_PATIENCE = 180_000;

/** Has novamem make the vectors again from what is in Postgres, and proves that every memory has one. */
export const qdrantReindex: StepKind<Params, Facts> = {
  kind: 'qdrant.reindex',
  effect: 'write',
  backupSet: 'compares',
  params,

  async plan(p, ctx) {
    const { novamem } = ctx.cluster;
    const { memories, points, rows } = await outlookOf(p, ctx);
    const deep = novamem ? [`curl -fsS ${novamem.curlArguments}${novamem.address}${DEEP_HEALTH}`] : [];
    const where = p.only === 'all' ? '' : ' WHERE … (no vector, or an outdated one)';
    const lacking =
      memories && memories.waiting === undefined ? Math.max(memories.newer, memories.memories - (points ?? 0)) : 0;
    return {
      summary: summaryOf(p, rows),
      commands: [
        ...(p.by === 'endpoint'
          ? novamem
            ? [reindexText(novamem)]
            : []
          : [`UPDATE memory_entries SET embedded_at = NULL${where}; -- in batches`]),
        ...deep,
      ],
      destroys: [],
      wayBack: `which memory was embedded when is kept in ${ctx.workFolder}, and put back by an undo; vectors are only added`,
      pointOfNoReturn: 'none',
      onAbort: 'what was queued stays queued, and novamem goes on embedding it by itself',
      ...(rows === undefined
        ? {}
        : { estimateMs: timeFor(rows, p.perMinute) + 2_000, work: { amount: rows, unit: 'rows' } }),
      ...(p.by === 'queue' && p.afterRestore && ctx.phase === 'ready' && lacking > 0
        ? { notApplicable: `${NO_QUEUE}: ${memoriesOf(lacking)} without a vector can only be found by keyword` }
        : {}),
    };
  },

  async check(p, ctx) {
    const absent: (Finding | undefined)[] = [await unreachable('postgres', ctx), await unreachable('qdrant', ctx)];
    if (ctx.cluster.novamem) absent.push(await unreachable('novamem', ctx));
    const findings = absent.filter((finding) => finding !== undefined);
    if (p.by === 'endpoint') findings.push(...(await endpointFindings(ctx, p.endpointExists)));
    else if (!absent[2]) findings.push(...(await serviceFindings(ctx)));
    if (!absent[1])
      findings.push(...(await rightsFindings(ctx.cluster.qdrant)), ...(await brokenFindings(ctx.cluster)));
    if (absent[0]) return findings;
    const { memories, rows } = await outlookOf(p, ctx);
    if (!memories)
      return [
        ...findings,
        {
          level: 'blocking',
          message: `there is no table memory_entries in ${ctx.cluster.postgres.address}: nothing to embed from`,
          next: 'restore Postgres first',
        },
      ];
    if (p.by === 'queue') findings.push(...(await queueFindings(p, ctx, memories)));
    if (rows !== undefined) findings.push({ level: 'info', message: `to embed: ${amountOf(rows, p.perMinute)}` });
    if (!ctx.backup?.inventory?.qdrant && !p.afterRestore)
      findings.push({
        level: 'warning',
        message:
          'no backup set with an inventory: aliases and payload indexes that the cluster had cannot be made again',
        next: 'name one with --backup, or make them by hand',
      });
    return findings;
  },

  run: (p, ctx, signal) =>
    stepEvents<Facts>(async (emit) => {
      const { qdrant } = ctx.cluster;
      if (await proveWritable(ctx, emit, await listCollections(qdrant), signal))
        await restartNovamem(ctx, emit, signal);
      const found = await describeMemories(ctx.cluster.postgres);
      if (!found) throw new Error('there is no table memory_entries: nothing to embed from');
      if (p.by === 'queue') await queue(p, ctx, emit, found.waiting !== undefined, signal);
      else await askForAll(ctx, emit, found.waiting, signal);
      await followEmbeddings(ctx, emit, { by: p.by, perMinute: p.perMinute, stallMs: p.stallSeconds * 1000 }, signal);
      await restorePayloadIndexes(ctx, emit);
      await restoreAliases(await listCollections(qdrant), ctx, emit);
    }),

  async verify(_p, ctx) {
    const { qdrant } = ctx.cluster;
    const checks = await vectorChecks(ctx.cluster);
    await inParallel(await listCollections(qdrant), 4, async (name) => {
      checks.push(...(await healthChecks(qdrant, name)));
    });
    checks.push(...(await payloadIndexChecks(ctx)), ...(await aliasChecks(await listCollections(qdrant), ctx)));
    return checks;
  },

  async probe(p, ctx, facts) {
    if (p.by === 'queue' && !facts.kept) return 'not-started';
    const found = await describeMemories(ctx.cluster.postgres);
    if ((p.by === 'queue' && !facts.queued) || (found?.waiting ?? 0) > 0) return 'partial';
    return (await qdrantReindex.verify(p, ctx, facts as Facts)).every((check) => check.ok) ? 'done' : 'partial';
  },

  planUndo: async (_p, _ctx, { kept }) => ({
    putsBack: kept ? `when ${plural(kept.rows, 'row was', 'rows were')} embedded; the vectors stay` : '',
    replaces: [],
  }),

  undo: (_p, ctx, { kept }) =>
    stepEvents<Facts>(async (emit) => {
      if (!kept) return emit.output('nothing was queued');
      const { postgres } = ctx.cluster;
      if ((await sha256Of(kept.file)) !== kept.sha256)
        throw new Error(`${kept.file} is not what was written before the rows were queued; nothing was put back`);
      const { canSilence } = await updateRights(postgres);
      emit.facts({ undoBegan: await serverTime(postgres) });
      const rows = await putInstantsBack(postgres, ctx.gateway, kept, canSilence, {
        onRows: (done) => emit.progress({ done, total: kept.rows, unit: 'rows', text: 'embedded_at put back' }),
      });
      emit.output(
        `${plural(rows, 'row has its', 'rows have their')} embedded_at back${rows < kept.rows ? `, ${countOf(kept.rows - rows)} were forgotten meanwhile` : ''}; vectors that were made stay, they are right`,
      );
    }),

  async verifyUndo(_p, { cluster: { postgres } }, { kept, undoBegan }) {
    if (!kept || undoBegan === undefined) return [];
    const { there, back } = await instantsBack(postgres, kept, undoBegan);
    return [equal('postgres table memory_entries', 'embedded_at as before (rows)', there, back)];
  },
};

function summaryOf({ by, only, perMinute }: Params, rows: number | undefined): string {
  if (rows === undefined) return 'Queue what has no vector then';
  const time = rows === 0 ? '' : ` (about ${durationOf(timeFor(rows, perMinute))})`;
  if (by === 'endpoint') return `Have novamem embed all ${memoriesOf(rows)} again${time}`;
  if (only === 'all') return `Queue all ${memoriesOf(rows)} to be embedded again${time}`;
  return `Queue what has no vector: ${rows === 0 ? 'nothing, as it seems now' : `${memoriesOf(rows)}${time}`}`;
}

/** Keeps which rows were embedded when, unless an earlier attempt did. */
async function keep(rows: Rows, ctx: StepContext, emit: Emitter<Facts>, signal: AbortSignal): Promise<KeptInstants> {
  const { kept: earlier } = ctx.earlier as Partial<Facts>;
  if (earlier) return earlier;
  await makeFolder(ctx.gateway, ctx.workFolder);
  const file = join(ctx.workFolder, `embedded-at-before-${fileInstantOf(new Date())}.jsonl`);
  const kept = await keepInstants(ctx.cluster.postgres, ctx.gateway, rows, file, {
    onRows: (done) => emit.progress({ done, unit: 'rows', text: 'which was embedded when is kept' }),
    signal,
  });
  emit.facts({ kept });
  emit.safetyCopy(
    `embedded_at of ${plural(kept.rows, 'row')}`,
    file,
    `${plural(kept.rows, 'row')}, SHA-256 ${kept.sha256}`,
  );
  return kept;
}

/** Novamem's own way. One that is at it since an earlier attempt is not asked a second time. */
async function askForAll(
  ctx: StepContext,
  emit: Emitter<Facts>,
  waiting: number | undefined,
  signal: AbortSignal,
): Promise<void> {
  if ((ctx.earlier as Partial<Facts>).kept && waiting)
    return emit.output(`${memoriesOf(waiting)} still wait since the earlier attempt: novamem is not asked again`);
  if (waiting !== undefined) await keep({ all: true }, ctx, emit, signal);
  const { taken, seen } = await startReindex(ctx.gateway, ctx.cluster.novamem!);
  emit.output(
    taken === 'yes'
      ? `novamem has begun: ${seen}`
      : `no clear answer (${seen}): it is not sent again, what happens is followed`,
  );
}

async function queue(
  p: Params,
  ctx: StepContext,
  emit: Emitter<Facts>,
  hasQueue: boolean,
  signal: AbortSignal,
): Promise<void> {
  const { postgres } = ctx.cluster;
  const { kept: earlier, queued } = ctx.earlier as Partial<Facts>;
  if (queued) return emit.output('the rows were queued by an earlier attempt: nothing is queued twice');
  const rows = earlier ? undefined : await rowsToQueue(p, ctx, emit, signal);
  if (rows && !('all' in rows) && !hasQueue) {
    if (rows.ids.length === 0) return;
    throw new Error(`${memoriesOf(rows.ids.length)} without a vector, and ${NO_QUEUE}; nothing was changed`);
  }
  const kept = earlier ?? (await keep(rows!, ctx, emit, signal));
  const { canSilence, triggers } = await updateRights(postgres);
  if (triggers.length > 0 && canSilence)
    emit.output(
      `${triggers.join(', ')} ${triggers.length === 1 ? 'is' : 'are'} kept from firing: only embedded_at is changed`,
    );
  const changed = await queueRows(postgres, ctx.gateway, kept, canSilence, {
    onRows: (done) => emit.progress({ done, total: kept.rows, unit: 'rows', text: 'queued' }),
    signal,
  });
  emit.facts({ kept, queued: true });
  emit.output(`queued: ${amountOf(changed, p.perMinute)}`);
}

async function rowsToQueue(p: Params, ctx: StepContext, emit: Emitter<Facts>, signal: AbortSignal): Promise<Rows> {
  if (p.only === 'all') return { all: true };
  const { cluster, backup } = ctx;
  const census = await takeVectorCensus(cluster.postgres, cluster.qdrant, {
    onPoints: (done, total) => emit.progress({ done, total, unit: 'items', text: 'points compared with memories' }),
    signal,
  });
  if (census.nameless > 0)
    throw new Error(
      `${plural(census.nameless, 'point')} in Qdrant ${census.nameless === 1 ? 'does' : 'do'} not name a memory (payload entryId), so which memories have no vector cannot be told; nothing was queued. Embed all: --set <step>.only=all`,
    );
  emit.output(`${countOf(census.missing.length)} of ${memoriesOf(census.memories)} have no vector`);
  return { ids: census.missing, embeddedAfter: p.afterRestore ? (backup?.takenAt ?? null) : null };
}

/** A novamem that ran while its collections went away does not make them again. */
async function restartNovamem(ctx: StepContext, emit: Emitter<Facts>, signal: AbortSignal): Promise<void> {
  if (!ctx.cluster.driver('novamem'))
    return emit.output('restart novamem by hand: it does not make its collections again by itself');
  emit.output('novamem is restarted, so that it makes its collections again');
  await restartService('novamem', ctx, emit, RESTART_PATIENCE, signal);
}
