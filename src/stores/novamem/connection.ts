import type { Profile } from '../../config/profile.js';
import { resolveSecret, secretWord } from '../../config/secrets.js';
import { messageOf, shortened } from '../../words.js';
import { Endpoint } from '../tls/endpoint.js';
import { tlsFaultIn } from '../tls/tls-fault.js';

const PATIENCE = 10_000;

/** An answer of the service: its status, and its body where that is JSON. */
export interface Answer {
  status: number;
  body: unknown;
}

/** The novamem service of a profile. Nothing in this program writes memories. */
export class Novamem {
  readonly address: string;
  /** What curl needs of TLS: `--cacert FILE `, or empty. */
  readonly tlsArguments: string;
  /** The same, and the token as a person can paste it: `-H "Authorization: Bearer $TOKEN" `. */
  readonly curlArguments: string;
  readonly #token: string | undefined;
  readonly #endpoint: Endpoint;

  constructor(settings: NonNullable<Profile['novamem']>) {
    this.address = settings.url.replace(/\/$/, '');
    this.#token = settings.tokenFrom ? resolveSecret(settings.tokenFrom, 'the novamem token') : undefined;
    this.#endpoint = new Endpoint(settings, 'novamem', 'novamem');
    this.tlsArguments = this.#endpoint.curlArguments;
    const token = settings.tokenFrom ? `-H "Authorization: Bearer ${secretWord(settings.tokenFrom)}" ` : '';
    this.curlArguments = this.tlsArguments + token;
  }

  /** `GET` of a path. Rejects when nothing answers, with the socket's own reason. */
  get(path: string): Promise<Answer> {
    return this.#ask('GET', path);
  }

  /** `POST` of a question: for paths that change no memory. */
  ask(path: string, question: unknown): Promise<Answer> {
    return this.#ask('POST', path, question);
  }

  /** Which methods a path takes, as `OPTIONS` tells: its status, and the `Allow` of the answer (empty where there is none). */
  async options(path: string): Promise<{ status: number; allow: string }> {
    const response = await this.#send('OPTIONS', path);
    return { status: response.status, allow: response.headers.get('allow') ?? '' };
  }

  async #ask(method: 'GET' | 'POST', path: string, question?: unknown): Promise<Answer> {
    const response = await this.#send(method, path, question);
    const text = await response.text();
    try {
      return { status: response.status, body: JSON.parse(text) };
    } catch {
      return { status: response.status, body: text.slice(0, 500) };
    }
  }

  async #send(method: 'GET' | 'POST' | 'OPTIONS', path: string, question?: unknown): Promise<Response> {
    const headers = {
      ...(this.#token === undefined ? {} : { authorization: `Bearer ${this.#token}` }),
      ...(question === undefined ? {} : { 'content-type': 'application/json' }),
    };
    const { dispatcher } = this.#endpoint;
    try {
      return await fetch(this.address + path, {
        method,
        headers,
        dispatcher,
        ...(question === undefined ? {} : { body: JSON.stringify(question) }),
        signal: AbortSignal.timeout(PATIENCE),
      });
    } catch (caught) {
      const error = await this.#endpoint.explained(caught);
      if (tlsFaultIn(error)) throw error;
      const cause = (error as { cause?: unknown }).cause;
      throw new Error(`${method} ${this.address}${path}: ${messageOf(cause ?? error)}`);
    }
  }
}

/** An answer as it is shown: `HTTP 503 {"ok":false}`. */
export function answerText({ status, body }: Answer): string {
  return `HTTP ${status} ${shortened(typeof body === 'string' ? body : JSON.stringify(body))}`;
}
