import { createHash, type Hash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { plural } from '../../words.js';
import { keepOnDisk, keepPlace } from '../durable.js';
import type { Carrying, HostFiles } from '../host-files.js';
import { localFiles } from '../local-files.js';
import type { Answer, Asking } from './reaching.js';

/** Has the disk keep these; where `sync` takes no names, it keeps everything. */
export const keep = (paths: string) => `{ sync ${paths} 2>/dev/null || sync; }`;

/** What is on its way lies beside its place under this name, whole or not, and a retry goes on with it. */
const partOf = (to: string) => `${to}.part`;

const changed = (from: string, to: string, one: string, other: string) =>
  new Error(
    `${from} did not arrive as it was sent: its SHA-256 is ${one}, of what arrived as ${to} it is ${other}. What arrived is removed, so that a retry begins anew`,
  );

/** `from` on this machine, `to` where the scripts are run. */
export async function sendFile(
  ask: (script: string, args: readonly string[], more: Asking) => Promise<Answer>,
  there: HostFiles,
  from: string,
  to: string,
  { onBytes = () => {}, signal }: Carrying,
): Promise<string> {
  const part = partOf(to);
  const { size } = await stat(from);
  const { bytes: had, hash: before } = await alike(localFiles, from, there, part, size, signal);
  onBytes(had);
  let sent = had;
  let hash = before.copy();
  // Each time from the beginning: a way that leads nowhere may have begun to read, and may still do so.
  const feed = async function* () {
    const own = before.copy();
    hash = own;
    onBytes(had - sent);
    sent = had;
    for await (const piece of localFiles.stream(from, { from: had, signal })) {
      if (own !== hash) return;
      own.update(piece);
      yield piece;
      sent += piece.length;
      onBytes(piece.length);
    }
  };
  await ask(`umask 077; mkdir -p "$(dirname "$1")" && cat ${had > 0 ? '>>' : '>'} "$1"`, [part], {
    feed,
    patience: Number.POSITIVE_INFINITY,
    ...(signal ? { signal } : {}),
    safe: () =>
      `Of ${plural(size, 'byte')} ${sent.toLocaleString('en-US')} were sent; what arrived lies beside its place as ${part}, and a retry goes on with it.`,
  });
  const sha256 = hash.digest('hex');
  const arrived = await there.sha256(part, { ...(signal ? { signal } : {}) });
  if (arrived !== sha256) {
    await ask('rm -f "$1"', [part], {});
    throw changed(from, part, sha256, arrived);
  }
  const script = `if [ -e "$2" ] || [ -h "$2" ]; then exit 17; fi; ${keep('"$1"')} && mv "$1" "$2" && ${keep('"$(dirname "$2")"')}`;
  await ask(script, [part, to], {});
  return sha256;
}

/** `from` where `there` is, `to` on this machine. */
export async function fetchFile(
  there: HostFiles,
  from: string,
  to: string,
  { onBytes = () => {}, signal }: Carrying,
): Promise<string> {
  const part = partOf(to);
  const size = (await there.stat(from))?.bytes;
  if (size === undefined) throw new Error(`${from} is not there`);
  if (await localFiles.exists(to)) throw new Error(`${to} exists already`);
  await mkdir(dirname(to), { recursive: true, mode: 0o700 });
  const { bytes: had, hash } = await alike(there, from, localFiles, part, size, signal);
  onBytes(had);
  const following = async function* (pieces: AsyncIterable<Buffer>) {
    for await (const piece of pieces) {
      hash.update(piece);
      onBytes(piece.length);
      yield piece;
    }
  };
  const pieces = there.stream(from, { from: had, bytes: size, ...(signal ? { signal } : {}) });
  if (had < size || size === 0)
    await pipeline(
      Readable.from(size === 0 ? [] : following(pieces), { objectMode: false }),
      createWriteStream(part, { flags: had > 0 ? 'a' : 'w', mode: 0o600 }),
    );
  const sha256 = hash.digest('hex');
  const expected = await there.sha256(from, { bytes: size, ...(signal ? { signal } : {}) });
  if (expected !== sha256) {
    await rm(part);
    throw changed(from, part, expected, sha256);
  }
  await keepOnDisk(part);
  await rename(part, to);
  await keepPlace(to);
  return sha256;
}

/** How much of a file an earlier attempt has brought, if it is the beginning of this very file; and the hash of that. */
async function alike(
  source: HostFiles,
  from: string,
  target: HostFiles,
  part: string,
  size: number,
  signal: AbortSignal | undefined,
): Promise<{ bytes: number; hash: Hash }> {
  const bytes = (await target.stat(part))?.bytes ?? 0;
  const nothing = { bytes: 0, hash: createHash('sha256') };
  if (bytes === 0 || bytes > size) return nothing;
  const more = { bytes, ...(signal ? { signal } : {}) };
  if ((await source.sha256(from, more)) !== (await target.sha256(part, more))) return nothing;
  const here = source === localFiles ? from : part;
  const hash = createHash('sha256');
  for await (const piece of localFiles.stream(here, more)) hash.update(piece);
  return { bytes, hash };
}
