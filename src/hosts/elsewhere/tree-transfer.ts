import { createHash } from 'node:crypto';
import { chmod, mkdir, open, rename, rm, utimes } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { plural } from '../../words.js';
import { shellWord } from '../command.js';
import { treeOf } from '../copy-tree.js';
import { keepOnDisk, keepPlace } from '../durable.js';
import type { CarryingTree, TreeEntry } from '../host-files.js';
import { localFiles } from '../local-files.js';
import { lineSplitter } from '../run-command.js';
import type { Answer, Asking } from './reaching.js';
import { TAR_END, tarHeader, tarPadding } from './tar.js';

// Folders on their way: all files in one stream, since to ask for each would take longer than to send it.

type Ask = (script: string, args: readonly string[], more: Asking) => Promise<Answer>;
type Hashes = Map<string, string>;

const LONG = Number.POSITIVE_INFINITY;

/** `from` on this machine, `to` where the scripts are run. */
export async function sendTree(
  ask: Ask,
  from: string,
  to: string,
  {
    without = [],
    onBytes = () => {},
    onProven = () => {},
    signal,
  }: CarryingTree & { without?: readonly string[] } = {},
): Promise<void> {
  const entries = (await treeOf(from)).filter(({ path }) => !without.includes(path.split('/')[0]!));
  const files = new Map(entries.flatMap((one) => (one.kind === 'file' ? [[one.path, one]] : [])));
  const total = [...files.values()].reduce((sum, { bytes }) => sum + bytes, 0);
  await ask('umask 077; mkdir -p "$1"', [to], {});
  const there = await hashesOf(ask, to, () => {}, signal);
  const hashes: Hashes = new Map();
  for (const [path, sha256] of there) {
    if (!files.has(path) || (await localFiles.sha256(join(from, path), { ...(signal ? { signal } : {}) })) !== sha256)
      continue;
    hashes.set(path, sha256);
    onBytes(files.get(path)!.bytes);
  }
  await removeThere(
    ask,
    to,
    [...there.keys()].filter((path) => !hashes.has(path)),
  );
  const missing = entries.filter(({ path }) => !hashes.has(path));
  let sent = 0;
  let turn = 0;
  // Each time from the beginning: a way that leads nowhere may have begun to read, and may still do so.
  const feed = async function* () {
    turn += 1;
    const own = turn;
    onBytes(-sent);
    sent = 0;
    for await (const piece of packed(from, missing, hashes, signal)) {
      if (own !== turn) return;
      yield piece.bytes;
      sent += piece.content;
      onBytes(piece.content);
    }
  };
  await ask('umask 077; cd "$1" && tar -xof -', [to], {
    feed,
    patience: LONG,
    ...(signal ? { signal } : {}),
    safe: () =>
      `Of ${plural(total, 'byte')} ${sent.toLocaleString('en-US')} were sent; what arrived lies in ${to}, and a retry goes on with it.`,
  });
  const arrived = await hashesOf(ask, to, (path) => onProven(files.get(path)?.bytes ?? 0), signal);
  const wrong = [...files.keys()].filter((path) => arrived.get(path) !== hashes.get(path));
  if (wrong.length > 0) {
    await removeThere(ask, to, wrong);
    throw changed(from, to, wrong);
  }
  await ask('sync -f "$1" 2>/dev/null || sync', [to], { patience: LONG });
}

/** The entries as `tar -x` reads them; `hashes` is told what was read of each file. */
async function* packed(
  from: string,
  entries: readonly TreeEntry[],
  hashes: Hashes,
  signal: AbortSignal | undefined,
): AsyncGenerator<{ bytes: Buffer; content: number }> {
  for (const entry of entries) {
    yield { bytes: tarHeader(entry), content: 0 };
    if (entry.kind === 'folder') continue;
    const hash = createHash('sha256');
    let read = 0;
    const file = join(from, entry.path);
    if (entry.bytes > 0)
      for await (const piece of localFiles.stream(file, { bytes: entry.bytes, ...(signal ? { signal } : {}) })) {
        hash.update(piece);
        read += piece.length;
        yield { bytes: piece, content: piece.length };
      }
    if (read !== entry.bytes) throw new Error(`${file} has become shorter while it was read`);
    hashes.set(entry.path, hash.digest('hex'));
    yield { bytes: tarPadding(read), content: 0 };
  }
  yield { bytes: TAR_END, content: 0 };
}

type Read = (
  script: string,
  args: readonly string[],
  asking: Pick<Asking, 'signal' | 'feed'>,
) => AsyncIterable<Buffer>;

/** `from` where the scripts are run, `to` on this machine. What an earlier attempt has brought lies beside `to`. */
export async function fetchTree(
  ask: Ask,
  read: Read,
  { from, entries }: { from: string; entries: readonly TreeEntry[] },
  to: string,
  { onBytes = () => {}, onProven = () => {}, signal, without = [] }: CarryingTree & { without?: readonly string[] },
): Promise<void> {
  if (await localFiles.exists(to)) throw new Error(`${to} exists already`);
  const part = `${to}.part`;
  const files = entries.filter(({ kind }) => kind === 'file');
  const here = await alreadyHere(part, files, () => hashesOf(ask, from, () => {}, signal, without), signal);
  await mkdir(part, { recursive: true, mode: 0o700 });
  for (const { path, kind } of entries)
    if (kind === 'folder') await mkdir(join(part, path), { recursive: true, mode: 0o700 });
  for (const { path, bytes } of files) if (here.has(path)) onBytes(bytes);
  const missing = files.filter(({ path }) => !here.has(path));
  const hashes = await receive(read, from, part, missing, onBytes, signal);
  const bytesOf = new Map(files.map(({ path, bytes }) => [path, bytes]));
  const there = await hashesOf(ask, from, (path) => onProven(bytesOf.get(path) ?? 0), signal, without);
  const wrong = files.filter(({ path }) => there.get(path) !== (hashes.get(path) ?? here.get(path)));
  if (wrong.length > 0) {
    for (const { path } of wrong) await rm(join(part, path), { force: true });
    throw changed(
      from,
      to,
      wrong.map(({ path }) => path),
    );
  }
  // The innermost last: writing into a folder changes its time, and its rights may forbid it.
  for (const { path, mode, mtime } of [...entries].reverse()) {
    await utimes(join(part, path), mtime, mtime);
    await chmod(join(part, path), mode);
  }
  await keepOnDisk(part);
  await rename(part, to);
  await keepPlace(to);
}

/** Of the files that an earlier attempt has brought those that are whole, by their hashes; the others are removed. */
async function alreadyHere(
  part: string,
  files: readonly TreeEntry[],
  hashesThere: () => Promise<Hashes>,
  signal: AbortSignal | undefined,
): Promise<Hashes> {
  const whole: Hashes = new Map();
  if (!(await localFiles.exists(part))) return whole;
  const bytesOf = new Map((await treeOf(part)).map(({ path, bytes }) => [path, bytes]));
  const alike = files.filter(({ path, bytes }) => bytesOf.get(path) === bytes);
  const there = alike.length === 0 ? new Map() : await hashesThere();
  const kept = join(dirname(part), `${part.slice(dirname(part).length + 1)}-kept`);
  await rm(kept, { recursive: true, force: true });
  await rename(part, kept);
  for (const { path } of alike) {
    const sha256 = await localFiles.sha256(join(kept, path), { ...(signal ? { signal } : {}) });
    if (there.get(path) !== sha256) continue;
    await mkdir(dirname(join(part, path)), { recursive: true, mode: 0o700 });
    await rename(join(kept, path), join(part, path));
    whole.set(path, sha256);
  }
  await rm(kept, { recursive: true, force: true });
  return whole;
}

/** One stream of all bytes, cut by the lengths of the files. */
async function receive(
  read: Read,
  from: string,
  to: string,
  files: readonly TreeEntry[],
  onBytes: (bytes: number) => void,
  signal: AbortSignal | undefined,
): Promise<Hashes> {
  const hashes: Hashes = new Map();
  const names = Buffer.from(files.flatMap(({ path, bytes }) => (bytes > 0 ? [`./${path}\0`] : [])).join(''));
  const feed = async function* () {
    yield names;
  };
  const pieces = read('cd "$1" && xargs -0 cat', [from], { feed, ...(signal ? { signal } : {}) });
  const incoming = pieces[Symbol.asyncIterator]();
  let rest: Buffer = Buffer.alloc(0);
  try {
    for (const { path, bytes } of files) {
      const hash = createHash('sha256');
      const file = await open(join(to, path), 'wx', 0o600);
      try {
        for (let left = bytes; left > 0; ) {
          if (rest.length === 0) {
            const { value, done } = await incoming.next();
            if (done) throw new Error(`${from} ended in the middle of ${path}: it is written to meanwhile`);
            rest = value;
          }
          const piece = rest.subarray(0, left);
          rest = rest.subarray(piece.length);
          hash.update(piece);
          await file.writeFile(piece);
          left -= piece.length;
          onBytes(piece.length);
        }
      } finally {
        await file.close();
      }
      hashes.set(path, hash.digest('hex'));
    }
    if (names.length > 0 && !(await incoming.next()).done)
      throw new Error(`${from} has more than it had: it is written to meanwhile`);
  } finally {
    await incoming.return?.();
  }
  return hashes;
}

/** The SHA-256 of every file below a folder where the scripts are run; `onFile` is told of each as it is known. */
async function hashesOf(
  ask: Ask,
  folder: string,
  onFile: (path: string) => void,
  signal: AbortSignal | undefined,
  without: readonly string[] = [],
): Promise<Hashes> {
  const hashes: Hashes = new Map();
  const lines = lineSplitter((line) => {
    const found = /^([0-9a-f]{64}) [ *]\.\/(.+)$/.exec(line);
    if (!found) return;
    hashes.set(found[2]!, found[1]!);
    onFile(found[2]!);
  });
  await ask(`cd "$1" && find -L . ${pruning(without)}-type f -exec sha256sum {} +`, [folder], {
    onChunk: (chunk) => lines.take(chunk),
    patience: LONG,
    ...(signal ? { signal } : {}),
  });
  lines.flush();
  return hashes;
}

/** What has `find` in a folder pass by some names of its top level. */
export const pruning = (without: readonly string[]): string =>
  without.map((name) => `-path ${shellWord(`./${name.replaceAll(/[*?[\\]/g, '\\$&')}`)} -prune -o `).join('');

async function removeThere(ask: Ask, folder: string, paths: readonly string[]): Promise<void> {
  if (paths.length === 0) return;
  const feed = async function* () {
    yield Buffer.from(paths.map((path) => `./${path}\0`).join(''));
  };
  await ask('cd "$1" && xargs -0 rm -f', [folder], { feed, patience: LONG });
}

const changed = (from: string, to: string, paths: readonly string[]) =>
  new Error(
    `${plural(paths.length, 'file')} of ${from} did not arrive in ${to} as sent, since their SHA-256 is another: ${paths.slice(0, 3).join(', ')}${paths.length > 3 ? ', …' : ''}. What arrived of them is removed, so that a retry brings them anew`,
  );
