import type { S3Settings } from '../../../config/s3.js';
import { Problem } from '../../../problem.js';
import { countOf, durationOf, messageOf } from '../../../words.js';

/** What is known of an error of the library, whatever class it has. */
interface Raised {
  name?: string;
  code?: string;
  message?: string;
  cause?: unknown;
  errors?: unknown[];
  Region?: string;
  $metadata?: { httpStatusCode?: number };
  $response?: { statusCode?: number; headers?: Record<string, string> };
}

/** What was tried when something went wrong: `list s3://bucket/folder`. */
export interface Tried {
  what: string;
  bucket: string;
  /** What the credentials must be allowed to do for it: `s3:ListBucket`. */
  right: string;
}

/** Something is wrong with a bucket, its store, or what this program is to it. `kind` tells what without words. */
export class S3Fault extends Problem {
  override name = 'S3Fault';
  constructor(
    readonly kind: Kind,
    message: string,
    next: string,
    cause?: unknown,
  ) {
    super(message, { next, cause });
  }
}

export type Kind =
  | 'no-credentials'
  | 'bad-credentials'
  | 'expired'
  | 'no-rights'
  | 'no-bucket'
  | 'no-object'
  | 'wrong-region'
  | 'no-region'
  | 'clock'
  | 'unreachable'
  | 'untrusted'
  | 'changed'
  | 'other';

const STATUS = (error: Raised) => error.$metadata?.httpStatusCode ?? error.$response?.statusCode;
const UNREACHABLE = /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|ETIMEDOUT)$/;
const UNTRUSTED = /CERT|SELF_SIGNED|UNABLE_TO_VERIFY|ERR_TLS|EPROTO|SSL/;

/** Whether trying again may help: a break of the connection, a store that is busy. */
export function isPassing(error: unknown): boolean {
  const { name = '', ...raised } = error as Raised;
  const status = STATUS(raised);
  if (status !== undefined && status >= 500) return true;
  if (status === 429 || /SlowDown|Throttl|TimeoutError|RequestTimeout$/.test(name)) return true;
  const code = codeOf(raised);
  if (/^(ECONNRESET|EPIPE|ECONNABORTED|ERR_STREAM_PREMATURE_CLOSE|ETIMEDOUT|ECONNREFUSED)$/.test(code)) return true;
  return (
    error instanceof BrokenOff || /aborted|socket hang up|premature close/i.test(raised.message ?? messageOf(error))
  );
}

/** An answer ended before it was whole, or came no further. */
export class BrokenOff extends Error {
  override name = 'BrokenOff';
}

function codeOf(error: Raised): string {
  if (error.code !== undefined) return String(error.code);
  const inner = (error.cause ?? error.errors?.[0]) as Raised | undefined;
  return inner ? codeOf(inner) : '';
}

/** The same as a Problem, in words: what was tried, what was seen, what to type next. */
export function s3Fault(error: unknown, { what, bucket, right }: Tried, settings: S3Settings): Problem {
  if (error instanceof Problem) return error;
  const raised = error as Raised;
  const { name = '' } = raised;
  const status = STATUS(raised);
  const store = settings.endpoint ?? 'AWS';
  const said = [name, raised.message].filter((one) => one && one !== 'UnknownError').join(': ') || `HTTP ${status}`;
  const fault = (kind: Kind, why: string, next: string) =>
    new S3Fault(kind, `Tried to ${what} at ${store}: ${why}.`, next, error);

  if (/CredentialsProviderError|ProviderError/.test(name))
    return fault(
      'no-credentials',
      `there are no credentials (${raised.message})`,
      'aws configure, or: aws sso login --profile NAME and export AWS_PROFILE=NAME, or: export AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=…; then try again',
    );
  if (/ExpiredToken|TokenRefresh|RequestExpired/.test(name))
    return fault(
      'expired',
      `the credentials have expired (${said})`,
      'aws sso login, or export fresh ones; then try again',
    );
  if (/RequestTimeTooSkewed/.test(name))
    return fault('clock', clockWords(raised), 'set the clock: timedatectl set-ntp true; then try again');
  if (/InvalidAccessKeyId|SignatureDoesNotMatch|InvalidToken|InvalidClientTokenId/.test(name))
    return fault(
      'bad-credentials',
      `the store does not know these credentials (${said})`,
      `see whose they are: aws sts get-caller-identity${settings.endpoint ? ' (AWS only)' : ''}; export those of ${store}, then try again`,
    );
  if (/Region is missing/.test(raised.message ?? ''))
    return fault(
      'no-region',
      'no region is set',
      'export AWS_REGION=REGION, or add to the profile: s3: { region: REGION }',
    );
  if (
    /PermanentRedirect|AuthorizationHeaderMalformed|IllegalLocationConstraint|IncorrectEndpoint/.test(name) ||
    status === 301
  ) {
    const region =
      raised.$response?.headers?.['x-amz-bucket-region'] ?? raised.Region ?? /expecting '([^']+)'/.exec(said)?.[1];
    return fault(
      'wrong-region',
      `the bucket ${bucket} is in another region${region ? `, ${region}` : ''} (${said})`,
      `add to the profile: s3: { region: ${region ?? 'ITS-REGION'} }`,
    );
  }
  if (/NoSuchBucket/.test(name))
    return fault(
      'no-bucket',
      `there is no bucket ${bucket}`,
      'mend its name in the profile; those that there are: aws s3 ls',
    );
  if (/PreconditionFailed/.test(name) || status === 412)
    return fault(
      'changed',
      'it became another one while it was read',
      'wait until nobody writes there any more, then try again',
    );
  if (/NoSuchKey|NotFound/.test(name) || status === 404)
    return fault('no-object', 'it is not there', `look what is: aws s3 ls --recursive s3://${bucket}/`);
  if (/AccessDenied|Forbidden|AllAccessDisabled/.test(name) || status === 403)
    return fault(
      'no-rights',
      `the store refuses it (${said === 'Forbidden' ? 'HTTP 403' : said})`,
      `give these credentials ${right} on ${bucket}, or export others; whose they are: aws sts get-caller-identity`,
    );
  const code = codeOf(raised);
  if (UNREACHABLE.test(code) || name === 'TimeoutError')
    return fault(
      'unreachable',
      `it cannot be reached (${code || raised.message})`,
      `see that ${settings.endpoint ?? 'the network to AWS'} answers: curl -sI ${settings.endpoint ?? `https://${bucket}.s3.amazonaws.com`}; or mend s3.endpoint in the profile`,
    );
  if (UNTRUSTED.test(code))
    return fault(
      'untrusted',
      `its certificate is not to be trusted (${code}: ${raised.message})`,
      code === 'ERR_TLS_CERT_ALTNAME_INVALID'
        ? 'name the store in s3.endpoint as its certificate does'
        : 'name the CA that signed it in the profile: s3: { caFile: FILE }',
    );
  return fault('other', said || messageOf(error), 'try again; if it stays, look at the store itself');
}

function clockWords({ $response }: Raised): string {
  const theirs = Date.parse($response?.headers?.date ?? '');
  if (Number.isNaN(theirs)) return "this machine's clock is too far from the store's";
  const ahead = Date.now() - theirs;
  return `this machine's clock is ${durationOf(Math.abs(ahead))} ${ahead > 0 ? 'ahead of' : 'behind'} the store's`;
}

/** How many bytes of a file came before it broke off for good. */
export const brokenAfter = (bytes: number, tries: number, why: string) =>
  new BrokenOff(`it broke off ${tries} times, the last time after ${countOf(bytes)} bytes: ${why}`);
