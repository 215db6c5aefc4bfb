import { readFileSync } from 'node:fs';
import { Agent } from 'node:https';
import type { S3Client } from '@aws-sdk/client-s3';
import { keepSecret } from '../../../config/redact.js';
import type { S3Settings } from '../../../config/s3.js';
import { Problem } from '../../../problem.js';
import { messageOf } from '../../../words.js';

/** What is done against a bucket goes through these; the library is large, and loaded by the first of them. */
export interface S3 {
  client: S3Client;
  sdk: typeof import('@aws-sdk/client-s3');
  settings: S3Settings;
}

const CONNECT_MS = 10_000;
const SILENT_MS = 60_000;
const known = new Map<string, Promise<S3>>();

/** The client for these settings, one a process. Its credentials come from the usual chain: environment, ~/.aws, SSO, web identity, instance metadata. */
export function openS3(settings: S3Settings): Promise<S3> {
  const key = JSON.stringify(settings);
  const open = known.get(key) ?? connect(settings);
  known.set(key, open);
  // What was wrong with it may be mended while this program runs.
  open.catch(() => known.delete(key));
  return open;
}

async function connect(settings: S3Settings): Promise<S3> {
  const { endpoint, forcePathStyle, caFile } = settings;
  const region = settings.region ?? (endpoint === undefined ? undefined : (process.env.AWS_REGION ?? 'us-east-1'));
  const sdk = await import('@aws-sdk/client-s3');
  const client = new sdk.S3Client({
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(region === undefined ? {} : { region }),
    ...(forcePathStyle === undefined ? {} : { forcePathStyle }),
    followRegionRedirects: true,
    maxAttempts: 4,
    // Checksums of the library's own kind are unknown to many stores that are not AWS; this program compares its own.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: {
      connectionTimeout: CONNECT_MS,
      requestTimeout: SILENT_MS,
      throwOnRequestTimeout: true,
      ...(caFile === undefined ? {} : { httpsAgent: new Agent({ ca: certificates(caFile), keepAlive: true }) }),
    },
  });
  client.middlewareStack.add(
    (next) => async (request) => {
      const { secretAccessKey, sessionToken } = await client.config.credentials();
      keepSecret(secretAccessKey);
      if (sessionToken !== undefined) keepSecret(sessionToken);
      return next(request);
    },
    { step: 'initialize', name: 'redactCredentials' },
  );
  return { client, sdk, settings };
}

function certificates(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new Problem(`The CAs for S3 cannot be read: ${messageOf(error)}.`, {
      next: 'mend s3.caFile in the profile, or make that file readable',
    });
  }
}
