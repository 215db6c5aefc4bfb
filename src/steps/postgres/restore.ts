import { commandText } from '../../hosts/command.js';
import { sha256Of } from '../../hosts/files.js';
import { nextOf } from '../../problem.js';
import type { BackupFile, BackupSet } from '../../stores/backup-set/backup-set.js';
import { contentsOf } from '../../stores/backup-set/contents.js';
import { changedDump, rowlessDump } from '../../stores/backup-set/good-dump.js';
import { isDamage, type Postgres, quoteIdentifier } from '../../stores/postgres/connection.js';
import { countRows, readContents } from '../../stores/postgres/dump.js';
import {
  countMemories,
  describeServer,
  estimatedRows,
  strangersIn,
  type TableEstimate,
} from '../../stores/postgres/server.js';
import { type Installation, newestTools, toolsFor } from '../../stores/postgres/tools.js';
import { countOf, durationOf, messageOf, plural, sizeOf } from '../../words.js';
import { bringHere, bringingFindings, bringingTexts, placeHere } from '../backup/brought-here.js';
import { lacks } from '../backup/file.js';
import type { Finding, Probe, StepKind } from '../step.js';
import { type Emitter, stepEvents } from '../step-events.js';
import { uncountedIn, unreachable } from '../store-readiness.js';
import { besideFindings, besideServer, bringBeside, bringingBeside } from './beside-server.js';
import { endSessions, placeChanges } from './changing-places.js';
import { damageFindings } from './damage-findings.js';
import { dumpFindings, pointToGoodDump } from './dump-findings.js';
import { atStake, contentFindings, newerTableFindings, roomFindings } from './restore-findings.js';
import {
  createDatabase,
  type RestoreFacts,
  type RestoreParams,
  restoreCommand,
  restoreDump,
  restoreParams,
  restoreProperties,
  rowChecks,
  swap,
  takeSafetyDump,
  undoRestore,
} from './restoring.js';
import { planRestoreUndo, restoreUndoChecks } from './undo-plan.js';

/** Rough, and said to be: pg_restore of compressed rows with their indexes, on two cores. */
const ROUGH_BYTES_PER_MS = 10_000;

function dumpOf(backup: BackupSet | undefined): BackupFile {
  if (!backup?.postgres) throw new Error(lacks(backup, 'Postgres dump').message);
  return backup.postgres;
}

/** What stands in the database's place. Tables are `unknown` where its catalogs are damaged: then it is taken for populated. */
async function standing(postgres: Postgres): Promise<{ populated: boolean; tables: TableEstimate[] | 'unknown' }> {
  const server = await describeServer(postgres);
  if (!server.databaseExists) return { populated: false, tables: [] };
  const tables = await estimatedRows(postgres).catch((error: unknown) => {
    if (isDamage(error)) return 'unknown' as const;
    throw error;
  });
  return { populated: tables.length > 0, tables };
}

export const postgresRestore: StepKind<RestoreParams, RestoreFacts> = {
  kind: 'postgres.restore',
  effect: 'destroy',
  backupSet: 'reads',
  params: restoreParams,

  async plan(p, ctx) {
    const { postgres } = ctx.cluster;
    const dump = dumpOf(ctx.backup);
    const server = await describeServer(postgres).catch(() => undefined);
    const tools = await toolsFor(server?.major ?? 0);
    const { populated, tables } = server ? await standing(postgres) : { populated: false, tables: [] };
    const target = p.strategy === 'swap' ? `${postgres.database}_restoring` : postgres.database;
    const oneTransaction = p.strategy === 'clean' && populated;
    const here = placeHere(ctx, dump.file);
    const beside = await besideServer(ctx, server?.major ?? 0).catch(() => undefined);
    const brought = beside && bringingBeside(beside, here, ctx);
    const age = ctx.backup?.takenAt ? `, ${durationOf(Date.now() - ctx.backup.takenAt.getTime())} old` : '';
    return {
      summary: `Restore Postgres (${p.strategy}) from backup ${ctx.backup!.id}${age} (${sizeOf(dump.bytes)})`,
      commands: [
        ...bringingTexts(ctx, [dump]),
        ...(brought?.commands ?? []),
        !beside && ctx.cluster.profile.postgres.besideServer
          ? `pg_restore on ${ctx.cluster.host('postgres').title}, which could not be asked: see what is found`
          : commandText(
              restoreCommand(ctx, p, {
                ...{ tools, target, oneTransaction, dump: brought?.dump ?? here },
                ...(beside ? { beside } : {}),
              }),
            ),
        ...(p.strategy === 'swap' ? placeChanges(postgres, `${target}_…`, `${postgres.database}_before_…`) : []),
        'ANALYZE',
      ],
      destroys: populated ? await atStake(postgres, tables, ctx.backup!) : [],
      ...(await uncountedIn('postgres', ctx)),
      wayBack:
        server && !populated
          ? 'not needed: the database is absent or empty'
          : p.strategy === 'swap'
            ? 'the old database is kept under a dated name'
            : `a dump of the database is taken before, into ${ctx.workFolder}${p.safetyCopy === 'waived' ? '; WAIVED where none can be made: then none' : ''}`,
      pointOfNoReturn:
        p.strategy === 'swap'
          ? 'the renaming at the end'
          : oneTransaction
            ? 'COMMIT at the very end'
            : server
              ? 'none: nothing is there to lose'
              : 'where anything is there, COMMIT at the very end',
      onAbort:
        p.strategy === 'swap'
          ? `the old database is untouched; a half-filled database ${target}… is left beside it, to be dropped by hand`
          : oneTransaction
            ? 'the database is as it was (one transaction, rolled back)'
            : server
              ? 'a half-filled database; a retry replaces it'
              : 'where anything is there, the database is as it was; otherwise a half-filled one, which a retry replaces',
      estimateMs: dump.bytes / ROUGH_BYTES_PER_MS + 2_000,
      work: { amount: dump.bytes, unit: 'bytes' },
    };
  },

  async check(p, ctx) {
    const { postgres } = ctx.cluster;
    const dump = ctx.backup?.postgres;
    if (!dump) return [lacks(ctx.backup, 'Postgres dump')];
    const findings: Finding[] = [];
    const absent = await unreachable('postgres', ctx);
    const server = absent ? undefined : await describeServer(postgres);
    const tools = server ? await toolsFor(server.major) : await newestTools();
    const faulty = await dumpFindings(dump, tools, ctx);
    findings.push(...faulty, ...(await bringingFindings(ctx, [dump], 'dump')), ...(absent ? [absent] : []));
    if (!server) return findings;
    findings.push({
      level: 'info',
      message: `Postgres ${server.version} at ${postgres.address}; pg_restore ${tools.version} (${tools.bin})${ctx.cluster.profile.postgres.besideServer ? ' reads the dump here' : ''}`,
    });
    const beside = await besideServer(ctx, server.major).catch((error: unknown) => {
      findings.push({ level: 'blocking', message: messageOf(error), next: nextOf(error) });
      return undefined;
    });
    if (beside) findings.push(...(await besideFindings(beside, dump, ctx)));
    findings.push(...(await damageFindings(p, ctx)));
    if (server.databaseExists && server.refusal === '') findings.push(...(await roomFindings(p, ctx)));
    const restoring = beside?.tools ?? tools;
    if (restoring.major >= 17 && server.major < 17) {
      findings.push({
        level: 'blocking',
        message: `pg_restore ${restoring.version}${beside ? ` on ${beside.host.title}` : ''} sets a parameter that Postgres ${server.version} does not know, so it always fails`,
        next: `install the client programs of version ${server.major}${beside ? ' there' : ''} (Debian: apt-get install postgresql-client-${server.major})`,
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
    if (faulty.length === 0) {
      const contents = await contentsOf(tools, dump);
      findings.push(...contentFindings(contents, server.roles, p));
      if (server.databaseExists && server.refusal === '' && p.strategy === 'clean')
        findings.push(...(await newerTableFindings(postgres, contents)));
    }
    const sessions = server.databaseExists ? await strangersIn(postgres) : [];
    if (sessions.length > 0) {
      const who = sessions.slice(0, 4).map((one) => `${one.pid} ${one.application || '(no name)'} as ${one.user}`);
      // A database that somebody is in cannot be renamed.
      const inTheWay = p.strategy === 'swap' && p.sessions === 'refuse';
      findings.push({
        // Before the run begins these are novamem's own, which is stopped first.
        level: ctx.phase === 'preflight' ? 'info' : inTheWay ? 'blocking' : 'warning',
        message: `${plural(sessions.length, 'other session')} in ${postgres.database}: ${who.join(', ')}${sessions.length > 4 ? ', …' : ''}; ${p.strategy === 'swap' ? 'while there is one it cannot be renamed' : 'one that holds a lock would make the restore wait'}`,
        next:
          p.sessions === 'end'
            ? 'they are ended before the restore'
            : `end them (in psql: SELECT pg_terminate_backend(${sessions[0]!.pid});), or let this step do it: --set <step>.sessions=end`,
      });
    }
    return findings;
  },

  run: (p, ctx, signal) =>
    stepEvents<RestoreFacts>(async (emit) => {
      const { postgres } = ctx.cluster;
      await using here = await bringHere(ctx, [dumpOf(ctx.backup)], emit, signal);
      const dump = here.files[0]!;
      const server = await describeServer(postgres);
      const tools = await toolsFor(server.major);
      const contents = await readContents(tools, dump.file);

      emit.output(`reading the whole dump ${dump.file} (${sizeOf(dump.bytes)}) before anything is dropped`);
      const rows = await validate(tools, dump, contents.tables, emit, signal).catch(async (error: Error) => {
        signal.throwIfAborted();
        throw new Error(`${error.message}. Nothing was dropped. ${await pointToGoodDump(ctx)}`, { cause: error });
      });
      const total = Object.values(rows).reduce((sum, count) => sum + count, 0);
      emit.output(`the dump is whole: ${plural(Object.keys(rows).length, 'table')}, ${countOf(total)} rows`);

      const beside = await besideServer(ctx, server.major).catch((error: unknown) => {
        throw new Error(`${messageOf(error)}. Nothing was dropped. Next: ${nextOf(error)}`, { cause: error });
      });
      await using there = beside && (await bringBeside(beside, dump, ctx, emit, signal));
      const restoring = { dump: there?.dump ?? dump.file, ...(beside ? { beside } : {}) };

      const earlier = ctx.earlier as Partial<RestoreFacts>;
      const { populated } = await standing(postgres);
      const now = populated ? 'populated' : server.databaseExists ? 'empty' : 'absent';
      const before = earlier.before ?? now;
      // Together: an undo without knowing what was there before could move away what was never touched.
      emit.facts({ rows, tables: contents.tables, before });
      if (p.sessions === 'end' && server.databaseExists) await endSessions(postgres, ctx, emit);
      if (populated && earlier.before === undefined) {
        const counted = await countMemories(postgres, ctx.backup?.takenAt ?? null).catch(() => undefined);
        if (counted) emit.facts({ newer: counted.newer });
      }
      if (p.strategy === 'swap') {
        await swap(p, ctx, emit, signal, {
          ...{ tools, ...restoring, contents, rows },
          databaseExists: server.databaseExists,
        });
      } else {
        if (!server.databaseExists) await createDatabase(postgres, ctx, contents, postgres.database, emit);
        // What an earlier attempt left half filled is not worth a copy, and must not take the place of one.
        const settled = before !== 'populated' || earlier.safetyDump !== undefined || earlier.waived !== undefined;
        if (populated && !settled) await takeSafetyDump(p, tools, ctx, emit, signal);
        await restoreDump(p, ctx, emit, signal, {
          ...{ tools, ...restoring, contents, rows },
          target: postgres.database,
          oneTransaction: populated,
        });
      }
      await restoreProperties(p, ctx, contents, emit);
      emit.output('ANALYZE: a restored database has no planner statistics');
      await postgres.write(ctx.gateway, 'ANALYZE');
      emit.facts({ completed: true });
    }),

  verify: (_p, { cluster: { postgres } }, facts) => rowChecks(postgres, facts),

  /** Rows come before indexes, constraints and rights: that they are all there does not mean that it is done. */
  async probe(_p, { cluster: { postgres } }, facts): Promise<Probe> {
    if (!(await standing(postgres)).populated) return 'not-started';
    if (!facts.completed) return 'partial';
    return (await rowChecks(postgres, facts as RestoreFacts)).every((check) => check.ok) ? 'done' : 'partial';
  },

  undo: (p, ctx, facts) => stepEvents<RestoreFacts>((emit) => undoRestore(p, ctx, emit, facts)),
  planUndo: (_p, ctx, facts, since) => planRestoreUndo(ctx, facts, since),
  verifyUndo: (_p, ctx, facts) => restoreUndoChecks(ctx, facts),

  conclusion({ waived, newer = 0, keptAs, safetyDump }) {
    if (waived) return { text: `the database was replaced without a safety copy: ${waived}`, exception: true };
    if (newer === 0) return undefined;
    const are =
      newer === 1 ? 'memory that was newer than the backup is' : 'memories that were newer than the backup are';
    return {
      text: `${countOf(newer)} ${are} only in ${keptAs ? `database ${keptAs}` : safetyDump} now`,
      exception: false,
    };
  },
};

/** Proves the dump before anything is dropped: its SHA-256 where a manifest has one, and every byte through pg_restore. */
async function validate(
  tools: Installation,
  dump: BackupFile,
  tables: readonly string[],
  emit: Emitter<RestoreFacts>,
  signal: AbortSignal,
): Promise<Record<string, number>> {
  const onBytes = emit.bytes(dump.bytes, 'checksum of the dump');
  const [sha256, rows] = await Promise.all([
    dump.sha256 === undefined ? undefined : sha256Of(dump.file, { onBytes, signal }),
    countRows(tools, dump.file, { signal }),
  ]);
  if (sha256 !== dump.sha256) throw new Error(changedDump(dump, sha256));
  if (tables.length > 0 && Object.keys(rows).length === 0) throw new Error(rowlessDump(dump));
  return rows;
}
