import type {
  ListMultipartUploadsCommandOutput,
  ListObjectsV2CommandOutput,
  MultipartUpload,
} from '@aws-sdk/client-s3';
import type { S3Settings } from '../../../config/s3.js';
import { commandText } from '../../../hosts/command.js';
import type { FileSeen, RemoteStorage } from '../storage.js';
import { openS3, type S3 } from './s3-client.js';
import { readObject } from './s3-download.js';
import { S3Fault, s3Fault, type Tried } from './s3-fault.js';
import { uploadFile, uploadStream } from './s3-upload.js';
import { locate } from './s3-url.js';

/** The words of the `aws` program for this store, before its own arguments. */
export const awsArguments = ({ endpoint, region, caFile }: S3Settings): string[] => [
  ...(endpoint === undefined ? [] : ['--endpoint-url', endpoint]),
  ...(region === undefined ? [] : ['--region', region]),
  ...(caFile === undefined ? [] : ['--ca-bundle', caFile]),
];

/** Folders in the buckets of an S3-compatible store. */
export function s3Storage(settings: S3Settings): RemoteStorage {
  const aws = (...args: string[]) => commandText({ file: 'aws', args: [...awsArguments(settings), 's3', ...args] });
  // Beyond some 50 GB the program has to be told, or it makes too many parts.
  const streamText = (to: string, expected = 0) =>
    aws('cp', ...(expected > MUCH_FOR_AWS ? ['--expected-size', String(expected)] : []), '-', to);
  /** Does it, with what goes wrong in words. */
  const asked = async <T>(tried: Tried, work: (s3: S3) => Promise<T>): Promise<T> => {
    try {
      return await work(await openS3(settings));
    } catch (error) {
      throw s3Fault(error, tried, settings);
    }
  };
  const keysBelow = async (folder: string): Promise<FileSeen[]> => {
    const { bucket, key } = locate(folder);
    const found: FileSeen[] = [];
    await asked({ what: `list ${folder}`, bucket, right: 's3:ListBucket' }, async (s3) => {
      for await (const page of pages(s3, bucket, prefixOf(key)))
        for (const { Key, Size, LastModified, ETag } of page.Contents ?? [])
          if (!Key!.endsWith('/'))
            found.push({
              file: `s3://${bucket}/${Key}`,
              bytes: Size ?? 0,
              writtenAt: LastModified ?? new Date(0),
              version: ETag ?? '',
            });
    });
    return found.sort((a, b) => (a.file < b.file ? -1 : 1));
  };
  return {
    isHere: false,
    async seen(file) {
      const { bucket, key } = locate(file);
      try {
        return await asked({ what: `look at ${file}`, bucket, right: 's3:GetObject' }, async ({ client, sdk }) => {
          const head = await client.send(new sdk.HeadObjectCommand({ Bucket: bucket, Key: key }));
          return {
            file,
            bytes: head.ContentLength ?? 0,
            writtenAt: head.LastModified ?? new Date(0),
            version: head.ETag ?? '',
          };
        });
      } catch (error) {
        if (error instanceof S3Fault && error.kind === 'no-object') return undefined;
        throw error;
      }
    },
    async foldersIn(folder) {
      const { bucket, key } = locate(folder);
      const prefix = prefixOf(key);
      const names: string[] = [];
      await asked({ what: `list ${folder}`, bucket, right: 's3:ListBucket' }, async (s3) => {
        for await (const page of pages(s3, bucket, prefix, '/'))
          for (const { Prefix } of page.CommonPrefixes ?? []) names.push(Prefix!.slice(prefix.length, -1));
      });
      return names;
    },
    filesBelow: keysBelow,
    async sizesOf(folder, files) {
      const wanted = new Set(files);
      const there = await keysBelow(folder);
      return new Map(there.filter(({ file }) => wanted.has(file)).map(({ file, bytes }) => [file, bytes]));
    },
    read: (file, reading = {}) => readObject(settings, file, reading),
    put(gateway, from, file, transfer = {}) {
      return gateway.change({ channel: 'http', text: aws('cp', from, file) }, async () => {
        const tried = { what: `write ${file}`, bucket: locate(file).bucket, right: WRITING };
        return (await asked(tried, (s3) => uploadFile(s3, from, file, transfer))).sha256;
      });
    },
    putStream(gateway, pieces, file, { expected, ...transfer } = {}) {
      const change = { channel: 'http' as const, text: streamText(file, expected) };
      return gateway.change(change, async () => {
        let own: { error: unknown } | undefined;
        const told = async function* () {
          try {
            yield* pieces;
          } catch (error) {
            own = { error };
            throw error;
          }
        };
        const tried = { what: `write ${file}`, bucket: locate(file).bucket, right: WRITING };
        const more = expected === undefined ? transfer : { ...transfer, expected };
        return asked(tried, (s3) => uploadStream(s3, told(), file, more)).catch((error: unknown) => {
          throw own ? own.error : error;
        });
      });
    },
    putText(gateway, file, text) {
      const { bucket, key } = locate(file);
      return gateway.change(
        { channel: 'http', text: `${aws('cp', '-', file)} (${Buffer.byteLength(text)} bytes)` },
        () =>
          asked({ what: `write ${file}`, bucket, right: WRITING }, async ({ client, sdk }) => {
            await client.send(new sdk.PutObjectCommand({ Bucket: bucket, Key: key, Body: Buffer.from(text) }));
          }),
      );
    },
    remove(gateway, path) {
      return gateway.change({ channel: 'http', text: aws('rm', '--recursive', path) }, async () => {
        const { bucket, key } = locate(path);
        const below = (await keysBelow(path)).map((one) => locate(one.file).key);
        await asked({ what: `remove ${path}`, bucket, right: 's3:DeleteObject' }, async ({ client, sdk }) => {
          // One by one: requests that remove many at once want checksums on which stores do not agree.
          for (const Key of [...below, key]) await client.send(new sdk.DeleteObjectCommand({ Bucket: bucket, Key }));
        });
      });
    },
    forgetHalfSent(gateway, folder) {
      const { bucket, key } = locate(folder);
      return gateway.change({ channel: 'http', text: `give up what is half sent below ${folder}` }, () =>
        asked({ what: `give up what is half sent below ${folder}`, bucket, right: WRITING }, async (s3) => {
          const { client, sdk } = s3;
          const own: MultipartUpload[] = [];
          for await (const uploads of halfSent(s3, bucket, key))
            own.push(...uploads.filter(({ Key }) => Key === key || Key!.startsWith(prefixOf(key))));
          for (const { Key, UploadId } of own)
            await client.send(new sdk.AbortMultipartUploadCommand({ Bucket: bucket, Key, UploadId }));
          return own.length;
        }),
      );
    },
    readText: (file) => aws('cp', file, '-'),
    sendText: (from, to, kind) => aws('cp', ...(kind === 'folder' ? ['--recursive'] : []), from, to),
    streamText,
    copyText: (folder, to) => aws('cp', '--recursive', folder, to),
  };
}

const MUCH_FOR_AWS = 40e9;
const WRITING = 's3:PutObject, s3:AbortMultipartUpload and s3:ListBucketMultipartUploads';

const prefixOf = (key: string) => (key === '' || key.endsWith('/') ? key : `${key}/`);

async function* pages(
  { client, sdk }: S3,
  bucket: string,
  prefix: string,
  delimiter?: string,
): AsyncGenerator<ListObjectsV2CommandOutput> {
  let token: string | undefined;
  do {
    const page: ListObjectsV2CommandOutput = await client.send(
      new sdk.ListObjectsV2Command({
        Bucket: bucket,
        Prefix: prefix,
        ...(delimiter === undefined ? {} : { Delimiter: delimiter }),
        ...(token === undefined ? {} : { ContinuationToken: token }),
      }),
    );
    yield page;
    token = page.IsTruncated ? page.NextContinuationToken : undefined;
  } while (token !== undefined);
}

async function* halfSent({ client, sdk }: S3, bucket: string, prefix: string): AsyncGenerator<MultipartUpload[]> {
  let from: { KeyMarker?: string | undefined; UploadIdMarker?: string | undefined } | undefined = {};
  while (from) {
    const page: ListMultipartUploadsCommandOutput | undefined = await client
      .send(new sdk.ListMultipartUploadsCommand({ Bucket: bucket, Prefix: prefix, ...from }))
      .catch((error: unknown) => {
        // Some stores that are not AWS cannot list them; these forget them by rules of their own.
        if ((error as Error).name === 'NotImplemented') return undefined;
        throw error;
      });
    yield page?.Uploads ?? [];
    from = page?.IsTruncated ? { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker } : undefined;
  }
}
