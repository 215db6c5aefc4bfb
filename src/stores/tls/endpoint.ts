import net from 'node:net';
import { resolve } from 'node:path';
import type { ConnectionOptions } from 'node:tls';
import { Agent } from 'undici';
import type { TlsFiles } from '../../config/tls.js';
import { shellWord } from '../../hosts/command.js';
import { messageOf } from '../../words.js';
import { lookAtPlainRedis, lookAtTls } from './look.js';
import { type Pem, readPem } from './pem-files.js';
import {
  onlySpeaksTls,
  speaksNoTls,
  type TlsFault,
  type TlsTarget,
  tlsFaultOf,
  wantsCertificate,
} from './tls-fault.js';

const DEFAULT_PORTS: Record<string, number> = { 'http:': 80, 'https:': 443, 'redis:': 6379, 'rediss:': 6379 };

/** The connection broke, or what came was no answer: what a port says that speaks another language than it was asked in. */
const BROKEN_OFF =
  /ECONNRESET|EPIPE|closed|hang up|terminated|disconnected before secure TLS|does not match the HTTP|Parse Error|HTTPParser/i;
/** Ms that an idle connection is kept: shorter than any server or proxy does, so that no request goes into one that is being closed. */
const KEPT_OPEN = 1_000;
const NO_ANSWER = /ETIMEDOUT|timed? ?out/i;

/**
 * Where a store is that is reached by `http(s):` or `redis(s):`, and how TLS with it is: the server's certificate is always verified,
 * whatever the environment says. Files that cannot be used are a Problem.
 */
export class Endpoint {
  /** An IPv6 address without its brackets. */
  readonly host: string;
  readonly port: number;
  readonly isSecure: boolean;
  /** For curl: `--cacert FILE `, with a space at its end; empty where there is nothing to say. */
  readonly curlArguments: string;
  /** For redis-cli: ` --cacert FILE`, with a space before it. */
  readonly redisArguments: string;
  /** For fetch. A request after another takes its connection; it waits for no answer, that is the caller's to decide. */
  readonly dispatcher: Agent;
  readonly #pem: Pem;
  readonly #target: TlsTarget;
  readonly #isRedis: boolean;

  /** `title`: `Qdrant`. `store`: what the profile calls it. */
  constructor(settings: { url: string } & TlsFiles, title: string, store: string) {
    const { protocol, hostname, port } = new URL(settings.url);
    this.host = hostname.replace(/^\[|\]$/g, '');
    this.port = Number(port || DEFAULT_PORTS[protocol]);
    this.isSecure = protocol === 'https:' || protocol === 'rediss:';
    this.#isRedis = protocol.startsWith('redis');
    this.#pem = this.isSecure ? readPem(settings, title) : {};
    const scheme = this.#isRedis ? 'redis' : 'http';
    this.#target = {
      title,
      store,
      address: `${protocol}//${hostname}:${this.port}`,
      host: this.host,
      port: this.port,
      caFile: settings.caFile,
      showsCertificate: settings.certFile !== undefined,
      plain: `${scheme}://`,
      secure: `${scheme}s://`,
    };
    const files = { '--cacert': settings.caFile, '--cert': settings.certFile, '--key': settings.keyFile };
    const words = Object.entries(this.isSecure ? files : {}).flatMap(([option, file]) =>
      file === undefined ? [] : [option, shellWord(resolve(file))],
    );
    this.curlArguments = words.map((word) => `${word} `).join('');
    this.redisArguments = words.map((word) => ` ${word}`).join('');
    this.dispatcher = new Agent({
      ...(this.isSecure ? { connect: { ...this.#pem, rejectUnauthorized: true } } : {}),
      bodyTimeout: 0,
      headersTimeout: 0,
      keepAliveTimeout: KEPT_OPEN,
      keepAliveMaxTimeout: KEPT_OPEN,
    });
  }

  /** For `https.request`, `tls.connect` and ioredis; empty without TLS. */
  get tlsOptions(): ConnectionOptions {
    if (!this.isSecure) return {};
    // A server name is a name: an address as one is against RFC 6066, and Node would warn of it on the console.
    const name = net.isIP(this.host) ? {} : { servername: this.host };
    return { ...this.#pem, ...name, rejectUnauthorized: true };
  }

  /** The error of a connection to it, or the fault of TLS that it is; what is not plain from the error itself is looked at. */
  async explained(error: unknown): Promise<unknown> {
    return tlsFaultOf(error, this.#target) ?? (await this.#lookedAt(error)) ?? error;
  }

  /** The fault that a Redis without TLS answers there; undefined where none does. */
  async plainRedisInstead(): Promise<TlsFault | undefined> {
    return (await lookAtPlainRedis(this.host, this.port)) ? speaksNoTls(this.#target, '') : undefined;
  }

  async #lookedAt(error: unknown): Promise<TlsFault | undefined> {
    const words = wordsOf(error);
    const isBroken = BROKEN_OFF.test(words);
    if (!isBroken && !(this.isSecure && NO_ANSWER.test(words))) return undefined;
    const seen = await lookAtTls(this.host, this.port, this.#pem);
    if (seen.speaks === 'alert')
      return this.isSecure
        ? wantsCertificate(this.#target, seen.code)
        : onlySpeaksTls(this.#target, innermost(error));
    if (seen.speaks === 'tls') return this.isSecure ? undefined : onlySpeaksTls(this.#target, innermost(error));
    if (!this.isSecure) return undefined;
    if (seen.speaks === 'plain') return speaksNoTls(this.#target, '');
    return this.#isRedis ? this.plainRedisInstead() : undefined;
  }
}

function innermost(error: unknown): string {
  return error instanceof Error && error.cause instanceof Error ? innermost(error.cause) : messageOf(error);
}

function wordsOf(error: unknown): string {
  const said: string[] = [];
  for (let one: unknown = error; one instanceof Error; one = one.cause) said.push(`${one.name} ${messageOf(one)}`);
  return said.join(': ');
}
