import type { Readable } from 'node:stream';
import type { GetObjectCommandOutput } from '@aws-sdk/client-s3';
import type { S3Settings } from '../../../config/s3.js';
import { sleep } from '../../../hosts/waiting.js';
import { messageOf } from '../../../words.js';
import type { Reading } from '../storage.js';
import { openS3, type S3 } from './s3-client.js';
import { BrokenOff, brokenAfter, isPassing, S3Fault, s3Fault } from './s3-fault.js';
import { locate } from './s3-url.js';

/** So many breaks without one byte between them, and it is given up. */
const MOST_TRIES = 5;
const PAUSE_MS = 200;
/** How long not one byte may come before the connection is taken for dead. */
const SILENT_MS = 30_000;

/**
 * The bytes of an object, or of a stretch of it. What breaks goes on at the byte where it broke, as long as the object is the
 * same (its ETag): one that was written anew meanwhile ends it.
 */
export async function* readObject(
  settings: S3Settings,
  file: string,
  { from = 0, to, signal }: Reading,
): AsyncGenerator<Buffer> {
  const { bucket, key } = locate(file);
  const tried = { what: `read ${file}`, bucket, right: 's3:GetObject' };
  let at = from;
  let version: string | undefined;
  let end = to;
  let tries = 0;
  while (end === undefined || at <= end) {
    try {
      const s3 = await openS3(settings);
      const answer = await get(s3, { bucket, key, from: at, to: end, version }, signal);
      if (version !== undefined && answer.ETag !== version) throw changed(file);
      version = answer.ETag;
      end ??= lastByte(answer, at);
      for await (const piece of alive(answer.Body as Readable, signal)) {
        at += piece.length;
        tries = 0;
        yield piece;
      }
      if (at <= end) throw new BrokenOff('the answer ended early');
    } catch (error) {
      signal?.throwIfAborted();
      tries += 1;
      if (!isPassing(error)) throw s3Fault(error, tried, settings);
      if (tries >= MOST_TRIES)
        throw s3Fault(at > from ? brokenAfter(at - from, tries, messageOf(error)) : error, tried, settings);
      await sleep(PAUSE_MS * 2 ** tries, signal);
    }
  }
}

interface Stretch {
  bucket: string;
  key: string;
  from: number;
  to: number | undefined;
  version: string | undefined;
}

function get(
  { client, sdk }: S3,
  { bucket, key, from, to, version }: Stretch,
  signal: AbortSignal | undefined,
): Promise<GetObjectCommandOutput> {
  const isWhole = from === 0 && to === undefined;
  return client.send(
    new sdk.GetObjectCommand({
      Bucket: bucket,
      Key: key,
      ...(isWhole ? {} : { Range: `bytes=${from}-${to ?? ''}` }),
      ...(version === undefined ? {} : { IfMatch: version }),
    }),
    signal ? { abortSignal: signal } : {},
  );
}

const changed = (file: string) =>
  new S3Fault(
    'changed',
    `${file} became another one while it was read.`,
    'wait until nobody writes there any more, then try again',
  );

/** The number of the last byte that this answer brings. */
function lastByte({ ContentRange, ContentLength = 0 }: GetObjectCommandOutput, from: number): number {
  const told = /^bytes \d+-(\d+)\//.exec(ContentRange ?? '')?.[1];
  return told === undefined ? from + ContentLength - 1 : Number(told);
}

/** A body that is silent for too long is ended: a dead connection says nothing, for ever. */
async function* alive(body: Readable, signal: AbortSignal | undefined): AsyncGenerator<Buffer> {
  let timer: NodeJS.Timeout | undefined;
  const watch = () => {
    clearTimeout(timer);
    timer = setTimeout(() => body.destroy(new BrokenOff(`nothing came for ${SILENT_MS / 1000} s`)), SILENT_MS);
  };
  const stop = () => body.destroy(signal!.reason as Error);
  signal?.addEventListener('abort', stop, { once: true });
  try {
    watch();
    for await (const piece of body) {
      clearTimeout(timer);
      yield piece as Buffer;
      watch();
    }
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', stop);
    body.destroy();
  }
}
