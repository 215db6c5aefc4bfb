import { join } from 'node:path';
import { z } from 'zod';
import { differencesBetween, sizeOfTree, type TreeSize } from '../../hosts/copy-tree.js';
import { NotReached } from '../../hosts/elsewhere/reaching.js';
import { seenIn } from '../../hosts/elsewhere/seen-in.js';
import { exists, freeBytes, giveTo, remove } from '../../hosts/files.js';
import { type Check, equal } from '../../stores/check.js';
import { majorOf } from '../../stores/postgres/control-data.js';
import { keptInside } from '../../stores/postgres/kept-inside.js';
import { servedBy } from '../../stores/postgres/served-by.js';
import { countOf, messageOf, plural, sizeOf } from '../../words.js';
import type { Finding, StepContext, StepKind, StepPlan } from '../step.js';
import { filesEvents } from '../stopped-service.js';
import { halfMoved } from './data-places.js';
import { filesOf, hostOfPostgres, onHost, reachFiles } from './server-files.js';

const params = z.strictObject({
  /** Where the copy goes; otherwise into the run's own folder. */
  to: z.string().min(1).optional(),
  /** Nothing is left that could be copied, or nothing that can be reached: go on without. */
  nothingLeft: z.boolean().default(false),
});
type Params = z.infer<typeof params>;

export interface RawCopyFacts extends TreeSize {
  from: string;
  /** The folder of the copy, which nothing writes to any more. */
  copy: string;
  /** What was counted of the original before it was copied. */
  original: TreeSize;
  /** Folders in it that are no part of it: what recoveries have kept of before. */
  without?: string[];
}

/** Rough: what an ordinary disk reads and writes at once. */
const ROUGH_BYTES_PER_MS = 50_000;

const copyFolder = (p: Params, ctx: StepContext) => join(p.to ?? ctx.workFolder, `data-${ctx.runId}`);

/** What is to be copied, counted. */
const countedIn = async (dataDir: string, ctx: StepContext): Promise<TreeSize> =>
  sizeOfTree(dataDir, filesOf(ctx), { without: await keptInside(dataDir, filesOf(ctx)) });

/** Why there is nothing to copy; empty where there is something. */
async function whyNothing(p: Params, ctx: StepContext): Promise<string> {
  if (p.nothingLeft) return 'nothing is left to copy, as was said (nothingLeft)';
  const { dataDir } = ctx.cluster.profile.postgres;
  if (dataDir === undefined) return '';
  const there = await seenIn(() => filesOf(ctx).exists(dataDir));
  return there === false ? `nothing is left to copy: ${dataDir}${onHost(ctx)} is gone` : '';
}

/** Copies the stopped data directory as it is to this machine, before anything else is tried with what is left. */
export const postgresRawCopy: StepKind<Params, RawCopyFacts> = {
  kind: 'postgres.raw-copy',
  effect: 'write',
  params,

  async plan(p, ctx): Promise<StepPlan> {
    const { dataDir } = ctx.cluster.profile.postgres;
    const nothing = await whyNothing(p, ctx);
    const size = dataDir && nothing === '' ? await countedIn(dataDir, ctx).catch(() => undefined) : undefined;
    return {
      summary: `Copy the data directory as it is (${size ? sizeOf(size.bytes) : 'size unknown'})`,
      commands: dataDir
        ? [
            filesOf(ctx).saidFetchTree(
              dataDir,
              copyFolder(p, ctx),
              await keptInside(dataDir, filesOf(ctx)).catch(() => []),
            ),
          ]
        : [],
      destroys: [],
      wayBack: 'not needed: the original is only read',
      pointOfNoReturn: 'none',
      onAbort: hostOfPostgres(ctx).here
        ? 'half a copy, which a retry removes'
        : 'half a copy, with which a retry goes on',
      ...(size ? { estimateMs: size.bytes / ROUGH_BYTES_PER_MS, work: { amount: size.bytes, unit: 'bytes' } } : {}),
      ...(nothing === '' ? {} : { notApplicable: nothing }),
    };
  },

  async check(p, ctx) {
    const nothing = await whyNothing(p, ctx);
    if (nothing !== '') return [{ level: 'warning', message: nothing }];
    const { dataDir } = ctx.cluster.profile.postgres;
    if (dataDir === undefined) {
      return [
        {
          level: 'blocking',
          message: 'the profile does not say where the data directory is, so nothing of it can be copied or salvaged',
          next: 'add postgres.dataDir to the profile, and hosts.postgres where that is not on this machine; if nothing is left of it: --set <step>.nothingLeft=true',
        },
      ];
    }
    const found = await seenIn(async () => [
      ...(await readFindings(dataDir, ctx)),
      ...(await servedFindings(dataDir, ctx)),
      ...(await roomFindings(dataDir, p, ctx)),
    ]);
    return (
      found ?? [
        {
          level: 'warning',
          message: `${hostOfPostgres(ctx).title} is stopped: its files are seen only once this step begins, and whether there is room for them is not known before`,
        },
      ]
    );
  },

  run: (p, ctx, signal) =>
    filesEvents<RawCopyFacts>('postgres', ctx, async (emit) => {
      const from = ctx.cluster.profile.postgres.dataDir;
      if (from === undefined) throw new Error('the profile does not say where the data directory is');
      const copy = copyFolder(p, ctx);
      const host = hostOfPostgres(ctx);
      const { files } = host;
      await reachFiles(ctx, signal);
      const running = await servedBy(from, files);
      if (running !== undefined)
        throw new Error(
          `Postgres (process ${running}) runs on ${from}: a copy of it would be torn. Stop it, then retry`,
        );
      const half = await halfMoved(from, ctx);
      if (half) throw new Error(`${half.message}. Nothing was copied. Next: ${half.next}`);
      const without = await keptInside(from, files);
      const size = await sizeOfTree(from, files, { without });
      const room = await freeBytes(copy);
      if (room <= size.bytes)
        throw new Error(
          `${sizeOf(size.bytes)} are to be copied, and ${sizeOf(room)} are free where ${copy} would be. Nothing was changed. Name a folder with more room: --set <step>.to=/a/folder`,
        );
      emit.output(`copying ${from}${onHost(ctx)}: ${plural(size.files, 'file')}, ${sizeOf(size.bytes)}`);
      if (without.length > 0)
        emit.output(`what recoveries have kept in it is no part of it, and is left out: ${without.join(', ')}`);
      if (await exists(copy)) await remove(ctx.gateway, copy);
      emit.facts({ from, copy, original: size, without });
      await files.fetchTree(ctx.gateway, from, copy, {
        onBytes: emit.bytes(size.bytes, `copying ${from}`),
        onProven: emit.bytes(size.bytes, `reading ${from} on ${host.title} once more, to compare`),
        signal,
        without,
      });
      await giveTo(ctx.gateway, copy, (await files.stat(from))!);
      const made = await sizeOfTree(copy);
      emit.facts(made);
      emit.safetyCopy(
        `data directory ${from}${onHost(ctx)}`,
        copy,
        `${plural(made.files, 'file')}, ${countOf(made.bytes)} bytes, each file ${host.here ? 'as long as' : 'with the SHA-256 of'} the original`,
      );
    }),

  async verify(_p, ctx, { from, copy, original, files, bytes, without = [] }): Promise<Check[]> {
    // In Kubernetes nobody sees the files of what is stopped any more; each was compared by its SHA-256 as it came.
    const different = await seenIn(() => differencesBetween(from, copy, filesOf(ctx), { without }));
    return [
      equal('postgres', 'raw copy: files', original.files, files),
      equal('postgres', 'raw copy: bytes', original.bytes, bytes),
      ...(different
        ? [
            equal(
              'postgres',
              'raw copy: files that differ in size',
              'none',
              different.slice(0, 5).join('; ') || 'none',
            ),
          ]
        : []),
    ];
  },

  async probe(_p, ctx, { from, copy, files, without = [] }) {
    if (from === undefined || copy === undefined || !(await exists(copy))) return 'not-started';
    if (files === undefined) return 'partial';
    const different = await seenIn(() => differencesBetween(from, copy, filesOf(ctx), { without }));
    return different === undefined || different.length === 0 ? 'done' : 'partial';
  },
  conclusion: ({ copy, bytes }) =>
    copy === undefined ? undefined : { text: `${sizeOf(bytes ?? 0)} kept as it was in ${copy}`, exception: false },
};

async function readFindings(dataDir: string, ctx: StepContext): Promise<Finding[]> {
  const { files, here } = hostOfPostgres(ctx);
  try {
    await files.list(dataDir);
  } catch (error) {
    if (error instanceof NotReached) throw error;
    return [
      {
        level: 'blocking',
        message: `the data directory cannot be read: ${messageOf(error)}`,
        next: here
          ? 'run this as root, or as the user whom it belongs to'
          : 'reach the host as root, or as the user whom it belongs to; over ssh, with sudo: true',
      },
    ];
  }
  const half = await halfMoved(dataDir, ctx);
  if (half) return [half];
  if ((await majorOf(dataDir, files)) !== undefined) return [];
  return [
    {
      level: 'warning',
      message: `${dataDir}${onHost(ctx)} has no PG_VERSION: what is left of it is copied, but no server will start on it`,
    },
  ];
}

async function servedFindings(dataDir: string, ctx: StepContext): Promise<Finding[]> {
  const pid = await servedBy(dataDir, filesOf(ctx));
  if (pid === undefined) return [];
  const message = `Postgres (process ${pid}) runs on ${dataDir}${onHost(ctx)}: a copy of it would be torn`;
  if (ctx.phase === 'preflight') return [{ level: 'info', message: `${message}; it is stopped before` }];
  return [{ level: 'blocking', message, next: 'stop it, then retry' }];
}

async function roomFindings(dataDir: string, p: Params, ctx: StepContext): Promise<Finding[]> {
  const to = copyFolder(p, ctx);
  const size = await countedIn(dataDir, ctx).catch((error: unknown) => {
    if (error instanceof NotReached) throw error;
    return messageOf(error);
  });
  if (typeof size === 'string')
    return [
      {
        level: 'blocking',
        message: `the data directory cannot be read to its end: ${size}`,
        next: 'copy what the disk still gives with ddrescue (where the disk is), put that into postgres.dataDir of the profile, and start again',
      },
    ];
  const free = await freeBytes(to);
  if (free > size.bytes) {
    const message = `${plural(size.files, 'file')}, ${sizeOf(size.bytes)}; ${sizeOf(free)} are free for the copy in ${to}`;
    return [{ level: 'info', message }];
  }
  return [
    {
      level: 'blocking',
      message: `there is no room for the copy: ${sizeOf(size.bytes)} are needed, ${sizeOf(free)} are free where ${to} would be`,
      next: 'name a folder with more room: --set <step>.to=/a/folder',
    },
  ];
}
