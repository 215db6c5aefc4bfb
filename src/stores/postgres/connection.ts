import { hostname } from 'node:os';
import pg from 'pg';
import type { Profile } from '../../config/profile.js';
import { resolveSecret, secretWord } from '../../config/secrets.js';
import type { Command } from '../../hosts/command.js';
import type { Gateway } from '../../hosts/gateway.js';
import { steadyNow, within } from '../../hosts/waiting.js';

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
  readonly #sslmode: string | undefined;

  constructor(settings: Profile['postgres']) {
    const url = new URL(settings.url);
    this.host = decodeURIComponent(url.searchParams.get('host') ?? url.hostname) || 'localhost';
    this.port = Number(url.port || 5432);
    this.user = decodeURIComponent(url.username) || 'postgres';
    this.database = decodeURIComponent(url.pathname.slice(1)) || this.user;
    this.#sslmode = url.searchParams.get('sslmode') ?? undefined;
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
      environment: { LC_ALL: 'C', ...(this.#sslmode ? { PGSSLMODE: this.#sslmode } : {}) },
      secretEnvironment: this.#password === undefined ? {} : { PGPASSWORD: this.#password },
      secretWords: this.#passwordWord === undefined ? {} : { PGPASSWORD: this.#passwordWord },
    };
  }

  /** Runs queries in one read-only connection. `snapshot`: all of them see one moment. `settings`: of the session. */
  async reading<T>(
    work: (reading: Reading) => Promise<T>,
    { database = this.database, snapshot = false, settings = {} }: ReadingOptions = {},
  ): Promise<T> {
    const all = { default_transaction_read_only: 'on', ...settings };
    const options = Object.entries(all).map(([name, value]) => `-c ${name}=${value}`);
    return this.#connected(database, options.join(' '), async (client) => {
      const reading: Reading = {
        query: async <R = Row>(sql: string, values: unknown[] = []) => (await client.query(sql, values)).rows as R[],
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
    const client = this.#client(database, { options, connectionTimeoutMillis: CONNECT_PATIENCE });
    const watch = this.#watch(database, SILENCE_PATIENCE);
    try {
      await client.connect();
      return await Promise.race([work(client), watch.silence]);
    } finally {
      watch.end();
      // A server that hangs does not take its leave.
      await within(CLOSE_PATIENCE, client.end()).catch(() => {});
    }
  }

  #client(database: string, more: pg.ClientConfig): pg.Client {
    const client = new pg.Client({
      host: this.host,
      port: this.port,
      user: this.user,
      database,
      password: this.#password ?? '',
      application_name: OWN_SESSIONS,
      ...more,
      ...tlsOf(this.#sslmode),
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
    const client = this.#client(database, { connectionTimeoutMillis: WATCH_PATIENCE, query_timeout: WATCH_PATIENCE });
    try {
      await client.connect();
      await client.query('SELECT 1');
      return true;
    } catch (error) {
      return sqlState(error) !== '';
    } finally {
      void client.end().catch(() => {});
    }
  }
}

function tlsOf(sslmode: string | undefined): { ssl?: { rejectUnauthorized: boolean } } {
  if (sslmode === undefined || ['disable', 'allow', 'prefer'].includes(sslmode)) return {};
  return { ssl: { rejectUnauthorized: sslmode !== 'require' } };
}

/** A name as SQL reads it: `"memory ""x"""`. */
export function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** SQLSTATE of an error of the server, else empty. https://www.postgresql.org/docs/current/errcodes-appendix.html */
export function sqlState(error: unknown): string {
  return typeof (error as { code?: unknown })?.code === 'string' ? (error as { code: string }).code : '';
}

export const DATABASE_MISSING = '3D000';

/** Whether an error says that what is stored is damaged: whatever was stored soundly never fails in these classes when it is read. */
export const isDamage = (error: unknown) => /^(XX|58|54|22)/.test(sqlState(error));
