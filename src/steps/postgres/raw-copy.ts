import { access, constants, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { copyTree, differencesBetween, sizeOfTree, type TreeSize } from '../../hosts/copy-tree.js';
import { exists, freeBytes, giveTo, remove } from '../../hosts/files.js';
import { type Check, equal } from '../../stores/check.js';
import { majorOf } from '../../stores/postgres/control-data.js';
import { servedBy } from '../../stores/postgres/served-by.js';
import { countOf, messageOf, plural, sizeOf } from '../../words.js';
import type { Finding, StepContext, StepKind, StepPlan } from '../step.js';
import { stepEvents } from '../step-events.js';
import { elsewhereFinding } from './elsewhere.js';

const params = z.strictObject({
  /** Where the copy goes; otherwise into the run's own folder. */
  to: z.string().min(1).optional(),
  /** Nothing is left that could be copied, or not from this machine: go on without. */
  nothingLeft: z.boolean().default(false),
});
type Params = z.infer<typeof params>;

export interface RawCopyFacts extends TreeSize {
  from: string;
  /** The folder of the copy, which nothing writes to any more. */
  copy: string;
}

/** Rough: what an ordinary disk reads and writes at once. */
const ROUGH_BYTES_PER_MS = 50_000;

const copyFolder = (p: Params, ctx: StepContext) => join(p.to ?? ctx.workFolder, `data-${ctx.runId}`);

/** Why there is nothing to copy; empty where there is something. */
async function whyNothing(p: Params, { cluster }: StepContext): Promise<string> {
  if (p.nothingLeft) return 'nothing is left to copy, as was said (nothingLeft)';
  const dataDir = cluster.dataDirHere('postgres');
  if (dataDir === undefined) return '';
  return (await exists(dataDir)) ? '' : `nothing is left to copy: ${dataDir} is gone`;
}

/** Copies the stopped data directory as it is, before anything else is tried with what is left. */
export const postgresRawCopy: StepKind<Params, RawCopyFacts> = {
  kind: 'postgres.raw-copy',
  effect: 'write',
  params,

  async plan(p, ctx): Promise<StepPlan> {
    const dataDir = ctx.cluster.dataDirHere('postgres');
    const nothing = await whyNothing(p, ctx);
    const size = dataDir && nothing === '' ? await sizeOfTree(dataDir).catch(() => undefined) : undefined;
    return {
      summary: `Copy the data directory as it is (${size ? sizeOf(size.bytes) : 'size unknown'})`,
      commands: dataDir ? [`cp -aLT --reflink=auto '${dataDir}' '${copyFolder(p, ctx)}'`] : [],
      destroys: [],
      wayBack: 'not needed: the original is only read',
      pointOfNoReturn: 'none',
      onAbort: 'half a copy, which a retry removes',
      ...(size ? { estimateMs: size.bytes / ROUGH_BYTES_PER_MS, work: { amount: size.bytes, unit: 'bytes' } } : {}),
      ...(nothing === '' ? {} : { notApplicable: nothing }),
    };
  },

  async check(p, ctx) {
    const nothing = await whyNothing(p, ctx);
    if (nothing !== '') return [{ level: 'warning', message: nothing }];
    const elsewhere = elsewhereFinding(ctx, 'a raw copy of the data directory, and a salvage from it,');
    if (elsewhere) return [elsewhere];
    const dataDir = ctx.cluster.dataDirHere('postgres');
    if (dataDir === undefined) {
      return [
        {
          level: 'blocking',
          message: 'the profile does not say where the data directory is, so nothing of it can be copied or salvaged',
          next: 'add postgres.dataDir to the profile and run this on the machine of the database; if nothing is left of it: --set <step>.nothingLeft=true',
        },
      ];
    }
    return [
      ...(await readFindings(dataDir)),
      ...(await servedFindings(dataDir, ctx)),
      ...(await roomFindings(dataDir, p, ctx)),
    ];
  },

  run: (p, ctx, signal) =>
    stepEvents<RawCopyFacts>(async (emit) => {
      const from = ctx.cluster.dataDirHere('postgres');
      if (from === undefined) throw new Error('the data directory is not on this machine. Nothing was changed');
      const copy = copyFolder(p, ctx);
      const running = await servedBy(from);
      if (running !== undefined)
        throw new Error(
          `Postgres (process ${running}) runs on ${from}: a copy of it would be torn. Stop it, then retry`,
        );
      const size = await sizeOfTree(from);
      emit.output(`copying ${from}: ${plural(size.files, 'file')}, ${sizeOf(size.bytes)}`);
      if (await exists(copy)) await remove(ctx.gateway, copy);
      emit.facts({ from, copy });
      await copyTree(ctx.gateway, from, copy, { onBytes: emit.bytes(size.bytes, `copying ${from}`), signal });
      await giveTo(ctx.gateway, copy, await stat(from));
      const made = await sizeOfTree(copy);
      emit.facts(made);
      emit.safetyCopy(
        `data directory ${from}`,
        copy,
        `${plural(made.files, 'file')}, ${countOf(made.bytes)} bytes, each file as long as the original`,
      );
    }),

  async verify(_p, _ctx, { from, copy, files, bytes }): Promise<Check[]> {
    const original = await sizeOfTree(from);
    const different = await differencesBetween(from, copy);
    return [
      equal('postgres', 'raw copy: files', original.files, files),
      equal('postgres', 'raw copy: bytes', original.bytes, bytes),
      equal('postgres', 'raw copy: files that differ in size', 'none', different.slice(0, 5).join('; ') || 'none'),
    ];
  },

  async probe(_p, _ctx, { from, copy, files }) {
    if (from === undefined || copy === undefined || !(await exists(copy))) return 'not-started';
    if (files === undefined) return 'partial';
    return (await differencesBetween(from, copy)).length === 0 ? 'done' : 'partial';
  },
  conclusion: ({ copy, bytes }) =>
    copy === undefined ? undefined : { text: `${sizeOf(bytes ?? 0)} kept as it was in ${copy}`, exception: false },
};

async function readFindings(dataDir: string): Promise<Finding[]> {
  try {
    await access(dataDir, constants.R_OK | constants.X_OK);
  } catch (error) {
    return [
      {
        level: 'blocking',
        message: `the data directory cannot be read: ${messageOf(error)}`,
        next: 'run this as root, or as the user whom it belongs to',
      },
    ];
  }
  if ((await majorOf(dataDir)) !== undefined) return [];
  return [
    {
      level: 'warning',
      message: `${dataDir} has no PG_VERSION: what is left of it is copied, but no server will start on it`,
    },
  ];
}

async function servedFindings(dataDir: string, ctx: StepContext): Promise<Finding[]> {
  const pid = await servedBy(dataDir);
  if (pid === undefined) return [];
  const message = `Postgres (process ${pid}) runs on ${dataDir}: a copy of it would be torn`;
  if (ctx.phase === 'preflight') return [{ level: 'info', message: `${message}; it is stopped before` }];
  return [{ level: 'blocking', message, next: 'stop it, then retry' }];
}

async function roomFindings(dataDir: string, p: Params, ctx: StepContext): Promise<Finding[]> {
  const to = copyFolder(p, ctx);
  const size = await sizeOfTree(dataDir).catch((error: unknown) => messageOf(error));
  if (typeof size === 'string')
    return [
      {
        level: 'blocking',
        message: `the data directory cannot be read to its end: ${size}`,
        next: 'copy what the disk still gives with ddrescue, put that into postgres.dataDir of the profile, and start again',
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
