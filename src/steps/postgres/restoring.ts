import { cpus } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import type { Command } from '../../hosts/command.js';
import { keepOnDisk } from '../../hosts/durable.js';
import { closeToOthers, makeFolder, remove } from '../../hosts/files.js';
import type { Ended } from '../../hosts/run-command.js';
import { steadyNow } from '../../hosts/waiting.js';
import { allThere, type Check, equal } from '../../stores/check.js';
import { type Postgres, quoteIdentifier } from '../../stores/postgres/connection.js';
import { countRows, type DumpContents, readContents } from '../../stores/postgres/dump.js';
import { watchRestore } from '../../stores/postgres/restore-progress.js';
import { applicationOf, blockersOf, describeServer, otherSessions } from '../../stores/postgres/server.js';
import { type Installation, toolsFor } from '../../stores/postgres/tools.js';
import { countOf, durationOf, fileInstantOf } from '../../words.js';
import type { StepContext } from '../step.js';
import { Emitter } from '../step-events.js';
import { type Beside, environmentBeside, untilGone } from './beside-server.js';
import { changePlaces, databaseNamed, datedName, endSessions, rename } from './changing-places.js';
import { patienceSeconds, runTool } from './tool.js';

// How a dump gets into a server: the doing of `postgres.restore`, by `clean` and by `swap`.

export const restoreParams = z.strictObject({
  /** `clean` replaces what is in the database; `swap` restores beside it and then renames. */
  strategy: z.enum(['clean', 'swap']).default('clean'),
  /** `ignore`: everything is owned by the connecting role, and grants are left out. */
  owners: z.enum(['keep', 'ignore']).default('keep'),
  /** What to do with other sessions in the database that stand in the way. */
  sessions: z.enum(['refuse', 'end']).default('refuse'),
  /** `waived`: a populated database is replaced also where no safety copy of it can be made. */
  safetyCopy: z.enum(['required', 'waived']).default('required'),
  jobs: z.number().int().positive().max(64).default(Math.max(2, cpus().length)),
  patienceSeconds,
});
export type RestoreParams = z.infer<typeof restoreParams>;

/** What a restore leaves for its verification and its undo. */
export interface RestoreFacts {
  /** Rows of each table, as counted in the dump itself. */
  rows: Record<string, number>;
  /** Every table of the dump, `schema.table`. */
  tables: string[];
  /** Everything was done, ANALYZE included. */
  completed?: boolean;
  /** What the first attempt found in the place of the database. */
  before?: 'absent' | 'empty' | 'populated';
  /** The dump that was taken of a populated database before it was replaced. */
  safetyDump?: string;
  /** Why no safety copy could be made, where going on without was asked for. */
  waived?: string;
  /** Memories in what was replaced that the backup is too old to hold. */
  newer?: number;
  /** The name under which the old database is kept (swap). */
  keptAs?: string;
  /** What an undo has put back from the safety dump, as counted in it. */
  putBack?: { rows: Record<string, number>; tables: string[] };
}

const BLOCKED_PATIENCE = 20_000;

/** One pg_restore. */
export interface Restore {
  tools: Installation;
  target: string;
  /** Its path where pg_restore runs. */
  dump: string;
  /** Where that is not on this machine. */
  beside?: Beside;
  oneTransaction: boolean;
}

/** The pg_restore command for a target database. One transaction and parallel jobs exclude each other. */
export function restoreCommand(
  ctx: StepContext,
  p: RestoreParams,
  { tools, target, dump, oneTransaction, beside }: Restore,
): Command {
  const { postgres } = ctx.cluster;
  const application = applicationOf(ctx.runId);
  const command: Command = {
    file: `${beside?.tools.bin ?? tools.bin}/pg_restore`,
    args: [
      ...(beside?.connection ?? postgres.toolArguments),
      ...['--dbname', target, '--clean', '--if-exists', '--verbose'],
      ...(oneTransaction ? ['--single-transaction'] : ['--jobs', String(p.jobs)]),
      ...(p.owners === 'ignore' ? ['--no-owner', '--no-acl'] : []),
      dump,
    ],
    ...(beside ? environmentBeside(ctx, application) : named(postgres, application)),
  };
  return beside ? beside.host.reach(command) : command;
}

/** The environment of a libpq program whose sessions the server shows under this name. */
function named(
  postgres: Postgres,
  application: string,
): Pick<Command, 'environment' | 'secretEnvironment' | 'secretWords'> {
  const { environment, ...secrets } = postgres.toolEnvironment;
  return { environment: { ...environment, PGAPPNAME: application }, ...secrets };
}

export async function createDatabase(
  postgres: Postgres,
  ctx: StepContext,
  contents: DumpContents,
  name: string,
  emit: Emitter<RestoreFacts>,
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

/** Owner, settings, rights and comment of the database itself: pg_restore sets them only with --create, which we do not use. */
export async function restoreProperties(
  p: RestoreParams,
  ctx: StepContext,
  contents: DumpContents,
  emit: Emitter<RestoreFacts>,
): Promise<void> {
  const { postgres } = ctx.cluster;
  for (const { before, after } of contents.databaseProperties) {
    const isOwnership = /^(GRANT|REVOKE)/.test(before) || after.startsWith(' OWNER TO');
    if (p.owners === 'ignore' && isOwnership) continue;
    // The dump's own name for the database may be another than the one that is restored into.
    const statement = `${before} ${quoteIdentifier(postgres.database)}${after}`;
    await postgres
      .write(ctx.gateway, statement)
      .catch((error: Error) => emit.output(`warning: ${statement} failed: ${error.message}`));
  }
}

/** Dumps what is to be replaced, and reads the dump to its end. One that cannot be made stops the step, unless that was waived. */
export async function takeSafetyDump(
  p: RestoreParams,
  tools: Installation,
  ctx: StepContext,
  emit: Emitter<RestoreFacts>,
  signal: AbortSignal,
): Promise<void> {
  const { database } = ctx.cluster.postgres;
  await makeFolder(ctx.gateway, ctx.workFolder);
  const file = join(ctx.workFolder, `${encodeURIComponent(database)}-before-${fileInstantOf(new Date())}.dump`);
  emit.output(`taking a safety copy of ${database} first`);
  const why = await dumpInto(p, file, tools, ctx, emit, signal).catch(async (error: unknown) => {
    await remove(ctx.gateway, file);
    throw error;
  });
  if (why !== '') {
    // What it did write is cut off: nobody must take it for a way back.
    await remove(ctx.gateway, file);
    const said = `no safety copy of ${database} can be made: ${why}`;
    if (p.safetyCopy === 'required')
      throw new Error(
        `${said}. Nothing was dropped. Restore beside it instead, which keeps it as it is (--set <step>.strategy=swap), or go on without a way back (--set <step>.safetyCopy=waived)`,
      );
    emit.facts({ waived: why });
    return emit.output(`WITHOUT A SAFETY COPY, as was asked for (safetyCopy=waived): ${said}`);
  }
  await closeToOthers(file);
  await keepOnDisk(file);
  const rows = await countRows(tools, file, { signal });
  emit.facts({ safetyDump: file });
  emit.safetyCopy(
    `database ${database}`,
    file,
    `read to its end: ${countOf(Object.values(rows).reduce((a, b) => a + b, 0))} rows`,
  );
}

/** Why the database cannot be dumped into the file; empty when it was. */
async function dumpInto(
  p: RestoreParams,
  file: string,
  tools: Installation,
  ctx: StepContext,
  emit: Emitter<RestoreFacts>,
  signal: AbortSignal,
): Promise<string> {
  const { postgres } = ctx.cluster;
  const command: Command = {
    file: `${tools.bin}/pg_dump`,
    args: [
      ...postgres.toolArguments,
      ...['--dbname', postgres.database, '--format', 'custom', '--compress', '1', '--file', file],
    ],
    ...named(postgres, applicationOf(ctx.runId)),
  };
  const errors: string[] = [];
  const ended = await runUnlessBlocked(p, command, ctx, emit, signal, 'Nothing was dropped', (line) => {
    if (/^pg_dump: (error|detail)/.test(line))
      errors.push(line.replace(/^pg_dump: \w+: (Error message from server: )?/, ''));
  });
  if (ended.exitCode === 0) return '';
  return `pg_dump ended with ${ended.exitCode ?? ended.failure}${errors.length > 0 ? `: ${errors.slice(0, 2).join(' ')}` : ''}`;
}

export async function restoreDump(
  p: RestoreParams,
  ctx: StepContext,
  emit: Emitter<RestoreFacts>,
  signal: AbortSignal,
  what: Restore & { contents: DumpContents; rows: Record<string, number> },
): Promise<void> {
  const { postgres } = ctx.cluster;
  const command = restoreCommand(ctx, p, what);
  const watch = watchRestore(postgres, what.target, what.rows, (progress) => emit.progress(progress));
  const errors: string[] = [];
  const state = what.oneTransaction
    ? 'The database is as it was (one transaction, rolled back)'
    : what.target === postgres.database
      ? `The database ${what.target} is half filled; a retry replaces it`
      : `${postgres.database} is untouched. ${what.target} is half filled, and in nobody's way but for its room: DROP DATABASE ${quoteIdentifier(what.target)}`;
  const onLine = (line: string) => {
    watch.onLine(line);
    if (/^pg_restore: (error|warning)/.test(line)) errors.push(line.replace(/^pg_restore: /, ''));
  };
  const ended = await runUnlessBlocked(p, command, ctx, emit, signal, state, onLine, watch.say).finally(() =>
    watch.stop(),
  );
  if (ended.exitCode === 0) return;
  const said = `pg_restore ended with ${ended.exitCode ?? ended.failure}: ${errors[0] ?? 'it printed no error'}`;
  if (!what.beside || errors.length > 0) throw new Error(`${said}. ${state}`);
  // Most likely the connection to its host was cut: it is ended there then, and what it had in hand is rolled back.
  const isGone = await untilGone(ctx, applicationOf(ctx.runId));
  throw new Error(
    `${said} (on ${what.beside.host.title}; the connection to it may have been cut). ${isGone ? state : 'It still works in the server: wait for its end before a retry'}`,
  );
}

/**
 * Runs a program that takes locks in the database, and ends it when another session keeps it waiting too long: it would
 * wait for ever (a dump's script sets lock_timeout to 0). `state`: what is true of the database then.
 */
async function runUnlessBlocked(
  p: RestoreParams,
  command: Command,
  ctx: StepContext,
  emit: Emitter<RestoreFacts>,
  signal: AbortSignal,
  state: string,
  onLine: (line: string) => void = () => {},
  onBlocked: (said: string) => void = () => {},
): Promise<Ended> {
  const blocked = new AbortController();
  let blocker = '';
  const guard = watchBlockers(ctx.cluster.postgres, applicationOf(ctx.runId), (who, sinceMs) => {
    blocker = who;
    const said = `waiting for a lock that session ${who} holds (${durationOf(sinceMs)})`;
    emit.output(said);
    onBlocked(said);
    if (sinceMs >= BLOCKED_PATIENCE) blocked.abort();
  });
  const ended = await runTool(ctx, command, {
    signal: AbortSignal.any([signal, blocked.signal]),
    patienceSeconds: p.patienceSeconds,
    onText: (text) => emit.output(text),
    onLine,
  })
    .catch((error: Error) => {
      if (blocked.signal.aborted) return undefined;
      if (signal.aborted) throw error;
      throw new Error(`${error.message}. ${state}`, { cause: error });
    })
    .finally(() => guard.stop());
  if (ended) return ended;
  throw new Error(
    `it waited ${durationOf(BLOCKED_PATIENCE)} for session ${blocker}, which holds a lock. ${state}. End that session, or let this step do it (--set <step>.sessions=end), then retry`,
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
      since ||= steadyNow();
      onBlocked(who, steadyNow() - since);
    }
  }, 2_000);
  return { stop: () => clearInterval(timer) };
}

export async function swap(
  p: RestoreParams,
  ctx: StepContext,
  emit: Emitter<RestoreFacts>,
  signal: AbortSignal,
  what: {
    tools: Installation;
    dump: string;
    contents: DumpContents;
    rows: Record<string, number>;
    databaseExists: boolean;
    beside?: Beside;
  },
): Promise<void> {
  const { postgres } = ctx.cluster;
  const beside = datedName(postgres, 'restoring');
  await createDatabase(postgres, ctx, what.contents, beside, emit);
  await restoreDump(p, ctx, emit, signal, { ...what, target: beside, oneTransaction: false });
  const failed = (await rowChecks(postgres, { rows: what.rows, tables: what.contents.tables }, beside)).find(
    (check) => !check.ok,
  );
  if (failed)
    throw new Error(
      `${failed.subject}: ${failed.what} should be ${failed.expected} but ${failed.actual} came; the old database is untouched, ${beside} is kept to look at`,
    );
  signal.throwIfAborted();
  if (what.databaseExists) {
    const sessions = await otherSessions(postgres);
    if (sessions.length > 0 && p.sessions === 'end') await endSessions(postgres, ctx, emit);
    const keptAs = datedName(postgres, 'before');
    const { keptAs: first, before } = ctx.earlier as Partial<RestoreFacts>;
    // What the first attempt kept is what was there before; a later one only moves its own result away.
    const original = first !== undefined && (await databaseNamed(postgres, first)) ? first : keptAs;
    if (before !== 'absent') emit.facts({ keptAs: original });
    await changePlaces(postgres, ctx, emit, beside, keptAs);
    emit.safetyCopy(`database ${postgres.database}`, `database ${keptAs}`, 'renamed, nothing in it was changed');
  } else {
    await rename(postgres, ctx, beside, postgres.database);
  }
  emit.output(`${beside} is now ${postgres.database}`);
}

/** Exact rows of every table against those counted in the dump, and the set of tables. */
export async function rowChecks(
  postgres: Postgres,
  { rows, tables }: Pick<RestoreFacts, 'rows' | 'tables'>,
  database = postgres.database,
): Promise<Check[]> {
  return postgres.reading(
    async ({ query }) => {
      const found = await query<{ schema: string; name: string }>(
        `SELECT schemaname AS schema, tablename AS name FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2`,
      );
      const names = found.map((one) => `${one.schema}.${one.name}`);
      const checks: Check[] = [allThere('postgres', 'tables', tables, names)];
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

/** Puts back what was there before the first attempt; what had been restored is kept under a dated name, never dropped. */
export async function undoRestore(
  p: RestoreParams,
  ctx: StepContext,
  emit: Emitter<RestoreFacts>,
  facts: Partial<RestoreFacts>,
): Promise<void> {
  const { postgres } = ctx.cluster;
  const undone = datedName(postgres, 'undone');
  const endThoseInTheWay = async () => {
    const { databaseExists } = await describeServer(postgres);
    if (databaseExists && p.sessions === 'end') await endSessions(postgres, ctx, emit);
    return databaseExists;
  };
  if (facts.keptAs) {
    if (!(await databaseNamed(postgres, facts.keptAs)))
      return emit.output('the database had not been renamed yet: it is as it was');
    if (await endThoseInTheWay()) {
      await changePlaces(postgres, ctx, emit, facts.keptAs, undone);
      emit.output(`what had been restored is kept as database ${undone}`);
    } else await rename(postgres, ctx, facts.keptAs, postgres.database);
    return emit.output(`${facts.keptAs} is ${postgres.database} again`);
  }
  if (facts.safetyDump) {
    // Beside and renamed: what came into the database since may block the dropping of what was there before.
    const server = await describeServer(postgres);
    const tools = await toolsFor(server.major);
    const contents = await readContents(tools, facts.safetyDump);
    const rows = await countRows(tools, facts.safetyDump);
    const { signal } = new AbortController();
    // What this one moves away is what had been restored, which the next undo must not take for what was there before.
    const withoutFacts = new Emitter<RestoreFacts>((event) => event.type === 'facts' || emit.push(event));
    await swap(p, ctx, withoutFacts, signal, {
      tools,
      dump: facts.safetyDump,
      contents,
      rows,
      databaseExists: server.databaseExists,
    });
    await restoreProperties(p, ctx, contents, emit);
    emit.facts({ putBack: { rows, tables: contents.tables } });
    return emit.output(`the database is as it was before this step (from ${facts.safetyDump})`);
  }
  if (facts.waived !== undefined)
    throw new Error(`there is no safety copy to put back: it was waived, since ${facts.waived}`);
  if (facts.before === 'populated') return emit.output('nothing had been dropped yet: the database is as it was');
  if (facts.before === undefined) return emit.output('nothing had been changed yet');
  if (await endThoseInTheWay()) {
    await rename(postgres, ctx, postgres.database, undone);
    emit.output(`what had been restored is kept as database ${undone}`);
  }
  if (facts.before === 'empty')
    await postgres.write(
      ctx.gateway,
      `CREATE DATABASE ${quoteIdentifier(postgres.database)}`,
      await postgres.maintenanceDatabase(),
    );
  emit.output('there is no data, as before this step');
}
