import { join, relative } from 'node:path';
import { z } from 'zod';
import { type Command, commandText } from '../../hosts/command.js';
import { freeBytes, remove, sha256Of } from '../../hosts/files.js';
import { sizeFault } from '../../stores/backup-set/base-in-set.js';
import type { PostgresBasePart } from '../../stores/backup-set/manifest.js';
import { type Check, equal } from '../../stores/check.js';
import { BACKUP_MANIFEST, faultOfBase, readBaseBackup, verifyCommand } from '../../stores/postgres/base-backup.js';
import { quoteIdentifier } from '../../stores/postgres/connection.js';
import { describeReplication, type Replication, replicationRefusal } from '../../stores/postgres/replication.js';
import { describeServer, serverBytes } from '../../stores/postgres/server.js';
import { type Installation, toolsFor } from '../../stores/postgres/tools.js';
import { lsnText, parseLsn } from '../../stores/postgres/wal-position.js';
import { HERE } from '../../stores/storage/here.js';
import { under } from '../../stores/storage/storage.js';
import { messageOf, sizeOf } from '../../words.js';
import { newBackupFolder, newBackupOf, noBackupRoot } from '../backup/new-backup.js';
import { destinationOf, makingRoomFindings, sendAll, sendingTexts } from '../backup/sending.js';
import { type Finding, readingPlan, type StepContext, type StepKind } from '../step.js';
import { type Emitter, stepEvents } from '../step-events.js';
import { unreachable } from '../store-readiness.js';
import { patienceSeconds, runTool } from './tool.js';

const params = z.strictObject({
  /** A base backup is as large as the whole server, so it is taken only when asked for. */
  take: z.boolean().default(false),
  /** `fast`: the server writes all its changed pages out at once; `spread`: over minutes, with less load. */
  checkpoint: z.enum(['fast', 'spread']).default('fast'),
  patienceSeconds,
});
type Params = z.infer<typeof params>;

interface Facts {
  part: PostgresBasePart;
  /** What pg_verifybackup said before it was sent to a bucket; empty when it was whole. */
  fault?: string;
  sent?: boolean;
}

const FOLDER = 'postgres/base';
const LIST = `${FOLDER}/${BACKUP_MANIFEST}`;
/** One for the files, one for the log that is written meanwhile. */
const SENDERS_NEEDED = 2;

function baseBackupCommand(p: Params, ctx: StepContext, tools: Installation): Command {
  const { postgres } = ctx.cluster;
  const { id, folder } = newBackupOf(ctx);
  return {
    file: join(tools.bin, 'pg_basebackup'),
    args: [
      ...postgres.toolArguments,
      ...['--pgdata', join(folder, FOLDER), '--format', 'plain', '--wal-method', 'stream'],
      ...['--checkpoint', p.checkpoint, '--label', `novamem-runbook ${id}`, '--progress', '--verbose'],
    ],
    ...postgres.toolEnvironment,
  };
}

/** Copies the whole data directory of the server into the new backup set: where a recovery to a point in time begins. */
export const postgresBaseBackup: StepKind<Params, Facts> = {
  kind: 'postgres.base-backup',
  effect: 'write',
  backupSet: 'writes',
  params,
  async plan(p, ctx) {
    const summary = `Take a base backup of Postgres into ${FOLDER}, and read it back`;
    if (!p.take)
      return readingPlan(summary, [], {
        notAskedFor: 'a base backup is taken only when asked for: --set <step>.take=true',
      });
    const server = await describeServer(ctx.cluster.postgres).catch(() => undefined);
    const tools = await toolsFor(server?.major ?? 0);
    const folder = ctx.newBackup ? join(ctx.newBackup.folder, FOLDER) : FOLDER;
    return readingPlan(
      summary,
      ctx.newBackup
        ? [
            commandText(baseBackupCommand(p, ctx, tools)),
            commandText(verifyCommand(tools, { folder, hasWal: true })),
            ...sendingTexts(ctx, FOLDER, 'folder'),
          ]
        : [],
      { onAbort: 'an unfinished backup set, which is never restored from' },
    );
  },
  async check(p, ctx) {
    if (!p.take) return [];
    const absent = await unreachable('postgres', ctx);
    const nowhere = noBackupRoot(ctx);
    if (absent || nowhere) return [absent, nowhere].filter((finding) => finding !== undefined);
    const { postgres } = ctx.cluster;
    const server = await describeServer(postgres);
    const tools = await toolsFor(server.major);
    if (tools.major !== server.major) {
      return [
        {
          level: 'blocking',
          message: `pg_basebackup ${tools.version} is here, and the server is ${server.version}: both must be of one major version`,
          next: `install the client programs of version ${server.major} (Debian: apt-get install postgresql-client-${server.major})`,
        },
      ];
    }
    const replication = await describeReplication(postgres);
    const findings = [...obstacles(replication, server.role.name), ...archiveFindings(replication, ctx)];
    if (!findings.some((finding) => finding.level === 'blocking')) {
      const refusal = await replicationRefusal(postgres, tools);
      if (refusal)
        findings.push({
          level: 'blocking',
          message: `the server refuses a replication connection: ${refusal}`,
          next: `add to pg_hba.conf, then SELECT pg_reload_conf();   host replication ${server.role.name} <this machine>/32 scram-sha-256`,
        });
    }
    findings.push(...(await roomFindings(ctx)));
    return findings;
  },
  run: (p, ctx, signal) =>
    stepEvents<Facts>(async (emit) => {
      const earlier = ctx.earlier as Partial<Facts>;
      if (await isStillToBeSent(earlier, ctx))
        emit.output('the base backup had been taken already; what is left is to send it');
      else await take(p, ctx, emit, signal);
      if (!destinationOf(ctx)) return;
      const { folder } = newBackupOf(ctx);
      const files = await HERE.filesBelow(join(folder, FOLDER));
      const pieces = files.map(({ file, bytes }) => ({ file: relative(folder, file), bytes }));
      // Its list comes last: as long as it is here, the rest is to be sent.
      const isList = ({ file }: { file: string }) => file === LIST;
      await sendAll(
        ctx,
        pieces.filter((one) => !isList(one)),
        emit,
        signal,
      );
      await sendAll(ctx, pieces.filter(isList), emit, signal);
      await remove(ctx.gateway, join(folder, FOLDER));
      emit.facts({ sent: true });
    }),
  async verify(_p, ctx, { part, fault: told }): Promise<Check[]> {
    const { to, storage } = destinationOf(ctx) ?? { to: newBackupOf(ctx).folder, storage: HERE };
    const base = await readBaseBackup(under(to, part.folder), newBackupOf(ctx).id, { storage });
    const fault = told ?? (await faultOfBase(await toolsFor(base.major), base));
    return [
      ...(storage.isHere
        ? []
        : [equal('postgres', `files in ${to}`, 'as listed', (await sizeFault(base.folder, storage)) || 'as listed')]),
      equal('postgres', 'base backup, read by pg_verifybackup', 'whole', fault || 'whole'),
      equal('postgres', 'base backup brings its own log', 'yes', base.hasWal ? 'yes' : 'no'),
      {
        subject: 'postgres',
        what: 'base backup ends in the log',
        expected: `behind ${part.startLsn}`,
        actual: lsnText(base.endLsn),
        ok: base.endLsn > parseLsn(part.startLsn)!,
      },
    ];
  },
  probe: async (_p, ctx, { part, sent }) =>
    !part ? 'not-started' : sent || !destinationOf(ctx) ? 'done' : 'partial',
};

/** Its list is the last that is sent. */
async function isStillToBeSent({ part, sent = false }: Partial<Facts>, ctx: StepContext): Promise<boolean> {
  if (!part || sent || !destinationOf(ctx)) return false;
  const list = join(newBackupOf(ctx).folder, LIST);
  return (await HERE.seen(list)) !== undefined && (await sha256Of(list)) === part.sha256;
}

async function take(p: Params, ctx: StepContext, emit: Emitter<Facts>, signal: AbortSignal): Promise<void> {
  const { postgres } = ctx.cluster;
  const server = await describeServer(postgres);
  const tools = await toolsFor(server.major);
  // pg_basebackup wants an empty folder, and what an earlier attempt left there is none.
  const folder = await newBackupFolder(ctx, FOLDER);
  const errors: string[] = [];
  const ended = await runTool(ctx, baseBackupCommand(p, ctx, tools), {
    signal,
    patienceSeconds: p.patienceSeconds,
    onLine: (line) => {
      const counted = /^\s*(\d+)\/(\d+) kB \(\d+%\)/.exec(line);
      if (!counted) {
        if (/error:|FATAL/.test(line)) errors.push(line.replace(/^pg_basebackup: error: /, ''));
        return emit.output(line);
      }
      const [done, total] = [Number(counted[1]) * 1024, Number(counted[2]) * 1024];
      emit.progress({ done, total: Math.max(done, total), unit: 'bytes', text: 'data directory of Postgres' });
    },
  });
  if (ended.exitCode !== 0)
    throw new Error(
      `pg_basebackup ended with ${ended.exitCode ?? ended.failure}: ${errors[0] ?? 'it printed no error'}. The server is as it was`,
    );
  // The server's own clock, asked after the end: a moment by it is surely behind the end of the backup.
  const [clock] = await postgres.read<{ now: Date }>('SELECT clock_timestamp() AS now');
  const base = await readBaseBackup(folder, newBackupOf(ctx).id, { endedAt: clock!.now });
  const proof = destinationOf(ctx) ? { fault: await faultOfBase(tools, base, { signal }), sent: false } : {};
  emit.facts({
    ...proof,
    part: {
      folder: FOLDER,
      files: base.files,
      bytes: base.bytes,
      sha256: await sha256Of(join(folder, 'backup_manifest'), { signal }),
      at: clock!.now.toISOString(),
      timeline: base.timeline,
      startLsn: lsnText(base.startLsn),
      endLsn: lsnText(base.endLsn),
      systemIdentifier: base.systemIdentifier,
      toolVersion: `pg_basebackup ${tools.version}`,
      serverVersion: server.version,
    },
  });
  emit.output(
    `base backup of ${sizeOf(base.bytes)}, timeline ${base.timeline}, ${lsnText(base.startLsn)} to ${lsnText(base.endLsn)}`,
  );
}

/** Whether there is room here for it, before it is begun. */
async function roomFindings(ctx: StepContext): Promise<Finding[]> {
  try {
    return await makingRoomFindings(ctx, 'base backup', await serverBytes(ctx.cluster.postgres), { exact: true });
  } catch (error) {
    const { folder } = newBackupOf(ctx);
    return [
      {
        level: 'warning',
        message: `how much the base backup takes cannot be told (${messageOf(error)}), and ${sizeOf(await freeBytes(folder))} are free in ${folder}`,
        next: 'GRANT pg_read_all_stats to its role, and look again; or see on the server how large its data directory is',
      },
    ];
  }
}

/** What makes a base backup hopeless, with what to type. */
function obstacles(replication: Replication, role: string): Finding[] {
  const { walLevel, maxSenders, senders, mayReplicate, tablespaces } = replication;
  const blocking = (message: string, next: string): Finding => ({ level: 'blocking', message, next });
  const restart = 'then restart Postgres';
  const found: Finding[] = [];
  if (walLevel === 'minimal')
    found.push(
      blocking(
        'wal_level is minimal: the server does not write enough for a base backup',
        `ALTER SYSTEM SET wal_level = 'replica'; ${restart}`,
      ),
    );
  if (maxSenders - senders < SENDERS_NEEDED)
    found.push(
      blocking(
        `max_wal_senders is ${maxSenders}, ${senders} of them in use: a base backup needs ${SENDERS_NEEDED}`,
        `ALTER SYSTEM SET max_wal_senders = ${Math.max(10, senders + SENDERS_NEEDED)}; ${restart}`,
      ),
    );
  if (!mayReplicate)
    found.push(
      blocking(
        `the role ${role} may not take a base backup: it lacks REPLICATION`,
        `as a superuser: ALTER ROLE ${quoteIdentifier(role)} REPLICATION;`,
      ),
    );
  if (tablespaces.length > 0)
    found.push(
      blocking(
        `the server has tablespaces of its own (${tablespaces.join(', ')}), which this program cannot place again`,
        'take the base backup with the means of your own, or move the tables into pg_default',
      ),
    );
  return found;
}

/** Without an archived log a base backup brings back the moment when it was taken, and no other. */
function archiveFindings(
  { archiveMode, archiveCommand, failing, lastArchived }: Replication,
  ctx: StepContext,
): Finding[] {
  const { walArchive } = ctx.cluster.profile.postgres;
  const warning = (message: string, next: string): Finding => ({ level: 'warning', message, next });
  if (archiveMode === 'off')
    return [
      warning(
        'archive_mode is off: without an archived log this base backup brings back its own moment only',
        "ALTER SYSTEM SET archive_mode = 'on'; ALTER SYSTEM SET archive_command = 'test ! -e /backups/wal/%f && cp %p /backups/wal/%f'; then restart Postgres",
      ),
    ];
  const found: Finding[] = [];
  if (archiveCommand === '')
    found.push(
      warning(
        'archive_mode is on, but there is no archive_command: nothing is archived',
        "ALTER SYSTEM SET archive_command = 'test ! -e /backups/wal/%f && cp %p /backups/wal/%f'; SELECT pg_reload_conf();",
      ),
    );
  if (failing !== '')
    found.push(warning(`the server fails to archive ${failing}`, 'see its log for what the archive_command says'));
  if (walArchive === undefined)
    found.push(
      warning(
        'the profile does not say where the log is archived: it could not be recovered to a point in time',
        'add to the profile: postgres: { walArchive: /the/folder }',
      ),
    );
  if (found.length === 0)
    found.push({ level: 'info', message: `log is archived to ${walArchive}, last ${lastArchived || 'nothing yet'}` });
  return found;
}
