import { z } from 'zod';
import { type Check, equal } from '../../stores/check.js';
import { isDamage, type Postgres, quoteIdentifier } from '../../stores/postgres/connection.js';
import { describeServer, estimatedRows, strangersIn } from '../../stores/postgres/server.js';
import { countOf, plural } from '../../words.js';
import type { Finding, StepContext, StepKind } from '../step.js';
import { stepEvents } from '../step-events.js';
import { uncountedIn, unreachable } from '../store-readiness.js';
import { changePlaces, databaseNamed, datedName, endSessions, placeChanges, rename } from './changing-places.js';
import { emptyUndoChecks, planEmptyUndo } from './undo-plan.js';

const params = z.strictObject({
  /** What to do with other sessions in the database: it cannot be renamed while there are any. */
  sessions: z.enum(['refuse', 'end']).default('refuse'),
});
type Params = z.infer<typeof params>;

interface Facts {
  /** Whether there was a database before the first attempt. */
  existed: boolean;
  /** The name under which it is kept. */
  keptAs?: string;
}

/** Puts an empty database in the place of the old one, which is kept under a dated name. novamem makes its tables at its start. */
export const postgresEmpty: StepKind<Params, Facts> = {
  kind: 'postgres.empty',
  effect: 'destroy',
  params,

  async plan(_p, ctx) {
    const { postgres } = ctx.cluster;
    const server = await describeServer(postgres).catch(() => undefined);
    const beside = `${postgres.database}_restoring_…`;
    return {
      summary: `Put an empty database ${postgres.database} in place of the old one`,
      commands: [
        ...(server?.databaseExists
          ? [
              `CREATE DATABASE ${quoteIdentifier(beside)} WITH the owner and locale of the old one`,
              ...placeChanges(postgres, beside, `${postgres.database}_before_…`),
            ]
          : [`CREATE DATABASE ${quoteIdentifier(postgres.database)}`]),
      ],
      destroys: server?.databaseExists ? await standingIn(postgres) : [],
      ...(await uncountedIn('postgres', ctx)),
      wayBack:
        !server || server.databaseExists
          ? 'the old database is kept under a dated name'
          : 'not needed: there is no database',
      pointOfNoReturn: 'none: renaming it back undoes it',
      onAbort: `the old database is untouched, with an empty one (${beside}) beside it; or the renaming is done, all of it`,
    };
  },

  async check(p, ctx) {
    const absent = await unreachable('postgres', ctx);
    if (absent) return [absent];
    const { postgres } = ctx.cluster;
    const server = await describeServer(postgres);
    const findings: Finding[] = [];
    if (!server.role.createDatabase)
      findings.push({
        level: 'blocking',
        message: `role ${server.role.name} may not create databases`,
        next: `as a superuser: ALTER ROLE ${quoteIdentifier(server.role.name)} CREATEDB;`,
      });
    const sessions = server.databaseExists ? await strangersIn(postgres) : [];
    if (sessions.length > 0 && p.sessions === 'refuse')
      findings.push({
        level: ctx.phase === 'preflight' ? 'info' : 'blocking',
        message: `${plural(sessions.length, 'other session')} in ${postgres.database} would keep it from being renamed`,
        next: 'end them, or let this step do it: --set <step>.sessions=end',
      });
    return findings;
  },

  run: (p, ctx) =>
    stepEvents<Facts>(async (emit) => {
      const { postgres } = ctx.cluster;
      const server = await describeServer(postgres);
      const earlier = ctx.earlier as Partial<Facts>;
      emit.facts({ existed: earlier.existed ?? server.databaseExists });
      const kept = earlier.keptAs !== undefined && (await databaseNamed(postgres, earlier.keptAs));
      const like = server.databaseExists
        ? await likeOf(postgres, postgres.database)
        : kept
          ? await likeOf(postgres, earlier.keptAs!)
          : '';
      if (!server.databaseExists) await create(postgres, ctx, postgres.database, like);
      else if (!kept) {
        // Beside and renamed: where this breaks off, there is the old database or the new one, never none.
        const beside = datedName(postgres, 'restoring');
        await create(postgres, ctx, beside, like);
        if (p.sessions === 'end') await endSessions(postgres, ctx, emit);
        const keptAs = datedName(postgres, 'before');
        emit.facts({ keptAs });
        await changePlaces(postgres, ctx, emit, beside, keptAs);
        emit.safetyCopy(`database ${postgres.database}`, `database ${keptAs}`, 'renamed, nothing in it was changed');
      }
      emit.output(`${postgres.database} is there and empty; novamem makes its tables when it is started`);
    }),

  async verify(_p, { cluster: { postgres } }, { keptAs }): Promise<Check[]> {
    const names = await databases(postgres);
    return [
      equal(`database ${postgres.database}`, 'is there', true, names.includes(postgres.database)),
      equal(`database ${postgres.database}`, 'tables in it', 0, (await estimatedRows(postgres)).length),
      ...(keptAs ? [equal(`database ${keptAs}`, 'is kept', true, names.includes(keptAs))] : []),
    ];
  },

  async probe(_p, { cluster: { postgres } }, { existed, keptAs }) {
    if (existed === undefined) return 'not-started';
    const server = await describeServer(postgres);
    const empty = server.databaseExists && server.refusal === '' && (await estimatedRows(postgres)).length === 0;
    if (empty && (!existed || keptAs)) return 'done';
    return keptAs && !server.databaseExists ? 'partial' : 'not-started';
  },

  undo: (_p, ctx, { existed, keptAs }) =>
    stepEvents<Facts>(async (emit) => {
      const { postgres } = ctx.cluster;
      if (existed === undefined) return emit.output('nothing had been changed yet');
      const names = await databases(postgres);
      if (existed && (keptAs === undefined || !names.includes(keptAs)))
        return emit.output('the database had not been renamed yet: it is as it was');
      const aside = datedName(postgres, 'undone');
      if (!names.includes(postgres.database)) {
        if (keptAs) await rename(postgres, ctx, keptAs, postgres.database);
        return;
      }
      if (keptAs) await changePlaces(postgres, ctx, emit, keptAs, aside);
      else await rename(postgres, ctx, postgres.database, aside);
      emit.output(`what had been put there is kept as ${aside}`);
    }),
  planUndo: (_p, ctx, facts, since) => planEmptyUndo(ctx, facts, since),
  verifyUndo: (_p, ctx, facts) => emptyUndoChecks(ctx, facts),
};

const create = async (postgres: Postgres, ctx: StepContext, name: string, like: string) =>
  postgres.write(
    ctx.gateway,
    `CREATE DATABASE ${quoteIdentifier(name)}${like}`,
    await postgres.maintenanceDatabase(),
  );

async function databases(postgres: Postgres): Promise<string[]> {
  const rows = await postgres.read<{ name: string }>(
    'SELECT datname AS name FROM pg_database',
    [],
    await postgres.maintenanceDatabase(),
  );
  return rows.map(({ name }) => name);
}

/** The options that make a database of the same owner, encoding and locale as another. */
async function likeOf(postgres: Postgres, name: string): Promise<string> {
  const [found] = await postgres.read<{ owner: string; encoding: string; collate: string; ctype: string }>(
    `SELECT pg_get_userbyid(datdba) AS owner, pg_encoding_to_char(encoding) AS encoding, datcollate AS collate, datctype AS ctype
       FROM pg_database WHERE datname = $1`,
    [name],
    await postgres.maintenanceDatabase(),
  );
  if (!found) return '';
  const text = (value: string) => `'${value.replaceAll("'", "''")}'`;
  return ` OWNER ${quoteIdentifier(found.owner)} TEMPLATE template0 ENCODING ${text(found.encoding)} LC_COLLATE ${text(found.collate)} LC_CTYPE ${text(found.ctype)}`;
}

async function standingIn(postgres: Postgres): Promise<string[]> {
  try {
    const tables = await estimatedRows(postgres);
    const rows = tables.reduce((sum, one) => sum + one.rows, 0);
    const memories = tables.find(({ table }) => table.endsWith('.memory_entries'));
    return [
      ...(memories ? [`about ${countOf(memories.rows)} memories, as far as they can still be read`] : []),
      `${plural(tables.length, 'table')} of ${postgres.address}, about ${countOf(rows)} rows`,
    ];
  } catch (error) {
    if (!isDamage(error)) return [];
    return [`all of ${postgres.address}: its catalogs are damaged, so nothing can be counted`];
  }
}
