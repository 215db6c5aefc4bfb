import { mkdir } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { type Command, commandText } from '../hosts/command.js';
import { closeToOthers, exists, sha256Of } from '../hosts/files.js';
import { runCommand } from '../hosts/run-command.js';
import type { BackupFile, BackupSet } from '../stores/backup-set/backup-set.js';
import { bytesOf } from '../stores/backup-set/backup-set.js';
import { type Check, equal, sameSet } from '../stores/check.js';
import { type Postgres, quoteIdentifier } from '../stores/postgres/connection.js';
import { countRows, type DumpContents, readContents } from '../stores/postgres/dump.js';
import { watchRestore } from '../stores/postgres/restore-progress.js';
import {
  blockersOf,
  countMemories,
  describeServer,
  estimatedRows,
  otherSessions,
} from '../stores/postgres/server.js';
import { type Installation, toolsFor } from '../stores/postgres/tools.js';
import { countOf, durationOf, fileInstantOf, instantOf, plural, sizeOf } from '../words.js';
import type { Finding, Probe, StepContext, StepKind } from './step.js';
import { type Emitter, stepEvents } from './step-events.js';
import { unreachable } from './store-readiness.js';

const params = z.strictObject({
  /** `clean` replaces what is in the database; `swap` restores beside it and then renames. */
  strategy: z.enum(['clean', 'swap']).default('clean'),
  /** `ignore`: everything is owned by the connecting role, and grants are left out. */
  owners: z.enum(['keep', 'ignore']).default('keep'),
  /** What to do with other sessions in the database that stand in the way. */
  sessions: z.enum(['refuse', 'end']).default('refuse'),
  jobs: z.number().int().positive().max(64).default(Math.max(2, cpus().length)),
});
type Params = z.infer<typeof params>;

interface Facts {
  /** Rows of each table, as counted in the dump itself. */
  rows: Record<string, number>;
  /** The dump that was taken of a populated database before it was replaced. */
  safetyDump?: string;
  /** The name under which the old database is kept (swap). */
  keptAs?: string;
}

const BLOCKED_PATIENCE = 20_000;
/** Rough, and said to be: pg_restore of compressed rows with their indexes, on two cores. */
const ROUGH_BYTES_PER_MS = 10_000;

function dumpOf(backup: BackupSet | undefined): BackupFile {
  if (!backup?.postgres) throw new Error('this backup set holds no Postgres dump');
  return backup.postgres;
}

interface Restore {
  tools: Installation;
  target: string;
  dump: string;
  oneTransaction: boolean;
}

/** The pg_restore command for a target database. One transaction and parallel jobs exclude each other. */
function restoreCommand(
  postgres: Postgres,
  p: Params,
  { tools, target, dump, oneTransaction }: Restore,
  application: string,
): Command {
  return {
    file: `${tools.bin}/pg_restore`,
    args: [
      ...postgres.toolArguments,
      ...['--dbname', target, '--clean', '--if-exists', '--verbose'],
      ...(oneTransaction ? ['--single-transaction'] : ['--jobs', String(p.jobs)]),
      ...(p.owners === 'ignore' ? ['--no-owner', '--no-acl'] : []),
      dump,
    ],
    ...postgres.toolEnvironment,
    environment: { ...postgres.toolEnvironment.environment, PGAPPNAME: application },
  };
}

const applicationOf = (runId: string) => `novamem-runbook ${runId}`.slice(0, 63);

async function tablesIn(postgres: Postgres): Promise<{ table: string; rows: number }[]> {
  return (await describeServer(postgres)).databaseExists ? estimatedRows(postgres) : [];
}

export const postgresRestore: StepKind<Params, Facts> = {
  kind: 'postgres.restore',
  effect: 'destroy',
  backupSet: 'reads',
  params,

  async plan(p, ctx) {
    const { postgres } = ctx.cluster;
    const dump = dumpOf(ctx.backup);
    const server = await describeServer(postgres).catch(() => undefined);
    const tools = await toolsFor(server?.major ?? 0);
    const tables = server?.databaseExists ? await estimatedRows(postgres) : [];
    const target = p.strategy === 'swap' ? `${postgres.database}_restoring` : postgres.database;
    const oneTransaction = p.strategy === 'clean' && tables.length > 0;
    const age = ctx.backup?.takenAt ? `, ${durationOf(Date.now() - ctx.backup.takenAt.getTime())} old` : '';
    return {
      summary: `Restore Postgres from backup ${ctx.backup!.id}${age} (${sizeOf(dump.bytes)}), strategy ${p.strategy}`,
      commands: [
        commandText(
          restoreCommand(postgres, p, { tools, target, dump: dump.file, oneTransaction }, applicationOf(ctx.runId)),
        ),
        ...(p.strategy === 'swap'
          ? [
              `ALTER DATABASE ${quoteIdentifier(postgres.database)} RENAME TO ${quoteIdentifier(`${postgres.database}_before_…`)}`,
              `ALTER DATABASE ${quoteIdentifier(target)} RENAME TO ${quoteIdentifier(postgres.database)}`,
            ]
          : []),
        'ANALYZE',
      ],
      destroys: tables.length === 0 ? [] : await atStake(postgres, tables, ctx.backup!),
      wayBack:
        tables.length === 0
          ? 'not needed: the database is absent or empty'
          : p.strategy === 'swap'
            ? 'the old database is kept under a dated name'
            : `a dump of the database is taken before, into ${ctx.workFolder}`,
      pointOfNoReturn:
        p.strategy === 'swap'
          ? 'the renaming at the end'
          : oneTransaction
            ? 'COMMIT at the very end'
            : 'none: nothing is there to lose',
      onAbort:
        p.strategy === 'swap'
          ? `the old database is untouched; a half-filled database ${target}… is left beside it`
          : oneTransaction
            ? 'the database is as it was (one transaction, rolled back)'
            : 'a half-filled database; a retry replaces it',
      estimateMs: dump.bytes / ROUGH_BYTES_PER_MS + 2_000,
    };
  },

  async check(p, ctx) {
    const { postgres } = ctx.cluster;
    const dump = ctx.backup?.postgres;
    if (!dump)
      return [
        {
          level: 'blocking',
          message: 'this backup set holds no Postgres dump',
          next: 'choose another set with --backup',
        },
      ];
    const findings: Finding[] = [...(await fileFindings(dump))];
    const absent = await unreachable('postgres', ctx);
    if (absent) return [...findings, absent];
    const server = await describeServer(postgres);
    const tools = await toolsFor(server.major);
    findings.push({
      level: 'info',
      message: `Postgres ${server.version} at ${postgres.address}; pg_restore ${tools.version} (${tools.bin})`,
    });
    if (tools.major >= 17 && server.major < 17) {
      findings.push({
        level: 'blocking',
        message: `pg_restore ${tools.version} sets a parameter that Postgres ${server.version} does not know, so it always fails`,
        next: `install the client programs of version ${server.major} (Debian: apt-get install postgresql-client-${server.major})`,
      });
    }
    if (!server.databaseExists || p.strategy === 'swap') {
      if (server.role.createDatabase) {
        if (!server.databaseExists)
          findings.push({
            level: 'info',
            message: `the database ${postgres.database} does not exist; it will be created`,
          });
      } else {
        findings.push({
          level: 'blocking',
          message: `role ${server.role.name} may not create the database ${postgres.database}, which ${server.databaseExists ? 'swap needs' : 'does not exist'}`,
          next: `as a superuser: ALTER ROLE ${quoteIdentifier(server.role.name)} CREATEDB; or: CREATE DATABASE ${quoteIdentifier(postgres.database)} OWNER ${quoteIdentifier(server.role.name)};`,
        });
      }
    }
    if (!(await exists(dump.file))) return findings;
    try {
      const contents = await readContents(tools, dump.file);
      findings.push(...contentFindings(contents, server.roles, p));
      if (server.databaseExists && p.strategy === 'clean')
        findings.push(...(await newerTableFindings(postgres, contents)));
    } catch (error) {
      findings.push({
        level: 'blocking',
        message: (error as Error).message,
        next: 'choose another backup set with --backup',
      });
    }
    const sessions = server.databaseExists ? await otherSessions(postgres) : [];
    if (sessions.length > 0) {
      const who = sessions.slice(0, 4).map((one) => `${one.pid} ${one.application || '(no name)'} as ${one.user}`);
      findings.push({
        level: 'warning',
        message: `${plural(sessions.length, 'other session')} in ${postgres.database}: ${who.join(', ')}${sessions.length > 4 ? ', …' : ''}; one that holds a lock would make the restore wait`,
        next:
          p.sessions === 'end'
            ? 'they are ended before the restore'
            : 'end them, or let this step do it: --set <step>.sessions=end',
      });
    }
    return findings;
  },

  run: (p, ctx, signal) =>
    stepEvents<Facts>(async (emit) => {
      const { postgres } = ctx.cluster;
      const dump = dumpOf(ctx.backup);
      const server = await describeServer(postgres);
      const tools = await toolsFor(server.major);
      const contents = await readContents(tools, dump.file);

      emit.output(`reading the whole dump ${dump.file} (${sizeOf(dump.bytes)}) before anything is dropped`);
      const rows = await validate(tools, dump, emit, signal);
      emit.facts({ rows });
      const total = Object.values(rows).reduce((sum, count) => sum + count, 0);
      emit.output(`the dump is whole: ${plural(Object.keys(rows).length, 'table')}, ${countOf(total)} rows`);

      const populated = (await tablesIn(postgres)).length > 0;
      if (p.sessions === 'end' && server.databaseExists) await endSessions(postgres, ctx, emit);
      if (p.strategy === 'swap') {
        await swap(p, ctx, emit, signal, {
          tools,
          dump: dump.file,
          contents,
          rows,
          databaseExists: server.databaseExists,
        });
      } else {
        if (!server.databaseExists) await createDatabase(postgres, ctx, contents, postgres.database, emit);
        if (populated) await takeSafetyDump(postgres, tools, ctx, emit, signal);
        await restore(p, ctx, emit, signal, {
          tools,
          target: postgres.database,
          dump: dump.file,
          oneTransaction: populated,
          contents,
          rows,
        });
      }
      emit.output('ANALYZE: a restored database has no planner statistics');
      await postgres.write(ctx.gateway, 'ANALYZE');
    }),

  verify: (_p, { cluster: { postgres } }, facts) => rowChecks(postgres, facts.rows),

  async probe(_p, { cluster: { postgres } }, facts): Promise<Probe> {
    const tables = await tablesIn(postgres);
    if (tables.length === 0) return 'not-started';
    if (!facts.rows) return 'unknown';
    return (await rowChecks(postgres, facts.rows)).every((check) => check.ok) ? 'done' : 'partial';
  },

  undo: (p, ctx, facts) =>
    stepEvents<Facts>(async (emit) => {
      const { postgres } = ctx.cluster;
      if (facts.keptAs) {
        const replaced = `${postgres.database}_undone_${fileInstantOf(new Date())}`;
        await rename(postgres, ctx, postgres.database, replaced);
        await rename(postgres, ctx, facts.keptAs, postgres.database);
        emit.output(`${facts.keptAs} is ${postgres.database} again; what had been restored is kept as ${replaced}`);
      } else if (facts.safetyDump) {
        const tools = await toolsFor((await describeServer(postgres)).major);
        const contents = await readContents(tools, facts.safetyDump);
        const rows = await countRows(tools, facts.safetyDump);
        const signal = new AbortController().signal;
        await restore(p, ctx, emit, signal, {
          tools,
          target: postgres.database,
          dump: facts.safetyDump,
          oneTransaction: true,
          contents,
          rows,
        });
        emit.output(`the database is as it was before this step (from ${facts.safetyDump})`);
      } else emit.output('the database was absent or empty before this step: nothing is put back');
    }),
};

async function atStake(postgres: Postgres, tables: { rows: number }[], backup: BackupSet): Promise<string[]> {
  const rows = tables.reduce((sum, one) => sum + one.rows, 0);
  const memories = await countMemories(postgres, backup.takenAt).catch(() => undefined);
  return [
    ...(memories
      ? [
          `${plural(memories.memories, 'memory', 'memories')}, ${countOf(memories.newer)} of them newer than this backup`,
        ]
      : []),
    `${plural(tables.length, 'table')} of ${postgres.address}, about ${countOf(rows)} rows`,
  ];
}

async function fileFindings(dump: BackupFile): Promise<Finding[]> {
  if (!(await exists(dump.file))) {
    return [
      {
        level: 'blocking',
        message: `the dump ${dump.file} is not there`,
        next: 'choose another backup set with --backup',
      },
    ];
  }
  const bytes = await bytesOf(dump.file);
  if (bytes !== dump.bytes) {
    return [
      {
        level: 'blocking',
        message: `the dump ${dump.file} has ${countOf(bytes)} bytes, the manifest says ${countOf(dump.bytes)}: it was changed or cut off`,
        next: 'choose another backup set with --backup',
      },
    ];
  }
  return [];
}

function contentFindings(contents: DumpContents, roles: string[], p: Params): Finding[] {
  const made = contents.createdAt ? `, made ${instantOf(contents.createdAt)}` : '';
  const findings: Finding[] = [
    {
      level: 'info',
      message: `the dump holds ${plural(contents.tables.length, 'table')}${made}, from Postgres ${contents.fromServer}`,
    },
  ];
  const missing = contents.owners.filter((owner) => !roles.includes(owner));
  if (missing.length > 0 && p.owners === 'keep') {
    findings.push({
      level: 'blocking',
      message: `the dump's owner ${missing.join(', ')} is no role of this server: its tables would get another owner and pg_restore would fail`,
      next: `CREATE ROLE ${missing.map(quoteIdentifier).join('; CREATE ROLE ')}; or let the connecting role own everything: --set <step>.owners=ignore`,
    });
  }
  return findings;
}

/** Tables that the dump does not know survive `--clean`, and pg_restore exits 0. */
async function newerTableFindings(postgres: Postgres, contents: DumpContents): Promise<Finding[]> {
  const extra = (await estimatedRows(postgres))
    .map((one) => one.table)
    .filter((table) => !contents.tables.includes(table));
  if (extra.length === 0) return [];
  return [
    {
      level: 'warning',
      message: `${plural(extra.length, 'table')} in the database ${extra.length === 1 ? 'is' : 'are'} not in the dump and would stay as ${extra.length === 1 ? 'it is' : 'they are'}: ${extra.slice(0, 5).join(', ')}`,
      next: 'use the strategy swap to get exactly what is in the dump: --set <step>.strategy=swap',
    },
  ];
}

/** Proves the dump before anything is dropped: its SHA-256 where a manifest has one, and every byte through pg_restore. */
async function validate(
  tools: Installation,
  dump: BackupFile,
  emit: Emitter<Facts>,
  signal: AbortSignal,
): Promise<Record<string, number>> {
  const onBytes = emit.bytes(dump.bytes, 'checksum of the dump');
  const [sha256, rows] = await Promise.all([
    dump.sha256 === undefined ? undefined : sha256Of(dump.file, { onBytes, signal }),
    countRows(tools, dump.file, { signal }),
  ]);
  if (sha256 !== dump.sha256) {
    throw new Error(
      `the dump ${dump.file} is not the one that was backed up: its SHA-256 is ${sha256}, the manifest says ${dump.sha256}`,
    );
  }
  return rows;
}

async function createDatabase(
  postgres: Postgres,
  ctx: StepContext,
  contents: DumpContents,
  name: string,
  emit: Emitter<Facts>,
): Promise<void> {
  const maintenance = await postgres.maintenanceDatabase();
  // What follows the name in the dump's own statement: template, encoding and locale.
  const options = /^CREATE DATABASE (?:"(?:[^"]|"")*"|\S+) (.*);$/.exec(contents.createDatabase)?.[1] ?? '';
  const create = `CREATE DATABASE ${quoteIdentifier(name)} ${options}`.trim();
  try {
    await postgres.write(ctx.gateway, create, maintenance);
  } catch (error) {
    if (options === '') throw error;
    emit.output(
      `${create}: ${(error as Error).message}; made with this server's own locale instead, so texts may sort differently`,
    );
    await postgres.write(
      ctx.gateway,
      `CREATE DATABASE ${quoteIdentifier(name)} TEMPLATE template0 ENCODING 'UTF8'`,
      maintenance,
    );
  }
  emit.output(`database ${name} created`);
}

async function takeSafetyDump(
  postgres: Postgres,
  tools: Installation,
  ctx: StepContext,
  emit: Emitter<Facts>,
  signal: AbortSignal,
): Promise<void> {
  await mkdir(ctx.workFolder, { recursive: true, mode: 0o700 });
  const file = join(ctx.workFolder, `${postgres.database}-before-${fileInstantOf(new Date())}.dump`);
  const command: Command = {
    file: `${tools.bin}/pg_dump`,
    args: [
      ...postgres.toolArguments,
      '--dbname',
      postgres.database,
      '--format',
      'custom',
      '--compress',
      '1',
      '--file',
      file,
    ],
    ...postgres.toolEnvironment,
  };
  emit.output(`taking a safety copy of ${postgres.database} first`);
  const ended = await runCommand(ctx.gateway, command, { signal, onLine: (line) => emit.output(line) });
  if (ended.exitCode !== 0)
    throw new Error(
      `the safety copy could not be taken (pg_dump ended with ${ended.exitCode ?? ended.failure}); nothing was dropped`,
    );
  await closeToOthers(file);
  const rows = await countRows(tools, file, { signal });
  emit.facts({ safetyDump: file });
  emit.safetyCopy(
    `database ${postgres.database}`,
    file,
    `read to its end: ${countOf(Object.values(rows).reduce((a, b) => a + b, 0))} rows`,
  );
}

async function restore(
  p: Params,
  ctx: StepContext,
  emit: Emitter<Facts>,
  signal: AbortSignal,
  what: Restore & { contents: DumpContents; rows: Record<string, number> },
): Promise<void> {
  const { postgres } = ctx.cluster;
  const application = applicationOf(ctx.runId);
  const command = restoreCommand(postgres, p, what, application);
  const blocked = new AbortController();
  let blocker = '';
  const watch = watchRestore(postgres, what.target, what.rows, (progress) => emit.progress(progress));
  const guard = watchBlockers(postgres, application, (who, sinceMs) => {
    blocker = who;
    emit.output(`waiting for a lock that session ${who} holds (${durationOf(sinceMs)})`);
    if (sinceMs >= BLOCKED_PATIENCE) blocked.abort();
  });
  const errors: string[] = [];
  let ended: Awaited<ReturnType<typeof runCommand>>;
  try {
    ended = await runCommand(ctx.gateway, command, {
      signal: AbortSignal.any([signal, blocked.signal]),
      onLine: (line) => {
        emit.output(line);
        watch.onLine(line);
        if (/^pg_restore: (error|warning)/.test(line)) errors.push(line.replace(/^pg_restore: /, ''));
      },
    });
  } finally {
    watch.stop();
    guard.stop();
  }
  signal.throwIfAborted();
  const state = what.oneTransaction
    ? 'The database is as it was (one transaction, rolled back)'
    : `The database ${what.target} is half filled; a retry replaces it`;
  if (blocked.signal.aborted)
    throw new Error(
      `the restore waited ${durationOf(BLOCKED_PATIENCE)} for session ${blocker}, which holds a lock. ${state}. End that session, or set sessions to end, then retry`,
    );
  if (ended.exitCode !== 0)
    throw new Error(
      `pg_restore ended with ${ended.exitCode ?? ended.failure}: ${errors[0] ?? 'it printed no error'}. ${state}`,
    );
}

/** Tells who keeps the restore waiting, every 2 s. */
function watchBlockers(
  postgres: Postgres,
  application: string,
  onBlocked: (who: string, sinceMs: number) => void,
): { stop(): void } {
  let since = 0;
  const timer = setInterval(async () => {
    const [who] = await blockersOf(postgres, application).catch(() => []);
    if (!who) since = 0;
    else {
      since ||= Date.now();
      onBlocked(who, Date.now() - since);
    }
  }, 2_000);
  return { stop: () => clearInterval(timer) };
}

async function endSessions(postgres: Postgres, ctx: StepContext, emit: Emitter<Facts>): Promise<void> {
  const maintenance = await postgres.maintenanceDatabase();
  for (const session of await otherSessions(postgres)) {
    await postgres.write(ctx.gateway, `SELECT pg_terminate_backend(${session.pid})`, maintenance);
    emit.output(`session ${session.pid} (${session.application || 'no name'} as ${session.user}) ended`);
  }
}

async function swap(
  p: Params,
  ctx: StepContext,
  emit: Emitter<Facts>,
  signal: AbortSignal,
  what: {
    tools: Installation;
    dump: string;
    contents: DumpContents;
    rows: Record<string, number>;
    databaseExists: boolean;
  },
): Promise<void> {
  const { postgres } = ctx.cluster;
  const stamp = fileInstantOf(new Date());
  const beside = `${postgres.database}_restoring_${stamp}`;
  await createDatabase(postgres, ctx, what.contents, beside, emit);
  await restore(p, ctx, emit, signal, { ...what, target: beside, oneTransaction: false });
  const failed = (await rowChecks(postgres, what.rows, beside)).find((check) => !check.ok);
  if (failed)
    throw new Error(
      `${failed.subject}: ${failed.what} should be ${failed.expected} but ${failed.actual} came; the old database is untouched, ${beside} is kept to look at`,
    );
  signal.throwIfAborted();
  if (what.databaseExists) {
    const sessions = await otherSessions(postgres);
    if (sessions.length > 0 && p.sessions === 'end') await endSessions(postgres, ctx, emit);
    const keptAs = `${postgres.database}_before_${stamp}`;
    await rename(postgres, ctx, postgres.database, keptAs);
    emit.facts({ keptAs });
    emit.safetyCopy(`database ${postgres.database}`, `database ${keptAs}`, 'renamed, nothing in it was changed');
  }
  await rename(postgres, ctx, beside, postgres.database);
  emit.output(`${beside} is now ${postgres.database}`);
}

async function rename(postgres: Postgres, ctx: StepContext, from: string, to: string): Promise<void> {
  await postgres.write(
    ctx.gateway,
    `ALTER DATABASE ${quoteIdentifier(from)} RENAME TO ${quoteIdentifier(to)}`,
    await postgres.maintenanceDatabase(),
  );
}

/** Exact rows of every table against those counted in the dump, and the set of tables. */
export async function rowChecks(
  postgres: Postgres,
  rows: Record<string, number>,
  database = postgres.database,
): Promise<Check[]> {
  return postgres.reading(
    async ({ query }) => {
      const found = await query<{ schema: string; name: string }>(
        `SELECT schemaname AS schema, tablename AS name FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2`,
      );
      const names = found.map((one) => `${one.schema}.${one.name}`);
      const checks: Check[] = [sameSet('postgres', 'tables', Object.keys(rows), names)];
      for (const { schema, name } of found) {
        const expected = rows[`${schema}.${name}`];
        if (expected === undefined) continue;
        const [row] = await query<{ count: string }>(
          `SELECT count(*)::text AS count FROM ONLY ${quoteIdentifier(schema)}.${quoteIdentifier(name)}`,
        );
        checks.push(equal(`postgres table ${schema}.${name}`, 'rows of the dump', expected, Number(row!.count)));
      }
      return checks;
    },
    { database, snapshot: true },
  );
}
