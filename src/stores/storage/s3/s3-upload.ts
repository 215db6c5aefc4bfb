import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import type { CompletedPart } from '@aws-sdk/client-s3';
import type { S3 } from './s3-client.js';
import { locate } from './s3-url.js';

const MIB = 1 << 20;
/** Up to this size a file goes in one request, a larger one in parts of it. */
const PART_BYTES = 16 * MIB;
/** More parts than this no store takes; the parts of a huge file are larger instead. */
const MOST_PARTS = 10_000;
const PARTS_AT_ONCE = 3;

/**
 * Sends a file of this machine; answers the SHA-256 of what was sent. The object is there as a whole at the end and not before;
 * what is broken off leaves no part behind.
 */
export async function upload(
  s3: S3,
  from: string,
  file: string,
  onBytes: (bytes: number) => void,
  signal: AbortSignal | undefined,
): Promise<string> {
  const { client, sdk } = s3;
  const { bucket, key } = locate(file);
  const target = { Bucket: bucket, Key: key };
  const source = await open(from);
  try {
    const { size } = await source.stat();
    const hash = createHash('sha256');
    if (size <= PART_BYTES) {
      const Body = await pieceAt(source, 0, size);
      await client.send(new sdk.PutObjectCommand({ ...target, Body }), { abortSignal: signal });
      onBytes(size);
      return hash.update(Body).digest('hex');
    }
    const partBytes = Math.max(PART_BYTES, Math.ceil(size / MOST_PARTS));
    const { UploadId } = await client.send(new sdk.CreateMultipartUploadCommand(target), { abortSignal: signal });
    const multipart = { ...target, UploadId };
    const sending = new Set<Promise<void>>();
    try {
      const parts: CompletedPart[] = [];
      for (let at = 0, PartNumber = 1; at < size; at += partBytes, PartNumber += 1) {
        signal?.throwIfAborted();
        const Body = await pieceAt(source, at, Math.min(partBytes, size - at));
        hash.update(Body);
        const part = client
          .send(new sdk.UploadPartCommand({ ...multipart, PartNumber, Body }), { abortSignal: signal })
          .then(({ ETag }) => {
            parts.push({ ETag, PartNumber });
            sending.delete(part);
            onBytes(Body.length);
          });
        sending.add(part);
        if (sending.size >= PARTS_AT_ONCE) await Promise.race(sending);
      }
      await Promise.all(sending);
      parts.sort((a, b) => a.PartNumber! - b.PartNumber!);
      await client.send(new sdk.CompleteMultipartUploadCommand({ ...multipart, MultipartUpload: { Parts: parts } }), {
        abortSignal: signal,
      });
    } catch (error) {
      // A part that is still under way would come into the store after it was told to forget them.
      await Promise.allSettled(sending);
      await client.send(new sdk.AbortMultipartUploadCommand(multipart)).catch(() => {});
      throw error;
    }
    return hash.digest('hex');
  } finally {
    await source.close();
  }
}

async function pieceAt(source: FileHandle, at: number, bytes: number): Promise<Buffer> {
  const { buffer, bytesRead } = await source.read(Buffer.allocUnsafeSlow(bytes), 0, bytes, at);
  if (bytesRead !== bytes) throw new Error('the file became shorter while it was sent');
  return buffer;
}
