import type http from 'node:http';
import { basename } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Gateway } from '../../hosts/gateway.js';
import { tlsFaultIn } from '../tls/tls-fault.js';
import type { Qdrant } from './connection.js';
import { answerOf, requestTo, wordsOf, wordsOfBreak } from './http.js';

// Making a collection, or one shard of it, what a snapshot holds.

/** What is recovered: a whole collection of a Qdrant that is alone, or one shard. */
export interface Recovered {
  collection: string;
  shard?: number;
}

/** A snapshot on the server's own disk. */
export interface SnapshotFile extends Recovered {
  /** As the server names it. */
  file: string;
  sha256: string;
}

/** Where the snapshots of a collection are, or those of one shard that this node has. */
export const snapshotsUrl = (qdrant: Qdrant, { collection, shard }: Recovered, ...more: string[]): URL =>
  qdrant.urlOf(
    'collections',
    collection,
    ...(shard === undefined ? [] : ['shards', `${shard}`]),
    'snapshots',
    ...more,
  );

/** A shard is given to each node that has it: none may then take it from another, which could have what was there before. */
export const priorityOf = ({ shard }: Recovered) => (shard === undefined ? 'snapshot' : 'no_sync');

/** Everything was sent, but no answer of Qdrant's came: it goes on by itself, and nothing is known of how it ends. */
export class AnswerLost extends Error {
  override name = 'AnswerLost';
}

/** The server has refused a snapshot before it touched anything. */
export class Refused extends Error {
  override name = 'Refused';
}

const NOT_KNOWN = 501;
/** What proxies say when they wait no longer for the server behind them. */
const GIVEN_UP = new Set([408, 499, 502, 503, 504, 522, 524]);

/**
 * Resolves when the server says that it has recovered. Rejects with an AnswerLost where everything was sent (`isSent`) and the
 * connection, or a proxy, broke before it said anything, with a Refused where it does not take the request (HTTP 4xx, 501) or may not
 * read the file.
 */
export async function recovered(
  qdrant: Qdrant,
  request: http.ClientRequest,
  {
    what,
    isSent,
    signal,
    isRefusal = () => false,
  }: {
    what: string;
    isSent: () => boolean;
    signal?: AbortSignal | undefined;
    isRefusal?: (words: string) => boolean;
  },
): Promise<void> {
  const { status, body } = await answerOf(qdrant, request).catch((error: Error) => {
    if (signal?.aborted || tlsFaultIn(error)) throw error;
    throw new (isSent() ? AnswerLost : Error)(`${what}: ${wordsOfBreak(error)}`, { cause: error });
  });
  if (isSent() && GIVEN_UP.has(status) && !isOfQdrant(body))
    throw new AnswerLost(`${what}: HTTP ${status}, and not from Qdrant`);
  if (status === 200) return;
  const isRefused = (status >= 400 && status < 500) || status === NOT_KNOWN || isRefusal(body);
  throw new (isRefused ? Refused : Error)(`${what}: HTTP ${status} ${wordsOf(body)}`);
}

/**
 * Has the server read a snapshot from its own disk: `PUT /collections/{c}/snapshots/recover`, which answers when it has recovered.
 * It refuses a file that it does not find or may not read, or whose SHA-256 is another, before it touches anything (a Refused). The
 * file stays as it is.
 */
export function recoverFromFile(
  gateway: Gateway,
  qdrant: Qdrant,
  recovery: SnapshotFile,
  signal?: AbortSignal,
): Promise<void> {
  return gateway.change({ channel: 'http', text: recoverText(qdrant, recovery) }, async () => {
    const body = bodyOf(recovery);
    const request = requestTo(qdrant, 'PUT', recoverUrl(qdrant, recovery), signal, {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
    });
    let sent = false;
    request.end(body, () => {
      sent = true;
    });
    const what = `recovering ${recovery.collection} from ${recovery.file}`;
    // Said with HTTP 500, as what happens while it recovers is.
    const isRefusal = (words: string) => words.includes(basename(recovery.file)) && /Permission denied/.test(words);
    await recovered(qdrant, request, { what, isSent: () => sent, signal, isRefusal });
  });
}

/** The same as a person would type it. */
export const recoverText = (qdrant: Qdrant, recovery: SnapshotFile): string =>
  `curl -fsS ${qdrant.curlArguments}-X PUT '${recoverUrl(qdrant, recovery)}' -H 'content-type: application/json' -d '${bodyOf(recovery).replaceAll("'", "'\\''")}'`;

function recoverUrl(qdrant: Qdrant, of: Recovered): URL {
  const url = snapshotsUrl(qdrant, of, 'recover');
  url.search = 'wait=true';
  return url;
}

const bodyOf = ({ file, sha256, ...of }: SnapshotFile): string =>
  JSON.stringify({
    location: pathToFileURL(file).href,
    priority: priorityOf(of),
    checksum: sha256,
  });

function isOfQdrant(body: string): boolean {
  try {
    return (JSON.parse(body) as { status?: unknown }).status !== undefined;
  } catch {
    return false;
  }
}
