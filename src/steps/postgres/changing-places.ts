import { type Postgres, quoteIdentifier } from '../../stores/postgres/connection.js';
import { otherSessions } from '../../stores/postgres/server.js';
import { messageOf } from '../../words.js';
import type { StepContext } from '../step.js';
import type { Emitter } from '../step-events.js';

// Databases that are kept beside each other, and change places by their names.

export async function endSessions(postgres: Postgres, ctx: StepContext, emit: Emitter<unknown>): Promise<void> {
  const maintenance = await postgres.maintenanceDatabase();
  for (const session of await otherSessions(postgres)) {
    await postgres.write(ctx.gateway, `SELECT pg_terminate_backend(${session.pid})`, maintenance);
    emit.output(`session ${session.pid} (${session.application || 'no name'} as ${session.user}) ended`);
  }
}

/** A name beside the database's own, dated to the millisecond and short enough for Postgres (63 bytes). */
export function datedName({ database }: Postgres, what: 'restoring' | 'before' | 'undone'): string {
  const at = new Date().toISOString().replace(/[-:.]/g, '');
  return `${Buffer.from(database)
    .subarray(0, 30)
    .toString('utf8')
    .replace(/\ufffd$/, '')}_${what}_${at}`;
}

/** The statements after which the database stands under another name and the other one under its own: all of it, or nothing. */
export const placeChanges = ({ database }: Postgres, other: string, away: string): string[] => [
  'BEGIN',
  renaming(database, away),
  renaming(other, database),
  'COMMIT',
];

const renaming = (from: string, to: string) =>
  `ALTER DATABASE ${quoteIdentifier(from)} RENAME TO ${quoteIdentifier(to)}`;

/** Moves the database away and gives its name to another, in one transaction: there is no moment without a database. */
export async function changePlaces(
  postgres: Postgres,
  ctx: StepContext,
  emit: Emitter<unknown>,
  other: string,
  away: string,
): Promise<void> {
  const statements = placeChanges(postgres, other, away);
  try {
    await postgres.writing(
      ctx.gateway,
      `${statements.join('; ')};`,
      async ({ query }) => {
        for (const statement of statements) await query(statement);
      },
      { database: await postgres.maintenanceDatabase() },
    );
  } catch (error) {
    const isDone = await databaseNamed(postgres, away).catch(() => undefined);
    if (isDone === false) throw error;
    if (isDone === undefined)
      throw new Error(
        `the renaming ended without an answer (${messageOf(error)}). Both names have changed, or neither: if there is a database ${away}, it is the old one, and ${postgres.database} is what was ${other}`,
        { cause: error },
      );
    emit.output(`the answer to the renaming was lost (${messageOf(error)}); it was done all the same`);
  }
}

export async function rename(postgres: Postgres, ctx: StepContext, from: string, to: string): Promise<void> {
  await postgres.write(ctx.gateway, renaming(from, to), await postgres.maintenanceDatabase());
}

export async function databaseNamed(postgres: Postgres, name: string): Promise<boolean> {
  const found = await postgres.read(
    'SELECT 1 FROM pg_database WHERE datname = $1',
    [name],
    await postgres.maintenanceDatabase(),
  );
  return found.length > 0;
}
