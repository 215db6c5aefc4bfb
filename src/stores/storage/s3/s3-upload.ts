import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import type { CompletedPart } from '@aws-sdk/client-s3';
import type { Sent, Transfer } from '../storage.js';
import type { S3 } from './s3-client.js';
import { locate } from './s3-url.js';

const MIB = 1 << 20;
/** Up to this size a file goes in one request, a larger one in parts of it. */
const PART_BYTES = 16 * MIB;
/** More parts than this no store takes; the parts of a huge file are larger instead. */
const MOST_PARTS = 10_000;
const PARTS_AT_ONCE = 3;

/** Sends a file of this machine. */
export async function uploadFile(s3: S3, from: string, file: string, transfer: Transfer): Promise<Sent> {
  const source = await open(from);
  try {
    const { size } = await source.stat();
    const most = Math.max(PART_BYTES, Math.ceil(size / MOST_PARTS));
    const parts = async function* () {
      for (let at = 0; at < size || at === 0; at += most) {
        const wanted = Math.min(most, size - at);
        const { buffer, bytesRead } = await source.read(Buffer.allocUnsafeSlow(wanted), 0, wanted, at);
        if (bytesRead !== wanted) throw new Error('the file became shorter while it was sent');
        yield buffer;
      }
    };
    return await sendParts(s3, parts(), file, transfer);
  } finally {
    await source.close();
  }
}

/** Sends what comes, of which nobody knows how much it will be; `expected`: about how many bytes, at most. */
export function uploadStream(
  s3: S3,
  pieces: AsyncIterable<Buffer>,
  file: string,
  { expected = 0, ...transfer }: Transfer & { expected?: number },
): Promise<Sent> {
  return sendParts(
    s3,
    gathered(pieces, (number) => partBytes(number, expected)),
    file,
    transfer,
  );
}

/** How large the part of this number is, from 0 on, of what may be twice as large as expected. Even then the last ones make it enough. */
export function partBytes(number: number, expected: number): number {
  const usual = Math.max(PART_BYTES, Math.ceil((2 * expected) / MOST_PARTS));
  // Some stores want all parts of one size, so that this is for what would fail otherwise.
  return number < MOST_PARTS * 0.8 ? usual : 8 * usual;
}

/** The pieces of a stream as parts of a size; at least one, and none but the last is smaller. */
async function* gathered(pieces: AsyncIterable<Buffer>, sizeOf: (number: number) => number): AsyncGenerator<Buffer> {
  let number = 0;
  let part = Buffer.allocUnsafeSlow(sizeOf(number));
  let filled = 0;
  for await (const piece of pieces)
    for (let at = 0; at < piece.length; ) {
      const taken = piece.copy(part, filled, at);
      at += taken;
      filled += taken;
      if (filled < part.length) continue;
      yield part;
      number += 1;
      part = Buffer.allocUnsafeSlow(sizeOf(number));
      filled = 0;
    }
  if (filled > 0 || number === 0) yield part.subarray(0, filled);
}

/**
 * Sends parts as one object: it is there as a whole at the end and not before. What is broken off, by the parts' own source too, leaves
 * none behind.
 */
async function sendParts(
  { client, sdk }: S3,
  parts: AsyncGenerator<Buffer>,
  file: string,
  { onBytes = () => {}, signal }: Transfer,
): Promise<Sent> {
  const { bucket, key } = locate(file);
  const target = { Bucket: bucket, Key: key };
  const hash = createHash('sha256');
  let bytes = 0;
  const next = async () => {
    signal?.throwIfAborted();
    const { value } = await parts.next();
    // At their end.
    if (!value) return undefined;
    hash.update(value);
    bytes += value.length;
    return value;
  };
  try {
    const first = (await next())!;
    let following = await next();
    if (!following) {
      await client.send(new sdk.PutObjectCommand({ ...target, Body: first }), { abortSignal: signal });
      onBytes(bytes);
      return { bytes, sha256: hash.digest('hex') };
    }
    const { UploadId } = await client.send(new sdk.CreateMultipartUploadCommand(target), { abortSignal: signal });
    const multipart = { ...target, UploadId };
    const sending = new Set<Promise<void>>();
    const sent: CompletedPart[] = [];
    const send = async (Body: Buffer, PartNumber: number) => {
      const part = client
        .send(new sdk.UploadPartCommand({ ...multipart, PartNumber, Body }), { abortSignal: signal })
        .then(({ ETag }) => {
          sent.push({ ETag, PartNumber });
          sending.delete(part);
          onBytes(Body.length);
        });
      sending.add(part);
      // While another one is gathered, it may fail.
      part.catch(() => {});
      if (sending.size >= PARTS_AT_ONCE) await Promise.race(sending);
    };
    try {
      await send(first, 1);
      for (let number = 2; following; number += 1) {
        await send(following, number);
        following = await next();
      }
      await Promise.all(sending);
      sent.sort((a, b) => a.PartNumber! - b.PartNumber!);
      await client.send(new sdk.CompleteMultipartUploadCommand({ ...multipart, MultipartUpload: { Parts: sent } }), {
        abortSignal: signal,
      });
    } catch (error) {
      // A part that is still under way would come into the store after it was told to forget them.
      await Promise.allSettled(sending);
      await client.send(new sdk.AbortMultipartUploadCommand(multipart)).catch(() => {});
      throw error;
    }
    return { bytes, sha256: hash.digest('hex') };
  } finally {
    await parts.return(undefined);
  }
}
