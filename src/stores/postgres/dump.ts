import { open } from 'node:fs/promises';
import { type Command, commandText } from '../../hosts/command.js';
import { inspectCommand, readCommand } from '../../hosts/run-command.js';
import { messageOf } from '../../words.js';
import type { Installation } from './tools.js';

/** The first bytes of a custom-format dump. */
export const DUMP_MAGIC = 'PGDMP';

/** What the table of contents of a dump says. */
export interface DumpContents {
  /** When pg_dump began, as the dump's header says; null when it cannot be read. The header has no zone: the dumping machine's local time. */
  createdAt: Date | null;
  /** `15.18` */
  fromServer: string;
  /** `schema.table` of every table whose rows are in the dump. */
  tables: string[];
  /** Roles that own something in it, or are granted something. */
  roles: string[];
  /** The statement that makes the database as it was: encoding and locale. */
  createDatabase: string;
  /** Statements for its owner, settings, rights and comment, which a restore into an existing database leaves out. */
  databaseProperties: DatabaseProperty[];
}

/** A statement on the database: what stands before its name, and what behind. */
export interface DatabaseProperty {
  before: string;
  after: string;
}

export class DumpUnreadable extends Error {
  override name = 'DumpUnreadable';
}

/** It may be well: a pg_dump wrote it that is newer than the pg_restore which was asked. */
export class DumpTooNew extends DumpUnreadable {
  override name = 'DumpTooNew';
}

/** Whether a file begins like a custom-format dump. */
export async function looksLikeDump(file: string): Promise<boolean> {
  return (await firstBytes(file, 5)).toString('latin1') === DUMP_MAGIC;
}

export async function firstBytes(file: string, count: number): Promise<Buffer> {
  const handle = await open(file, 'r');
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(count), 0, count, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}

/** Reads the table of contents; `called`: how the file is named in errors. Rejects with DumpUnreadable when pg_restore cannot, with DumpTooNew where it is too old. A damaged body goes unnoticed here. */
export async function readContents(tools: Installation, file: string, called = file): Promise<DumpContents> {
  const environment = { LC_ALL: 'C' };
  const asked = async (args: string[], input?: string) => {
    const program = [`${tools.bin}/pg_restore`, ...args, file];
    // As a pipe: what Node gives a child as standard input is a socket, which cannot be opened by name.
    const [first, ...rest] = input === undefined ? program : ['/bin/sh', '-c', 'cat | "$@"', 'sh', ...program];
    const command = { file: first!, args: rest, environment, ...(input === undefined ? {} : { input }) };
    const answer = await inspectCommand(command, 120_000);
    if (answer.exitCode === 0) return answer.stdout;
    const said = answer.stderr.trim() || answer.failure;
    const Fault = /unsupported version \(/.test(said) ? DumpTooNew : DumpUnreadable;
    throw new Fault(`pg_restore ${tools.version} cannot read ${called}: ${said.replaceAll(file, called)}`);
  };
  const script = ['--create', '--schema-only', '--file', '-'];
  const list = await asked(['--list']);
  const [schema, database] = await Promise.all([
    asked(script),
    asked([...script, '--use-list', '/dev/stdin'], databaseEntries(list)),
  ]);
  return { ...parseHeader(list), ...parseSchema(schema), ...parseDatabase(database) };
}

/** The entries of `pg_restore --list` that are about the database itself. */
function databaseEntries(list: string): string {
  const entry = /^\d+; \d+ \d+ (?:DATABASE|DATABASE PROPERTIES|(?:ACL|COMMENT|SECURITY LABEL) - DATABASE) /;
  return `${list
    .split('\n')
    .filter((line) => entry.test(line))
    .join('\n')}\n`;
}

/** Parses the header of `pg_restore --list`. The list itself is not asked: names with spaces make it ambiguous. */
export function parseHeader(text: string): Pick<DumpContents, 'createdAt' | 'fromServer'> {
  const created = /Archive created at (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)/.exec(text)?.[1];
  return {
    createdAt: created ? new Date(created.replace(' ', 'T')) : null,
    fromServer: /Dumped from database version: (\S+)/.exec(text)?.[1] ?? '',
  };
}

/** Parses the script of `pg_restore --create --schema-only`: what each object is stands in a comment before it. */
export function parseSchema(script: string): Pick<DumpContents, 'tables' | 'roles'> {
  const objects = [
    ...script.matchAll(/^-- Name: (.*); Type: ([A-Z ]+); Schema: (.*); Owner: (.*?)(?:; Tablespace: .*)?$/gm),
  ];
  return {
    tables: objects
      .filter(([, , type]) => type === 'TABLE')
      .map(([, name, , schema]) => `${schema}.${name}`)
      .sort(),
    roles: rolesIn(
      objects.map(([, , , , owner]) => owner!),
      script,
    ),
  };
}

/** Parses the script of the entries that are about the database. No other may be in it: a function's body may hold the same words. */
function parseDatabase(script: string): Pick<DumpContents, 'createDatabase' | 'databaseProperties'> {
  const statement =
    /^(ALTER DATABASE|COMMENT ON DATABASE|(?:GRANT|REVOKE) [A-Z, ]+ ON DATABASE) (?:"(?:[^"]|"")*"|[^\s"]+)( .*);$/gm;
  return {
    createDatabase: script.split('\n').find((line) => line.startsWith('CREATE DATABASE ')) ?? '',
    databaseProperties: [...script.matchAll(statement)].map(([, before, after]) => ({
      before: before!,
      after: after!,
    })),
  };
}

/** Owners (`-` is none) and those that rights are granted to; PUBLIC is no role. */
function rolesIn(owners: string[], script: string): string[] {
  const granted = [
    ...script.matchAll(/^(?:ALTER DEFAULT PRIVILEGES .* )?GRANT .* TO (.+?)(?: WITH GRANT OPTION)?;$/gm),
  ].map(([, role]) => plainName(role!));
  return [...new Set([...owners, ...granted])].filter((role) => !['', '-', 'PUBLIC'].includes(role)).sort();
}

/** The command that reads a dump from its first byte to its last: a file, or its standard input. */
const readThroughCommand = (tools: Installation, file?: string): Command => ({
  file: `${tools.bin}/pg_restore`,
  args: ['--data-only', '--file', '-', ...(file === undefined ? [] : [file])],
  environment: { LC_ALL: 'C' },
});

/** A dump that comes from elsewhere. `shown`: how a shell reads it. */
export interface StreamedDump {
  shown: string;
  pieces: AsyncIterable<Buffer>;
}

/**
 * Reads a whole dump and counts the rows of each table in it (`schema.table` → rows). Rejects with DumpUnreadable when
 * any part of it cannot be read. Not a proof that the content is unaltered: only a checksum is. Of a stream no more is taken than it needs.
 */
export async function countRows(
  tools: Installation,
  dump: string | StreamedDump,
  { onBytes, signal }: { onBytes?: (bytes: number) => void; signal?: AbortSignal } = {},
): Promise<Record<string, number>> {
  const counter = rowCounter();
  const errors: string[] = [];
  const isFile = typeof dump === 'string';
  const command = readThroughCommand(tools, isFile ? dump : undefined);
  const ended = await readCommand(command, {
    signal,
    ...(isFile ? {} : { feed: dump.pieces }),
    onChunk: (chunk) => {
      counter.take(chunk);
      onBytes?.(chunk.length);
    },
    onLine: (line) => errors.push(line),
  });
  if (ended.exitCode !== 0) {
    throw new DumpUnreadable(
      `${isFile ? '' : `${dump.shown} | `}${commandText(command)} failed: ${errors.slice(-3).join(' ') || messageOf(ended.failure)}`,
    );
  }
  return counter.finish();
}

const NEWLINE = 0x0a;
/** 1,600 columns, the most that Postgres allows, with names of 63 letters of up to 4 bytes. */
const LONGEST_COPY_LINE = 512 * 1024;
const NAME = '(?:"(?:[^"]|"")+"|[^\\s".(]+)';
const COPY_LINE = new RegExp(`^COPY (${NAME}\\.${NAME}) +(?:\\(.*\\) )?FROM stdin;$`);

/** Counts the lines between `COPY … FROM stdin;` and `\.` of an SQL script, byte by byte: dumps are large and lines are long. */
export function rowCounter(): { take(chunk: Buffer): void; finish(): Record<string, number> } {
  const rows: Record<string, number> = {};
  let table: string | undefined;
  /** The line's beginning, a byte a character: a name may be cut between two pieces, in the middle of a letter. */
  let head = '';

  const endLine = () => {
    if (table === undefined) {
      const copy = COPY_LINE.exec(Buffer.from(head, 'latin1').toString('utf8'));
      if (copy) {
        table = plainName(copy[1]!);
        rows[table] ??= 0;
      }
    } else if (head === '\\.') table = undefined;
    else rows[table] = rows[table]! + 1;
    head = '';
  };

  // Inside a table only the two bytes of the end mark matter; outside, the COPY line is wanted whole.
  const keep = (chunk: Buffer, from: number, to: number) => {
    const room = (table === undefined ? LONGEST_COPY_LINE : 3) - head.length;
    if (room > 0) head += chunk.toString('latin1', from, Math.min(to, from + room));
  };

  return {
    take(chunk) {
      let from = 0;
      for (let at = chunk.indexOf(NEWLINE); at !== -1; at = chunk.indexOf(NEWLINE, from)) {
        keep(chunk, from, at);
        endLine();
        from = at + 1;
      }
      keep(chunk, from, chunk.length);
    },
    finish() {
      if (head !== '') endLine();
      return rows;
    },
  };
}

/** `public."user"` → `public.user` */
function plainName(sqlName: string): string {
  return sqlName.replace(/"((?:[^"]|"")*)"/g, (_, inner: string) => inner.replaceAll('""', '"'));
}
