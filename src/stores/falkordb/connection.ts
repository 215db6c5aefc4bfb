import { Redis } from 'ioredis';
import type { Profile } from '../../config/profile.js';
import { resolveSecret, secretWord } from '../../config/secrets.js';
import { shellWord } from '../../hosts/command.js';
import type { Gateway } from '../../hosts/gateway.js';
import { waitFor } from '../../hosts/waiting.js';
import { messageOf } from '../../words.js';
import { Endpoint } from '../tls/endpoint.js';
import { tlsFaultIn } from '../tls/tls-fault.js';
import { type CypherValue, type TypedValue, withRows } from './cypher.js';
import { fullSync } from './full-sync.js';

const CONNECT_PATIENCE = 5_000;
const HANDSHAKE_PATIENCE = 500;
const COMMAND_PATIENCE = 60_000;
/** For what drops a whole graph. */
const GRAPH_PATIENCE = 3_600_000;
const LIST_PATIENCE = 10_000;

/** Commands that change nothing. GRAPH.QUERY is not one: on a missing graph it answers 0 and makes it. */
const READING = new Set(['INFO', 'GRAPH.LIST', 'GRAPH.RO_QUERY', 'CONFIG GET', 'MODULE LIST', 'TIME']);

/** One FalkorDB server of a profile: a Redis or Valkey server with the graph module. */
export class FalkorDB {
  readonly address: string;
  readonly graph: string;
  /** The command-line client with what it needs to get in, without the password's value. */
  readonly clientCommand: string;
  readonly #endpoint: Endpoint;
  readonly #user: string | undefined;
  readonly #password: string | undefined;

  constructor(settings: Profile['falkordb']) {
    const url = new URL(settings.url);
    this.#endpoint = new Endpoint(settings, 'FalkorDB', 'falkordb');
    this.#user = url.username ? decodeURIComponent(url.username) : undefined;
    this.graph = settings.graph;
    // By the environment: an argument can be read by everybody on the machine.
    const password = settings.passwordFrom ? `REDISCLI_AUTH="${secretWord(settings.passwordFrom)}" ` : '';
    const user = this.#user === undefined ? '' : ` --user ${shellWord(this.#user)}`;
    this.address = `${url.protocol}//${url.hostname}:${this.#endpoint.port}`;
    const tls = this.#endpoint.isSecure ? ` --tls${this.#endpoint.redisArguments}` : '';
    this.clientCommand = `${password}redis-cli -u ${this.address}${tls}${user}`;
    this.#password = settings.passwordFrom
      ? resolveSecret(settings.passwordFrom, 'the FalkorDB password')
      : undefined;
  }

  /** One command that only reads; anything else is a defect and throws. */
  async read(command: string, ...args: string[]): Promise<unknown> {
    const name =
      command.toUpperCase() === 'CONFIG' || command.toUpperCase() === 'MODULE' ? `${command} ${args[0]}` : command;
    if (!READING.has(name.toUpperCase())) throw new Error(`${name} is not a command that only reads`);
    return this.#connected((redis) => redis.call(command, ...args));
  }

  /** One command that writes. */
  write(gateway: Gateway, command: string, ...args: string[]): Promise<unknown> {
    return gateway.change({ channel: 'redis', text: [command, ...args].join(' ') }, () =>
      this.#connected((redis) => redis.call(command, ...args)),
    );
  }

  /**
   * A Cypher query that writes: it makes the graph when that is absent. `rows` are its parameter `$rows`; in the record stands
   * only how many there were. Answers the rows of its result.
   */
  async change(
    gateway: Gateway,
    graph: string,
    cypher: string,
    rows: readonly Record<string, CypherValue>[] = [],
  ): Promise<unknown[][]> {
    const with_ = rows.length === 0 ? '' : withRows(rows);
    const told = rows.length === 0 ? '' : ` (${rows.length} rows)`;
    const answer = (await gateway.change(
      { channel: 'redis', text: `GRAPH.QUERY ${graph} ${shellWord(cypher)}${told}` },
      () => this.#connected((redis) => redis.call('GRAPH.QUERY', graph, with_ + cypher)),
    )) as unknown[][][];
    // Without a RETURN there is nothing but statistics.
    return answer.length > 1 ? (answer[1] as unknown[][]) : [];
  }

  /**
   * Moves a whole graph to a name that no key has yet. Never copied instead: a graph that was copied to a name which a removed one
   * had before makes the server crash when it replays its append-only file.
   */
  async renameGraph(gateway: Gateway, from: string, to: string): Promise<void> {
    const moved = await this.write(gateway, 'RENAMENX', from, to);
    if (Number(moved) !== 1) throw new Error(`${from} cannot be moved to ${to}: that name is taken`);
  }

  /** Removes a whole graph; the server's list may name it a moment longer, and that is waited for. */
  async deleteGraph(gateway: Gateway, graph: string): Promise<void> {
    const text = `GRAPH.DELETE ${graph}`;
    await gateway.change({ channel: 'redis', text }, () =>
      this.#connected((redis) => redis.call('GRAPH.DELETE', graph), GRAPH_PATIENCE),
    );
    await waitFor(async () => ((await this.graphs()).includes(graph) ? undefined : true), {
      timeoutMs: LIST_PATIENCE,
    });
  }

  /** Writes what the server holds in memory into an RDB file of this machine, without a file of the server. Answers the bytes. */
  saveMemory(
    gateway: Gateway,
    file: string,
    more: { signal?: AbortSignal; onBytes?: (bytes: number) => void } = {},
  ): Promise<number> {
    const { host, port, isSecure, tlsOptions } = this.#endpoint;
    const from = {
      host,
      port,
      ...(isSecure ? { tls: tlsOptions } : {}),
      ...(this.#user === undefined ? {} : { user: this.#user }),
      ...(this.#password === undefined ? {} : { password: this.#password }),
    };
    const text = `${this.clientCommand} --rdb ${shellWord(file)}`;
    return gateway.change({ channel: 'redis', text }, () =>
      fullSync(from, file, more).catch(async (error: unknown) => {
        throw await this.#endpoint.explained(error);
      }),
    );
  }

  /** A Cypher query that writes. Answers its statistics (`Nodes deleted` → 3). `said` stands in the record where the query is long. */
  async changeCounting(gateway: Gateway, cypher: string, said = cypher): Promise<Record<string, number>> {
    const answer = (await gateway.change({ channel: 'redis', text: `GRAPH.QUERY ${this.graph} ${said}` }, () =>
      this.#connected((redis) => redis.call('GRAPH.QUERY', this.graph, cypher)),
    )) as unknown[];
    const lines = answer.at(-1) as string[];
    return Object.fromEntries(
      lines.map((line) => line.split(': ')).map(([name, value]) => [name!, Number.parseFloat(value!)]),
    );
  }

  /** A Cypher query that cannot write and never makes the graph; rows of plain values. Rejects when the graph is absent. */
  async query(graph: string, cypher: string): Promise<unknown[][]> {
    const answer = (await this.read('GRAPH.RO_QUERY', graph, cypher)) as [unknown, unknown[][], unknown];
    return answer[1];
  }

  /** The same, with values that carry their types: what `cypherOf` reads. */
  async typedQuery(graph: string, cypher: string): Promise<TypedValue[][]> {
    const answer = (await this.read('GRAPH.RO_QUERY', graph, cypher, '--compact')) as [
      unknown,
      TypedValue[][],
      unknown,
    ];
    return answer[1];
  }

  async graphs(): Promise<string[]> {
    return ((await this.read('GRAPH.LIST')) as string[]).sort();
  }

  /** Settings of the server, as `CONFIG GET` answers them. */
  async config<Name extends string>(...names: Name[]): Promise<Record<Name, string>> {
    const flat = (await this.read('CONFIG', 'GET', ...names)) as string[] | Record<string, string>;
    if (!Array.isArray(flat)) return flat as Record<Name, string>;
    const pairs = Array.from({ length: flat.length / 2 }, (_, index) => [flat[index * 2], flat[index * 2 + 1]]);
    return Object.fromEntries(pairs) as Record<Name, string>;
  }

  /** `field:value` lines of one INFO section. */
  async info(section: string): Promise<Record<string, string>> {
    const text = (await this.read('INFO', section)) as string;
    const lines = text.split(/\r?\n/).filter((line) => line.includes(':'));
    return Object.fromEntries(
      lines.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]),
    );
  }

  /** Tells the server to end without saving: SIGTERM and a plain SHUTDOWN would write over the files on disk. */
  shutdownWithoutSaving(gateway: Gateway): Promise<void> {
    return gateway.change({ channel: 'redis', text: 'SHUTDOWN NOSAVE' }, () =>
      this.#connected((redis) => redis.call('SHUTDOWN', 'NOSAVE')).then(
        () => {},
        (error: unknown) => {
          // The server ends without an answer: a connection that closes is the answer.
          if (!/closed|ECONNRESET|EPIPE|ended/i.test(messageOf(error))) throw error;
        },
      ),
    );
  }

  /** A Redis without TLS says nothing to a handshake, so that a long one is a reason to look. */
  async #connect(redis: Redis): Promise<void> {
    if (!this.#endpoint.isSecure) return redis.connect();
    let timer: NodeJS.Timeout | undefined;
    const plain = new Promise<never>((_, reject) => {
      const look = () => this.#endpoint.plainRedisInstead().then((fault) => fault && reject(fault));
      timer = setTimeout(look, HANDSHAKE_PATIENCE);
    });
    try {
      await Promise.race([redis.connect(), plain]);
    } finally {
      clearTimeout(timer);
    }
  }

  async #connected<T>(work: (redis: Redis) => Promise<T>, patienceMs = COMMAND_PATIENCE): Promise<T> {
    const redis = new Redis({
      host: this.#endpoint.host,
      port: this.#endpoint.port,
      ...(this.#user === undefined ? {} : { username: this.#user }),
      ...(this.#password === undefined ? {} : { password: this.#password }),
      ...(this.#endpoint.isSecure ? { tls: this.#endpoint.tlsOptions } : {}),
      lazyConnect: true,
      connectTimeout: CONNECT_PATIENCE,
      commandTimeout: patienceMs,
      retryStrategy: () => null,
      maxRetriesPerRequest: 0,
      enableReadyCheck: false,
    });
    let refusal: unknown;
    let isHeard = false;
    redis.on('error', (error: unknown) => {
      refusal = error;
    });
    // A server without room for one more says so before it was asked anything: the client has no command that this answers.
    redis.once('connect', () =>
      redis.stream.once('data', (first: Buffer) => {
        isHeard = true;
        if (first.toString('latin1', 0, 1) === '-') refusal ??= new Error(first.toString('utf8', 1).split('\r\n')[0]);
      }),
    );
    let connected = false;
    try {
      await this.#connect(redis);
      connected = true;
      return await work(redis);
    } catch (error) {
      // The client says "Connection is closed."; the socket said why.
      const cause = refusal !== undefined && /closed/i.test(messageOf(error)) ? refusal : error;
      const explained = isHeard ? cause : await this.#endpoint.explained(cause);
      if (tlsFaultIn(explained)) throw explained;
      if (/^Command timed out/.test(messageOf(error)))
        throw new Error(`FalkorDB at ${this.address} did not answer within ${COMMAND_PATIENCE / 1000} s`);
      if (connected && /closed|ECONNRESET|EPIPE/i.test(messageOf(error)))
        throw new Error(
          `FalkorDB at ${this.address} closed the connection before it had answered${refusal === undefined ? '' : ` (${messageOf(refusal)})`}: what it was asked may be done or not`,
          { cause: error },
        );
      throw cause;
    } finally {
      redis.disconnect();
    }
  }
}
