import { createHash, randomBytes } from 'node:crypto';
import { open, rm } from 'node:fs/promises';
import http from 'node:http';
import https from 'node:https';
import { basename } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { keepOnDisk } from '../../hosts/durable.js';
import type { Gateway } from '../../hosts/gateway.js';
import { shortened } from '../../words.js';
import { HERE } from '../storage/here.js';
import type { Storage } from '../storage/storage.js';
import { tlsFaultIn } from '../tls/tls-fault.js';
import type { Qdrant } from './connection.js';

interface Transfer {
  /** Told how many bytes each piece brought. */
  onBytes?: (bytes: number) => void;
  signal?: AbortSignal;
}

/** Where the snapshots of a collection are, or those of one shard that this node has. */
export const snapshotsUrl = (
  qdrant: Qdrant,
  { collection, shard }: { collection: string; shard?: number },
  ...more: string[]
): URL =>
  qdrant.urlOf(
    'collections',
    collection,
    ...(shard === undefined ? [] : ['shards', `${shard}`]),
    'snapshots',
    ...more,
  );

/** A shard is given to each node that has it: none may then take it from another, which could have what was there before. */
const priorityOf = ({ shard }: { shard?: number }) => (shard === undefined ? 'snapshot' : 'no_sync');

/** The whole file was sent, but no answer of Qdrant's came: it goes on by itself, and nothing is known of how it ends. */
export class AnswerLost extends Error {
  override name = 'AnswerLost';
}

/** What proxies say when they wait no longer for the server behind them. */
const GIVEN_UP = new Set([408, 499, 502, 503, 504, 522, 524]);

/**
 * Uploads one snapshot file from where it lies: `POST /collections/{c}/snapshots/upload`, multipart field `snapshot`.
 * (`PUT` on that path answers 404 with an empty body.) Answers when the server has finished the recovery; a large one takes
 * longer than any client's usual time-out, so there is none; when the connection or a proxy breaks meanwhile, that is an
 * AnswerLost. The server refuses a file whose SHA-256 is not `sha256`, and it is given the end of none.
 * `uploadName` is what the file is called on the server's disk, where it stays.
 */
export function uploadSnapshot(
  gateway: Gateway,
  qdrant: Qdrant,
  upload: { collection: string; shard?: number; file: string; sha256: string; uploadName: string; storage?: Storage },
  transfer: Transfer = {},
): Promise<void> {
  const url = snapshotsUrl(qdrant, upload, 'upload');
  url.search = new URLSearchParams({
    priority: priorityOf(upload),
    wait: 'true',
    checksum: upload.sha256,
  }).toString();
  return gateway.change({ channel: 'http', text: uploadText(qdrant, upload) }, async () => {
    const boundary = `novamem-runbook-${randomBytes(12).toString('hex')}`;
    const head = Buffer.from(
      `--${boundary}\r\nContent-Disposition: form-data; name="snapshot"; filename="${upload.uploadName}"\r\n` +
        'Content-Type: application/octet-stream\r\n\r\n',
    );
    const tail = Buffer.from(`\r\n--${boundary}--\r\n`);
    const { storage = HERE, file } = upload;
    const seen = await storage.seen(file);
    if (!seen) throw new Error(`${file} is not there`);
    const request = requestTo(qdrant, 'POST', url, transfer.signal, {
      'content-type': `multipart/form-data; boundary=${boundary}`,
      'content-length': head.length + seen.bytes + tail.length,
    });
    const answered = answerOf(qdrant, request);
    let sent = false;
    request.write(head);
    const body = (async () => {
      const pieces = storage.read(file, { signal: transfer.signal });
      // A file of this machine was read and compared before.
      await sendPieces(storage.isHere ? pieces : proven(pieces, upload.sha256), request, transfer.onBytes);
      request.end(tail, () => {
        sent = true;
      });
    })();
    // A server that refuses early answers before it has read the body: its words are worth more than the broken pipe.
    body.catch((error: Error) => request.destroy(error));
    const what = `uploading ${basename(upload.file)} into ${upload.collection}`;
    const answer = await answered.catch((error: Error) => {
      if (transfer.signal?.aborted || tlsFaultIn(error)) throw error;
      throw new (sent ? AnswerLost : Error)(`${what}: ${wordsOfBreak(error)}`, { cause: error });
    });
    await body.catch(() => {});
    if (sent && GIVEN_UP.has(answer.status) && !isOfQdrant(answer.body))
      throw new AnswerLost(`${what}: HTTP ${answer.status}, and not from Qdrant`);
    if (answer.status !== 200) throw new Error(`${what}: HTTP ${answer.status} ${wordsOf(answer.body)}`);
  });
}

/** The pieces as they are; at their end it rejects where they were not what they should be. */
async function* proven(pieces: AsyncIterable<Buffer>, sha256: string): AsyncGenerator<Buffer> {
  const hash = createHash('sha256');
  for await (const piece of pieces) {
    hash.update(piece);
    yield piece;
  }
  const got = hash.digest('hex');
  if (got !== sha256)
    throw new Error(
      `its SHA-256 is ${got}, the manifest says ${sha256}; Qdrant was not given its end, and has changed nothing`,
    );
}

/** Gets one piece while the one before is sent. Rejects when the request breaks. */
async function sendPieces(
  pieces: AsyncIterable<Buffer>,
  request: http.ClientRequest,
  onBytes: Transfer['onBytes'],
): Promise<void> {
  let broken: Error | undefined;
  let onBroken = (_error: Error) => {};
  const breaks = (error: Error) => {
    broken ??= error;
    onBroken(broken);
  };
  request.once('error', breaks);
  request.once('close', () => breaks(new Error('the connection was closed')));
  let sending: Promise<void> | undefined;
  for await (const piece of pieces) {
    await sending;
    if (broken) throw broken;
    sending = new Promise((resolve, reject) => {
      onBroken = reject;
      request.write(piece, () => resolve());
    });
    // Another piece is got before it is looked at.
    sending.catch(() => {});
    onBytes?.(piece.length);
  }
  await sending;
}

/** The upload as a person would type it. */
export function uploadText(
  qdrant: Qdrant,
  {
    file,
    sha256,
    storage = HERE,
    ...of
  }: { collection: string; shard?: number; file: string; sha256: string; storage?: Storage },
): string {
  const url = snapshotsUrl(qdrant, of, 'upload');
  const [before, source] = storage.isHere
    ? ['', file]
    : [`${storage.readText(file)} | `, `-;filename=${basename(file)}`];
  return `${before}curl -fsS ${qdrant.curlArguments}-X POST '${url}?priority=${priorityOf(of)}&wait=true&checksum=${sha256}' -F 'snapshot=@${source}'`;
}

/** Downloads a snapshot into a new file, which is on disk then; answers its bytes and SHA-256, computed on the way. */
export async function downloadSnapshot(
  gateway: Gateway,
  qdrant: Qdrant,
  { snapshot, file, ...of }: { collection: string; shard?: number; snapshot: string; file: string },
  transfer: Transfer = {},
): Promise<{ bytes: number; sha256: string }> {
  const url = snapshotsUrl(qdrant, of, snapshot);
  return gateway.change(
    { channel: 'file', text: `curl -fsS ${qdrant.curlArguments}'${url}' -o '${file}'` },
    async () => {
      const request = requestTo(qdrant, 'GET', url, transfer.signal, {});
      request.end();
      const response = await responseOf(qdrant, request);
      if (response.statusCode !== 200)
        throw new Error(`downloading ${snapshot}: HTTP ${response.statusCode} ${wordsOf(await textOf(response))}`);
      const hash = createHash('sha256');
      let bytes = 0;
      const seen = counting((count) => {
        bytes += count;
        transfer.onBytes?.(count);
      }, hash);
      // Opened first: a file that is there already is refused, and must not be taken away.
      const target = await open(file, 'wx', 0o600);
      try {
        await pipeline(response, seen, target.createWriteStream());
        const announced = Number(response.headers['content-length'] ?? bytes);
        if (announced !== bytes) throw new Error(`${announced} bytes were announced, ${bytes} came`);
        await keepOnDisk(file);
      } catch (error) {
        await rm(file, { force: true });
        if (transfer.signal?.aborted) throw error;
        throw new Error(`downloading ${snapshot}: ${wordsOfBreak(error as Error)}`, { cause: error });
      }
      return { bytes, sha256: hash.digest('hex') };
    },
  );
}

/** Node calls an answer that ends too early "aborted", which nobody did. */
const wordsOfBreak = ({ message }: Error) => (message === 'aborted' ? 'the answer broke off' : message);

function counting(
  onBytes: ((bytes: number) => void) | undefined,
  hash?: { update(chunk: Buffer): unknown },
): Transform {
  return new Transform({
    highWaterMark: 1 << 20,
    transform(chunk: Buffer, _encoding, done) {
      hash?.update(chunk);
      onBytes?.(chunk.length);
      done(null, chunk);
    },
  });
}

function requestTo(
  qdrant: Qdrant,
  method: string,
  url: URL,
  signal: AbortSignal | undefined,
  headers: http.OutgoingHttpHeaders,
): http.ClientRequest {
  const options = {
    method,
    signal,
    agent: false as const,
    ...qdrant.endpoint.tlsOptions,
    headers: { ...headers, ...(qdrant.apiKey === undefined ? {} : { 'api-key': qdrant.apiKey }) },
  };
  return (qdrant.endpoint.isSecure ? https : http).request(url, options);
}

function responseOf({ endpoint }: Qdrant, request: http.ClientRequest): Promise<http.IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.once('response', resolve);
    request.on('error', (error) => void endpoint.explained(error).then(reject));
  });
}

async function answerOf(qdrant: Qdrant, request: http.ClientRequest): Promise<{ status: number; body: string }> {
  const response = await responseOf(qdrant, request);
  return { status: response.statusCode ?? 0, body: await textOf(response) };
}

async function textOf(response: http.IncomingMessage): Promise<string> {
  const LONGEST = 64 * 1024;
  let text = '';
  for await (const chunk of response) if (text.length < LONGEST) text += (chunk as Buffer).toString('utf8');
  return text;
}

function isOfQdrant(body: string): boolean {
  try {
    return (JSON.parse(body) as { status?: unknown }).status !== undefined;
  } catch {
    return false;
  }
}

function wordsOf(body: string): string {
  try {
    return shortened((JSON.parse(body) as { status?: { error?: string } }).status?.error ?? body);
  } catch {
    return shortened(body);
  }
}
