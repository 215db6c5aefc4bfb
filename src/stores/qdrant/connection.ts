import { QdrantClient } from '@qdrant/js-client-rest';
import { request } from 'undici';
import type { Profile } from '../../config/profile.js';
import { redact } from '../../config/redact.js';
import { resolveSecret, secretWord } from '../../config/secrets.js';
import type { Gateway } from '../../hosts/gateway.js';
import { messageOf, shortened } from '../../words.js';
import { Endpoint } from '../tls/endpoint.js';
import { tlsFaultIn } from '../tls/tls-fault.js';

const READ_PATIENCE = 30_000;
/** A snapshot of a large collection is answered when it is made. */
const WRITE_PATIENCE = 3_600_000;

interface Answer {
  status: number;
  text: string;
  /** What the server's clock said. */
  date: string | null;
}

/** One Qdrant server of a profile. Requests that write go through the gateway. */
export class Qdrant {
  readonly url: URL;
  readonly prefix: string;
  readonly endpoint: Endpoint;
  readonly apiKey: string | undefined;
  /** What curl needs to get in, with a space at its end: the files of TLS, and the key without its value. */
  readonly curlArguments: string;
  readonly #patient: QdrantClient;
  /** For requests that only read. */
  readonly client: QdrantClient;

  constructor(settings: Profile['qdrant']) {
    this.url = new URL(settings.url);
    this.prefix = settings.collectionPrefix;
    this.apiKey = settings.apiKeyFrom ? resolveSecret(settings.apiKeyFrom, 'the Qdrant API key') : undefined;
    this.endpoint = new Endpoint(settings, 'Qdrant', 'qdrant');
    const key = settings.apiKeyFrom ? `-H "api-key: ${secretWord(settings.apiKeyFrom)}" ` : '';
    this.curlArguments = this.endpoint.curlArguments + key;
    this.client = this.#connect(READ_PATIENCE);
    this.#patient = this.#connect(WRITE_PATIENCE);
  }

  get address(): string {
    return this.url.origin + this.url.pathname.replace(/\/$/, '');
  }

  /** The URL of a path below the server, every part of it encoded. */
  urlOf(...parts: string[]): URL {
    return new URL(`${this.address}/${parts.map(encodeURIComponent).join('/')}`);
  }

  /** One writing request through the vendor's client. `path` is what a person would send, for the record. */
  write<T>(gateway: Gateway, method: string, path: string, change: (client: QdrantClient) => Promise<T>): Promise<T> {
    return gateway.change(
      { channel: 'http', text: `curl -fsS ${this.curlArguments}-X ${method} '${this.address}${path}'` },
      () =>
        change(this.#patient).catch((error: unknown) => {
          throw new Error(`${method} ${path} failed: ${qdrantMessage(error)}`, { cause: error });
        }),
    );
  }

  /** `GET` of a path that the vendor's client does not know. Rejects when nothing answers, with the socket's own reason. */
  get(path: string): Promise<Answer> {
    return this.#ask('GET', path);
  }

  /**
   * What the server answers to something that only reads, under `path` of a collection, for half of what the vendor's client takes;
   * that one is asked itself, `byClient`, where the server refuses: it has the words for it. Rejects as `get` does.
   */
  async ask<T>(collection: string, path: string, body: object | undefined, byClient: () => Promise<T>): Promise<T> {
    const whole = `/collections/${encodeURIComponent(collection)}${path}`;
    const { status, text } = await (body ? this.#ask('POST', whole, JSON.stringify(body)) : this.#ask('GET', whole));
    return status === 200 ? (JSON.parse(text) as { result: T }).result : byClient();
  }

  async #ask(method: 'GET' | 'POST', path: string, body?: string): Promise<Answer> {
    const headers = { ...this.#headers, ...(body === undefined ? {} : { 'content-type': 'application/json' }) };
    try {
      const { dispatcher } = this.endpoint;
      const signal = AbortSignal.timeout(READ_PATIENCE);
      // Half of what fetch costs.
      const answer = await request(this.address + path, {
        method,
        headers,
        signal,
        body: body ?? null,
        dispatcher,
      });
      const { date } = answer.headers;
      return {
        status: answer.statusCode,
        text: await answer.body.text(),
        date: typeof date === 'string' ? date : null,
      };
    } catch (caught) {
      const error = await this.endpoint.explained(caught);
      if (tlsFaultIn(error)) throw error;
      throw new Error(
        `${method} ${this.address}${path}: ${messageOf((error as { cause?: unknown }).cause ?? error)}`,
      );
    }
  }

  #connect(timeout: number): QdrantClient {
    const path = this.url.pathname.replace(/^\/|\/$/g, '');
    const client = new QdrantClient({
      host: this.url.hostname,
      port: this.endpoint.port,
      https: this.endpoint.isSecure,
      ...(path ? { prefix: path } : {}),
      // The key as a header of our own: the client's own option warns on the console when the URL is not https.
      headers: this.#headers,
      timeout,
      // The server's version is asked and told by us; a warning on the console would tear the screen.
      checkCompatibility: false,
    });
    return wordy(over(client, this.endpoint), this.address, this.endpoint);
  }

  get #headers(): Record<string, string> {
    return {
      ...(this.apiKey === undefined ? {} : { 'api-key': this.apiKey }),
      // Packed by the server and unpacked here, reading every point takes longer and more memory than the network saves.
      'accept-encoding': 'identity',
    };
  }
}

/** The client has no setting for certificates and connections, but each of its requests takes what fetch does. */
function over(client: QdrantClient, { dispatcher }: Endpoint): QdrantClient {
  const api = client.api() as unknown as Record<string, (payload: object, init?: object) => unknown>;
  for (const [name, call] of Object.entries(api))
    api[name] = (payload, init) => call(payload, { ...init, dispatcher });
  return client;
}

/** All that fetch says itself of a connection; its cause says more. */
const NO_WORDS = 'fetch failed';

/** The same client, whose errors say more than "Service Unavailable": whom it asked for what, and the server's own words. */
function wordy(client: QdrantClient, address: string, endpoint: Endpoint): QdrantClient {
  const explain = (method: string) => async (error: unknown) => {
    const isAnswer = (error as { status?: number }).status !== undefined || error instanceof SyntaxError;
    const explained = isAnswer ? error : await endpoint.explained(error);
    const hasWords = isAnswer || (explained as Error).message === NO_WORDS;
    if (hasWords && !tlsFaultIn(explained))
      (explained as Error).message = `Qdrant at ${address} (${method}): ${qdrantMessage(explained)}`;
    throw explained;
  };
  return new Proxy(client, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      return (...args: unknown[]) => {
        const answer: unknown = value.apply(target, args);
        return answer instanceof Promise ? answer.catch(explain(String(name))) : answer;
      };
    },
  });
}

/**
 * Whether the server itself said that it cannot do what it was asked (HTTP 500), as of a collection that a failed recovery left. No
 * answer, and one of something before it, says nothing of what is there.
 */
export function saysItIsBroken(error: unknown): boolean {
  const { status, cause } = error as { status?: number; cause?: unknown };
  return status === 500 || (cause !== undefined && cause !== null && saysItIsBroken(cause));
}

/** What a Qdrant error says: the server's own words where it gave some. */
export function qdrantMessage(error: unknown): string {
  const { data, status, statusText, cause } = error as {
    data?: { status?: { error?: string } };
    status?: number;
    statusText?: string;
    cause?: unknown;
  };
  const fault = tlsFaultIn(error);
  if (fault) return redact(fault.message);
  const words = data?.status?.error ?? (typeof data === 'string' ? data : undefined) ?? statusText;
  if (status !== undefined) return redact(`HTTP ${status}${words ? `: ${shortened(words)}` : ''}`);
  const own = messageOf(error);
  // Whoever says more than that it is Qdrant at that address says it themselves.
  if (cause && own.startsWith('Qdrant at ')) return redact(messageOf(cause));
  return redact(cause ? `${own}: ${messageOf(cause)}` : own);
}
