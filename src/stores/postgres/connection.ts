import { hostname } from 'node:os';
import pg from 'pg';
import { to as copyTo } from 'pg-copy-streams';
import type { Profile } from '../../config/profile.js';
import { resolveSecret, secretWord } from '../../config/secrets.js';
import type { Command } from '../../hosts/command.js';
import type { Gateway } from '../../hosts/gateway.js';
import { steadyNow, within } from '../../hosts/waiting.js';
import { messageOf } from '../../words.js';
import { onlySpeaksTls, type TlsTarget, tlsFaultOf } from '../tls/tls-fault.js';
import { PostgresTls, type Way } from './tls.js';

const CONNECT_PATIENCE = 10_000;
const WATCH_EVERY = 10_000;
const WATCH_PATIENCE = 5_000;
/** So long a server may let nobody in before a query is given up. */
const SILENCE_PATIENCE = 20_000;
const CLOSE_PATIENCE = 5_000;

/** What this process is called in the server's list of sessions, as far as the server keeps such a name. */
export const OWN_SESSIONS = `novamem-runbook ${process.pid} on ${hostname()}`.slice(0, 63);

export type Row = Record<string, unknown>;

/** A connection that can only read: the server itself refuses writes in it. */
export interface Reading {
  query<T = Row>(sql: string, values?: unknown[]): Promise<T[]>;
}

export interface StreamReading extends Reading {
  /** The rows of a query as the text that COPY makes of them, a line each, as many at a time as came together: for millions. */
  lines(sql: string): AsyncGenerator<string[]>;
}

export interface ReadingOptions {
  database?: string;
  snapshot?: boolean;
  /** Settings of the session: words without spaces. */
  settings?: Record<string, string>;
}

/** One Postgres database of a profile, and how to reach it with the vendor's own programs. */
export class Postgres {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly database: string;
  readonly #password: string | undefined;
  readonly #passwordWord: string | undefined;
  readonly #tls: PostgresTls;
  /** What let in last is tried first. */
  #way: Way | undefined;

  constructor(settings: Profile['postgres']) {
    const url = new URL(settings.url);
    this.host =
      decodeURIComponent(url.searchParams.get('host') ?? url.hostname).replace(/^\[|\]$/g, '') || 'localhost';
    this.port = Number(url.port || 5432);
    this.user = decodeURIComponent(url.username) || 'postgres';
    this.database = decodeURIComponent(url.pathname.slice(1)) || this.user;
    this.#tls = new PostgresTls(settings, this.host);
    this.#passwordWord = settings.passwordFrom ? secretWord(settings.passwordFrom) : undefined;
    this.#password = settings.passwordFrom
      ? resolveSecret(settings.passwordFrom, 'the Postgres password')
      : undefined;
  }

  /** `postgres://host:5432/novamem`, without user and password. */
  get address(): string {
    return `postgres://${this.host}:${this.port}/${this.database}`;
  }

  /** Arguments of libpq programs (`--host … --port … --username …`), no secret in them. */
  get toolArguments(): string[] {
    return ['--host', this.host, '--port', String(this.port), '--username', this.user, '--no-password'];
  }

  /** What libpq programs need from the environment and what must not be shown of it. */
  get toolEnvironment(): Required<Pick<Command, 'environment' | 'secretEnvironment' | 'secretWords'>> {
    return {
      environment: { LC_ALL: 'C', ...this.#tls.environment },
      secretEnvironment: this.#password === undefined ? {} : { PGPASSWORD: this.#password },
      secretWords: this.#passwordWord === undefined ? {} : { PGPASSWORD: this.#passwordWord },
    };
  }

  /** Runs queries in one read-only connection. `snapshot`: all of them see one moment. `settings`: of the session. */
  async reading<T>(
    work: (reading: StreamReading) => Promise<T>,
    { database = this.database, snapshot = false, settings = {} }: ReadingOptions = {},
  ): Promise<T> {
    // Rows that a policy hides from this role are an error: else they would be taken for lost.
    const all = { default_transaction_read_only: 'on', row_security: 'off', ...settings };
    const options = Object.entries(all).map(([name, value]) => `-c ${name}=${value}`);
    return this.#connected(database, options.join(' '), async (client) => {
      const reading: StreamReading = {
        query: async <R = Row>(sql: string, values: unknown[] = []) => (await client.query(sql, values)).rows as R[],
        lines: (sql) => linesOf(client.query(copyTo(`COPY (${sql}) TO STDOUT`))),
      };
      if (!snapshot) return await work(reading);
      await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
      const answer = await work(reading);
      await client.query('COMMIT');
      return answer;
    });
  }

  /** One read-only query. */
  read<T = Row>(sql: string, values: unknown[] = [], database = this.database): Promise<T[]> {
    return this.reading((reading) => reading.query<T>(sql, values), { database });
  }

  /** One statement that writes, in a connection of its own and outside a transaction block. */
  write(gateway: Gateway, sql: string, database = this.database): Promise<void> {
    return gateway.change({ channel: 'sql', text: `${sql}; -- in database ${database}` }, () =>
      this.#connected(database, '', async (client) => {
        await client.query(sql);
      }),
    );
  }

  /** Several statements that write, in one connection; `text` is what they do, for the record. */
  writing<T>(
    gateway: Gateway,
    text: string,
    work: (session: Reading) => Promise<T>,
    { database = this.database, settings = {} }: Pick<ReadingOptions, 'database' | 'settings'> = {},
  ): Promise<T> {
    const options = Object.entries(settings).map(([name, value]) => `-c ${name}=${value}`);
    return gateway.change({ channel: 'sql', text: `${text} -- in database ${database}` }, () =>
      this.#connected(database, options.join(' '), (client) =>
        work({
          query: async <R = Row>(sql: string, values: unknown[] = []) =>
            (await client.query(sql, values)).rows as R[],
        }),
      ),
    );
  }

  /** A database to be connected to while the profile's own is absent or being replaced. */
  async maintenanceDatabase(): Promise<string> {
    let refusal: unknown;
    for (const database of ['postgres', 'template1']) {
      try {
        await this.read('SELECT 1', [], database);
        return database;
      } catch (error) {
        refusal = error;
      }
    }
    throw refusal;
  }

  /**
   * Work that goes on in other sessions than ours, such as a program's. `silence` aborts once the server has let nobody in for
   * `patienceMs`; its reason says so.
   */
  async watched<T>(patienceMs: number, work: (silence: AbortSignal) => Promise<T>): Promise<T> {
    const silent = new AbortController();
    const watch = this.#watch(this.database, patienceMs);
    watch.silence.catch((error: Error) => silent.abort(error));
    return work(silent.signal).finally(watch.end);
  }

  async #connected<T>(database: string, options: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
    const watch = this.#watch(database, SILENCE_PATIENCE);
    try {
      const client = await this.#open(database, { options, connectionTimeoutMillis: CONNECT_PATIENCE });
      try {
        return await Promise.race([work(client), watch.silence]);
      } finally {
        // A server that hangs does not take its leave.
        await within(CLOSE_PATIENCE, client.end()).catch(() => {});
      }
    } finally {
      watch.end();
    }
  }

  /** A connection that was let in, by the first of the ways that does. */
  async #open(database: string, more: pg.ClientConfig): Promise<pg.Client> {
    const ways = [...this.#tls.ways].sort((a, b) => Number(b === this.#way) - Number(a === this.#way));
    for (const [index, way] of ways.entries()) {
      const client = this.#client(database, way, more);
      try {
        await client.connect();
        this.#way = way;
        return client;
      } catch (error) {
        void client.end().catch(() => {});
        if (index === ways.length - 1 || !letsTryOtherwise(error, way)) throw this.#explained(error, way);
      }
    }
    throw new Error('there is no way to connect');
  }

  /** The error of a connection, or the fault of TLS that it is. */
  #explained(error: unknown, way: Way): unknown {
    const { mode, caFile, showsCertificate } = this.#tls;
    const target: TlsTarget = {
      title: 'Postgres',
      store: 'postgres',
      address: this.address,
      host: this.host,
      port: this.port,
      caFile,
      showsCertificate,
      plain: 'sslmode=disable',
      secure: mode === 'disable' ? 'sslmode=verify-full' : `sslmode=${mode}`,
      startTls: 'postgres',
    };
    if (way === 'plain' && sqlState(error) === NOT_AUTHORIZED && /no encryption|SSL off/.test(messageOf(error)))
      return onlySpeaksTls(target, messageOf(error));
    return way === 'plain' ? error : (tlsFaultOf(error, target) ?? error);
  }

  #client(database: string, way: Way, more: pg.ClientConfig): pg.Client {
    const client = new pg.Client({
      host: this.host,
      port: this.port,
      user: this.user,
      database,
      password: this.#password ?? '',
      application_name: OWN_SESSIONS,
      ...more,
      ssl: way === 'plain' ? false : { ...way },
    });
    // A connection that breaks between two queries reports it here; the next query reports it too.
    client.on('error', () => {});
    return client;
  }

  /**
   * `silence` rejects once the server says nothing to new sessions either: a query may take hours, so that no time is too long
   * for it, but on a server that hangs it would never end.
   */
  #watch(database: string, patienceMs: number): { silence: Promise<never>; end(): void } {
    let timer: NodeJS.Timeout | undefined;
    let ended = false;
    let since: number | undefined;
    const silence = new Promise<never>((_, reject) => {
      const ask = async () => {
        const asked = steadyNow();
        if (await this.#answersAnybody(database)) since = undefined;
        else since ??= asked;
        if (ended) return;
        if (since === undefined || steadyNow() - since < patienceMs) timer = setTimeout(ask, WATCH_EVERY);
        else reject(new Error(`Postgres at ${this.address} has fallen silent: no answer, to a new session either`));
      };
      timer = setTimeout(ask, WATCH_EVERY);
    });
    return {
      silence,
      end() {
        ended = true;
        clearTimeout(timer);
      },
    };
  }

  /** Whether a new session is answered in any way; a refusal is an answer. */
  async #answersAnybody(database: string): Promise<boolean> {
    const patience = { connectionTimeoutMillis: WATCH_PATIENCE, query_timeout: WATCH_PATIENCE };
    try {
      const client = await this.#open(database, patience);
      await client.query('SELECT 1').finally(() => void client.end().catch(() => {}));
      return true;
    } catch (error) {
      return sqlState(error) !== '';
    }
  }
}

const LINE_END = 0x0a;

/** The whole lines of each piece; what a piece begins is ended by the next. */
async function* linesOf(pieces: AsyncIterable<Buffer>): AsyncGenerator<string[]> {
  let begun: Buffer = Buffer.alloc(0);
  for await (const piece of pieces) {
    const bytes = begun.length === 0 ? piece : Buffer.concat([begun, piece]);
    const end = bytes.lastIndexOf(LINE_END);
    begun = bytes.subarray(end + 1);
    if (end >= 0) yield bytes.toString('utf8', 0, end).split('\n');
  }
}

const NOT_AUTHORIZED = '28000';

/** Whether libpq would try the other way after this: without an answer to its question for TLS, and when it is not let in. */
function letsTryOtherwise(error: unknown, way: Way): boolean {
  if (error instanceof pg.DatabaseError) return /^28/.test(sqlState(error));
  return (
    way !== 'plain' &&
    !/^(ECONNREFUSED|ENOTFOUND|EHOSTUNREACH|ENETUNREACH|EAI_AGAIN)$/.test(sqlState(error)) &&
    !/timeout/i.test(messageOf(error))
  );
}

/** A name as SQL reads it: `"memory ""x"""`. */
export function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** The code of a table that is not there. */
export const TABLE_MISSING = '42P01';

/** SQLSTATE of an error of the server, else empty. https://www.postgresql.org/docs/current/errcodes-appendix.html */
export function sqlState(error: unknown): string {
  return typeof (error as { code?: unknown })?.code === 'string' ? (error as { code: string }).code : '';
}

export const DATABASE_MISSING = '3D000';

/** Whether an error says that what is stored is damaged: whatever was stored soundly never fails in these classes when it is read. */
export const isDamage = (error: unknown) => /^(XX|58|54|22)/.test(sqlState(error));
