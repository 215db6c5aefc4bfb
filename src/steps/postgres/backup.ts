import { join } from 'node:path';
import { z } from 'zod';
import { type Command, commandText } from '../../hosts/command.js';
import { closeToOthers, sha256Of } from '../../hosts/files.js';
import { bytesOf } from '../../stores/backup-set/backup-set.js';
import type { PostgresPart } from '../../stores/backup-set/manifest.js';
import { type Check, equal, sameSet } from '../../stores/check.js';
import { countRows } from '../../stores/postgres/dump.js';
import { type PostgresInventory, readPostgresInventory } from '../../stores/postgres/inventory.js';
import { databaseBytes, describeServer } from '../../stores/postgres/server.js';
import { toolsFor } from '../../stores/postgres/tools.js';
import type { Sent } from '../../stores/storage/storage.js';
import { countOf, plural, sizeOf } from '../../words.js';
import { newBackupOf, newBackupPlace, noBackupRoot } from '../backup/new-backup.js';
import {
  beginSending,
  destinationOf,
  makingRoomFindings,
  sentChecks,
  sizesSaved,
  streamText,
} from '../backup/sending.js';
import { type Finding, readingPlan, type StepContext, type StepKind } from '../step.js';
import { type Emitter, stepEvents } from '../step-events.js';
import { unreachable } from '../store-readiness.js';
import { dumpInto, readBack } from './dump-in-bucket.js';
import { patienceSeconds, runTool } from './tool.js';

const params = z.strictObject({ compress: z.number().int().min(0).max(9).default(6), patienceSeconds });
type Params = z.infer<typeof params>;

interface Facts {
  part: PostgresPart;
  /** What the dump holds: read in the same snapshot. */
  inventory: PostgresInventory;
  /** What was read in it where it was sent to a bucket, and read back there. */
  rows?: Record<string, number>;
  sent?: boolean;
}

const FILE = 'postgres/novamem.dump';

function dumpCommand(p: Params, ctx: StepContext, bin: string, snapshot?: string): Command {
  const { postgres } = ctx.cluster;
  return {
    file: `${bin}/pg_dump`,
    args: [
      ...postgres.toolArguments,
      ...['--dbname', postgres.database, '--format', 'custom', '--compress', String(p.compress), '--verbose'],
      ...(snapshot ? ['--snapshot', snapshot] : []),
      ...(destinationOf(ctx) ? [] : ['--file', join(newBackupOf(ctx).folder, FILE)]),
    ],
    ...postgres.toolEnvironment,
  };
}

export const postgresBackup: StepKind<Params, Facts> = {
  kind: 'postgres.backup',
  effect: 'write',
  backupSet: 'writes',
  params,
  async plan(p, ctx) {
    const server = await describeServer(ctx.cluster.postgres).catch(() => undefined);
    const tools = await toolsFor(server?.major ?? 0);
    const destination = destinationOf(ctx);
    const into = destination ? ` | ${streamText(destination, FILE, server && (await expectedBytes(ctx)))}` : '';
    const commands = ctx.newBackup ? [commandText(dumpCommand(p, ctx, tools.bin)) + into] : [];
    return readingPlan(`Dump Postgres into ${FILE}, and take its inventory in the same snapshot`, commands, {
      onAbort: 'an unfinished backup set, which is never restored from',
    });
  },
  async check(_p, ctx) {
    const absent = await unreachable('postgres', ctx);
    const nowhere = noBackupRoot(ctx);
    if (absent || nowhere) return [absent, nowhere].filter((finding) => finding !== undefined);
    const server = await describeServer(ctx.cluster.postgres);
    if (!server.databaseExists) {
      return [
        {
          level: 'blocking',
          message: `there is no database ${ctx.cluster.postgres.database} to back up`,
          next: 'recover the cluster first: novamem-runbook whole-cluster-lost',
        },
      ];
    }
    if (server.refusal !== '') {
      return [
        {
          level: 'blocking',
          message: `the database ${ctx.cluster.postgres.database} lets nobody in: ${server.refusal}`,
          next: 'novamem-runbook plan postgres-corrupt',
        },
      ];
    }
    const tools = await toolsFor(server.major);
    if (tools.major < server.major) {
      return [
        {
          level: 'blocking',
          message: `pg_dump ${tools.version} cannot dump Postgres ${server.version}`,
          next: `install the client programs of version ${server.major}`,
        },
      ];
    }
    return [
      {
        level: 'info',
        message: `Postgres ${server.version} at ${ctx.cluster.postgres.address}; pg_dump ${tools.version}`,
      },
      ...(await whereFindings(ctx)),
    ];
  },
  run: (p, ctx, signal) =>
    stepEvents<Facts>(async (emit) => {
      const destination = destinationOf(ctx);
      if (!destination) {
        await take(p, ctx, emit, signal);
        return;
      }
      const earlier = ctx.earlier as Partial<Facts>;
      let { part } = earlier;
      if (part && !earlier.sent && (await sizesSaved(ctx, [part])).get(FILE) === part.bytes)
        emit.output(`the dump of ${part.at} is in ${destination.to} already; what is left is to read it back`);
      else part = await take(p, ctx, emit, signal);
      emit.facts({ rows: await readBack(ctx, part, destination, emit, signal), sent: true });
    }),
  /** The dump is read to its end, and its rows are those that the snapshot held. */
  async verify(_p, ctx, { part, inventory, rows: read }): Promise<Check[]> {
    const tools = await toolsFor(Number.parseInt(part.serverVersion, 10));
    const rows = read ?? (await countRows(tools, join(newBackupOf(ctx).folder, part.file)));
    return [
      ...(await sentChecks(ctx, [part], 'postgres dump')),
      sameSet('postgres dump', 'tables', Object.keys(inventory.tables), Object.keys(rows)),
      ...Object.entries(inventory.tables).map(([table, expected]) =>
        equal(`postgres dump, table ${table}`, 'rows', expected.rows, rows[table]),
      ),
    ];
  },
  probe: async (_p, ctx, { part, sent }) =>
    !part ? 'not-started' : sent || !destinationOf(ctx) ? 'done' : 'partial',
};

const expectedBytes = ({ cluster }: StepContext) => databaseBytes(cluster.postgres).catch(() => undefined);

async function whereFindings(ctx: StepContext): Promise<Finding[]> {
  const destination = destinationOf(ctx);
  if (!destination) return makingRoomFindings(ctx, 'dump', await expectedBytes(ctx));
  return [{ level: 'info', message: `the dump goes straight to ${destination.to}, and takes no room here` }];
}

async function take(p: Params, ctx: StepContext, emit: Emitter<Facts>, signal: AbortSignal): Promise<PostgresPart> {
  const { postgres } = ctx.cluster;
  const server = await describeServer(postgres);
  const tools = await toolsFor(server.major);
  const destination = destinationOf(ctx);
  const expected = destination ? await expectedBytes(ctx) : undefined;
  if (destination) await beginSending(ctx, FILE);
  else await newBackupPlace(ctx, FILE);
  const at = new Date();
  const failed = new AbortController();
  // One of the two is told at a time.
  let isSending = destination !== undefined;
  const dump = async (snapshot: string): Promise<Sent | undefined> => {
    const command = dumpCommand(p, ctx, tools.bin, snapshot);
    const attending = {
      signal: AbortSignal.any([signal, failed.signal]),
      patienceSeconds: p.patienceSeconds,
      onText: (text: string) => emit.output(text),
    };
    let done = 0;
    const onBytes = (bytes: number) => {
      done += bytes;
      emit.progress({ done, unit: 'bytes', text: `of the dump are in ${destination!.to}` });
    };
    if (destination) return dumpInto(ctx, command, destination, FILE, { ...attending, expected, onBytes });
    const ended = await runTool(ctx, command, attending);
    if (ended.exitCode !== 0) throw new Error(`pg_dump ended with ${ended.exitCode ?? ended.failure}`);
    return undefined;
  };
  let dumping: Promise<Sent | undefined> | undefined;
  const { inventory, sent } = await postgres
    .reading(
      async (reading) => {
        const [exported] = await reading.query<{ id: string }>('SELECT pg_export_snapshot() AS id');
        dumping = dump(exported!.id).finally(() => {
          isSending = false;
        });
        const [sent, inventory] = await Promise.all([
          dumping,
          readPostgresInventory(reading, postgres.database, (table, done, total) => {
            if (!isSending) emit.progress({ done, total, unit: 'items', text: `tables, now ${table}` });
          }),
        ]);
        return { inventory, sent };
      },
      { snapshot: true },
    )
    .catch(async (error: unknown) => {
      failed.abort(error);
      await dumping?.catch(() => {});
      throw error;
    });
  const { bytes, sha256 } = sent ?? (await sealed(join(newBackupOf(ctx).folder, FILE), emit, signal));
  const part = {
    file: FILE,
    bytes,
    sha256,
    at: at.toISOString(),
    toolVersion: `pg_dump ${tools.version}`,
    serverVersion: server.version,
  };
  emit.facts({ part, inventory, ...(destination ? { sent: false } : {}) });
  const count = Object.values(inventory.tables).reduce((sum, one) => sum + one.rows, 0);
  emit.output(
    `dumped ${plural(Object.keys(inventory.tables).length, 'table')}, ${countOf(count)} rows, ${sizeOf(bytes)}`,
  );
  return part;
}

/** A dump on this machine that nobody else reads. */
async function sealed(file: string, emit: Emitter<Facts>, signal: AbortSignal): Promise<Sent> {
  await closeToOthers(file);
  const bytes = await bytesOf(file);
  return { bytes, sha256: await sha256Of(file, { onBytes: emit.bytes(bytes, 'checksum of the dump'), signal }) };
}
