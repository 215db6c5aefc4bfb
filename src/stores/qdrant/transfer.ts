import { createHash, randomBytes } from 'node:crypto';
import type http from 'node:http';
import { basename } from 'node:path';
import { keepOnDisk } from '../../hosts/durable.js';
import { writeHashed } from '../../hosts/files.js';
import type { Gateway } from '../../hosts/gateway.js';
import { HERE } from '../storage/here.js';
import type { Storage } from '../storage/storage.js';
import type { Qdrant } from './connection.js';
import { requestTo, responseOf, textOf, wordsOf, wordsOfBreak } from './http.js';
import { priorityOf, type Recovered, recovered, snapshotsUrl } from './recovery.js';

interface Transfer {
  /** Told how many bytes each piece brought. */
  onBytes?: (bytes: number) => void;
  signal?: AbortSignal;
}

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
  upload: Recovered & { file: string; sha256: string; uploadName: string; storage?: Storage },
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
    let sent = false;
    const what = `uploading ${basename(upload.file)} into ${upload.collection}`;
    const answered = recovered(qdrant, request, { what, isSent: () => sent, signal: transfer.signal });
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
    await answered;
    await body.catch(() => {});
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
  { file, sha256, storage = HERE, ...of }: Recovered & { file: string; sha256: string; storage?: Storage },
): string {
  const url = snapshotsUrl(qdrant, of, 'upload');
  const [before, source] = storage.isHere
    ? ['', file]
    : [`${storage.readText(file)} | `, `-;filename=${basename(file)}`];
  return `${before}curl -fsS ${qdrant.curlArguments}-X POST '${url}?priority=${priorityOf(of)}&wait=true&checksum=${sha256}' -F 'snapshot=@${source}'`;
}

/** A snapshot as the server sends it. Rejects where it does not come whole. */
export async function* snapshotPieces(
  qdrant: Qdrant,
  of: Recovered & { snapshot: string },
  signal?: AbortSignal,
): AsyncGenerator<Buffer> {
  const { snapshot } = of;
  const request = requestTo(qdrant, 'GET', snapshotsUrl(qdrant, of, snapshot), signal, {});
  request.end();
  const response = await responseOf(qdrant, request);
  if (response.statusCode !== 200)
    throw new Error(`downloading ${snapshot}: HTTP ${response.statusCode} ${wordsOf(await textOf(response))}`);
  let bytes = 0;
  try {
    for await (const piece of response) {
      bytes += (piece as Buffer).length;
      yield piece as Buffer;
    }
  } catch (error) {
    signal?.throwIfAborted();
    throw new Error(`downloading ${snapshot}: ${wordsOfBreak(error as Error)}`, { cause: error });
  }
  const announced = Number(response.headers['content-length'] ?? bytes);
  if (announced !== bytes)
    throw new Error(`downloading ${snapshot}: ${announced} bytes were announced, ${bytes} came`);
}

/**
 * Downloads a snapshot into a new file; answers its bytes and SHA-256, computed on the way. The file is on disk then, unless it
 * `isKeptLater`, by the caller, with others.
 */
export async function downloadSnapshot(
  gateway: Gateway,
  qdrant: Qdrant,
  { snapshot, file, ...of }: Recovered & { snapshot: string; file: string },
  transfer: Transfer & { isKeptLater?: boolean } = {},
): Promise<{ bytes: number; sha256: string }> {
  const url = snapshotsUrl(qdrant, of, snapshot);
  return gateway.change(
    { channel: 'file', text: `curl -fsS ${qdrant.curlArguments}'${url}' -o '${file}'` },
    async () => {
      const got = await writeHashed(snapshotPieces(qdrant, { snapshot, ...of }, transfer.signal), file, transfer);
      if (!transfer.isKeptLater) await keepOnDisk(file);
      return got;
    },
  );
}
