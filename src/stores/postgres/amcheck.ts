import { join } from 'node:path';
import type { Command } from '../../hosts/command.js';
import { exists } from '../../hosts/files.js';
import { readCommand } from '../../hosts/run-command.js';
import type { Postgres } from './connection.js';
import type { Installation } from './tools.js';

/** Whether pg_amcheck can look at a database, or what is missing for it and what to type. */
export type Amcheck = { usable: true; program: string } | { usable: false; why: string; next?: string };

/** Looks whether pg_amcheck is there and its extension in the database. It is never installed unasked: that would be a write. */
export async function amcheckOf(postgres: Postgres, tools: Installation): Promise<Amcheck> {
  const program = join(tools.bin, 'pg_amcheck');
  if (!(await exists(program))) return { usable: false, why: 'the program pg_amcheck is not on this machine' };
  const [found] = await postgres.read<{ installed: boolean; available: boolean; superuser: boolean }>(
    `SELECT EXISTS (SELECT 1 FROM pg_extension WHERE extname = 'amcheck') AS installed,
            EXISTS (SELECT 1 FROM pg_available_extensions WHERE name = 'amcheck') AS available,
            (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS superuser`,
  );
  if (!found?.available)
    return { usable: false, why: 'the server has no extension amcheck (package postgresql-contrib)' };
  if (!found.installed) {
    return {
      usable: false,
      why: 'pg_amcheck could look into the order of rows and indexes as well, but its extension is not in the database',
      next: `as a superuser, in ${postgres.database}: CREATE EXTENSION amcheck; then look again`,
    };
  }
  if (!found.superuser) return { usable: false, why: `pg_amcheck needs a superuser, and ${postgres.user} is none` };
  return { usable: true, program };
}

/** The command that examines a whole database and changes nothing. */
export function amcheckCommand(postgres: Postgres, program: string): Command {
  return {
    file: program,
    args: [...postgres.toolArguments, '--database', postgres.database],
    ...postgres.toolEnvironment,
  };
}

/** Runs it to its end. Answers what it found wrong, a line each (`btree index public.x: …`); rejects where it could not look. */
export async function runAmcheck(
  postgres: Postgres,
  program: string,
  signal: AbortSignal,
  onLine: (line: string) => void,
): Promise<string[]> {
  const found: string[] = [];
  const errors: string[] = [];
  let subject = '';
  const ended = await readCommand(amcheckCommand(postgres, program), {
    signal,
    onLine: (line, from) => {
      onLine(line);
      if (/^pg_amcheck: error/.test(line)) errors.push(line);
      if (from !== 'stdout') return;
      if (/^\s/.test(line)) found.push(`${subject} ${line.trim()}`);
      else subject = line;
    },
  });
  // 2: it looked, and found something. https://www.postgresql.org/docs/current/app-pgamcheck.html
  if (ended.exitCode === 0 || ended.exitCode === 2) return found;
  throw new Error(errors[0] ?? `pg_amcheck ended with ${ended.exitCode ?? ended.failure}`);
}
