import { createHash, randomBytes } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  copyContent,
  copyTo,
  exists,
  filesBelow,
  freeBytes,
  freeBytesIfHere,
  makeFolder,
  makeLink,
  moveAside,
  moveEntries,
  sha256Of,
  writeText,
} from '../../src/hosts/files.js';
import { closedGateway, GatewayRefusal, openGateway } from '../../src/hosts/gateway.js';
import { seemsReadableBy } from '../../src/hosts/readable-by.js';
import { tempFolder } from '../support/temp.js';

const gateway = openGateway(() => {});

function folderWith(files: Record<string, string>): string {
  const folder = tempFolder('files');
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(folder, name, '..'), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  return folder;
}

test('the SHA-256 of a file is that of all its bytes, told as they are read', async () => {
  const bytes = randomBytes(3 * 1024 * 1024 + 7);
  const folder = tempFolder('sha');
  writeFileSync(join(folder, 'file'), bytes);
  let read = 0;
  const sha256 = await sha256Of(join(folder, 'file'), {
    onBytes: (count) => {
      read += count;
    },
  });
  expect(sha256).toBe(createHash('sha256').update(bytes).digest('hex'));
  expect(read).toBe(bytes.length);
});

test('files below a folder are found at every depth; links are not followed', async () => {
  const folder = folderWith({ b: '', 'sub/deep/a': '', 'sub/c': '' });
  symlinkSync(folder, join(folder, 'loop'));
  expect(await filesBelow(folder)).toEqual(['b', 'sub/c', 'sub/deep/a']);
});

describe('moving aside', () => {
  test('renames, also into a folder that is not there yet', async () => {
    const folder = folderWith({ 'data/file': 'text' });
    await moveAside(gateway, join(folder, 'data'), join(folder, 'before', 'data'));
    expect(readdirSync(folder)).toEqual(['before']);
    expect(readFileSync(join(folder, 'before/data/file'), 'utf8')).toBe('text');
  });

  test('never replaces what is there already', async () => {
    const folder = folderWith({ now: 'new', before: 'old' });
    await expect(moveAside(gateway, join(folder, 'now'), join(folder, 'before'))).rejects.toThrow(/exists already/);
    expect(readFileSync(join(folder, 'before'), 'utf8')).toBe('old');
    expect(readFileSync(join(folder, 'now'), 'utf8')).toBe('new');
  });
});

describe('moving entries', () => {
  test('renames them one by one, and none where one is taken', async () => {
    const folder = folderWith({ 'from/a': '1', 'from/sub/b': '2', 'from/c': '3', 'to/c': 'taken' });
    const [from, to] = [join(folder, 'from'), join(folder, 'to')];
    await expect(moveEntries(gateway, from, to, ['a', 'c'])).rejects.toThrow(/c exists already/);
    expect(readdirSync(from).sort()).toEqual(['a', 'c', 'sub']);
    await moveEntries(gateway, from, to, ['sub', 'a']);
    expect(readdirSync(from)).toEqual(['c']);
    expect(readFileSync(join(to, 'sub/b'), 'utf8')).toBe('2');
    await moveEntries(gateway, from, join(folder, 'nowhere'), []);
  });
});

describe('copying', () => {
  test('takes a folder with its content', async () => {
    const folder = folderWith({ 'from/a': '1', 'from/sub/b': '2' });
    await copyTo(gateway, join(folder, 'from'), join(folder, 'new/to'));
    expect(await filesBelow(join(folder, 'new/to'))).toEqual(['a', 'sub/b']);
    expect(await filesBelow(join(folder, 'from'))).toEqual(['a', 'sub/b']);
  });

  test('refuses a file that is there already', async () => {
    const folder = folderWith({ from: 'new', to: 'old' });
    await expect(copyTo(gateway, join(folder, 'from'), join(folder, 'to'))).rejects.toThrow();
    expect(readFileSync(join(folder, 'to'), 'utf8')).toBe('old');
  });

  test('refuses a folder that is there already, instead of mixing the two', async () => {
    const folder = folderWith({ 'from/a': 'new', 'to/b': 'old' });
    await expect(copyTo(gateway, join(folder, 'from'), join(folder, 'to'))).rejects.toThrow();
    expect(await filesBelow(join(folder, 'to'))).toEqual(['b']);
  });
});

test('what is written and made is for its owner only', async () => {
  const folder = tempFolder('rights');
  await makeFolder(gateway, join(folder, 'made/deep'));
  await writeText(gateway, join(folder, 'made/deep/text'), 'ünï');
  expect(statSync(join(folder, 'made/deep')).mode & 0o777).toBe(0o700);
  expect(statSync(join(folder, 'made/deep/text')).mode & 0o777).toBe(0o600);
});

test('a link that leads nowhere exists: it would be in the way', async () => {
  const folder = tempFolder('link');
  symlinkSync('/nowhere', join(folder, 'link'));
  expect(await exists(join(folder, 'link'))).toBe(true);
  expect(await exists(join(folder, 'other'))).toBe(false);
});

test('a link is made to what is not there yet, and never in the place of something', async () => {
  const folder = folderWith({ taken: 'old' });
  await makeLink(gateway, '/not/there/yet', join(folder, 'link'));
  expect(readlinkSync(join(folder, 'link'))).toBe('/not/there/yet');
  await expect(makeLink(gateway, '/nowhere', join(folder, 'taken'))).rejects.toThrow(/EEXIST/);
});

test('nothing is changed through a closed gateway', async () => {
  const folder = folderWith({ from: 'text' });
  const closed = closedGateway();
  const [from, to] = [join(folder, 'from'), join(folder, 'to')];
  for (const attempt of [
    moveAside(closed, from, to),
    moveEntries(closed, from, to, ['a']),
    copyTo(closed, from, to),
    makeFolder(closed, to),
    makeLink(closed, from, to),
    writeText(closed, to, ''),
  ])
    await expect(attempt).rejects.toThrow(GatewayRefusal);
  expect(existsSync(to)).toBe(false);
  expect(readdirSync(folder)).toEqual(['from']);
});

describe('copying what is in a folder', () => {
  test('leaves out what is named, keeps empty folders, and tells every byte', async () => {
    const [from, to] = [tempFolder('from'), tempFolder('to')];
    mkdirSync(join(from, 'empty'));
    mkdirSync(join(from, 'deep', 'signal'), { recursive: true });
    writeFileSync(join(from, 'deep', 'file'), 'twelve bytes');
    writeFileSync(join(from, 'signal'), 'not this one');
    let bytes = 0;
    const onBytes = (count: number) => {
      bytes += count;
    };
    await copyContent(gateway, from, to, { without: ['signal'], onBytes });
    expect(readdirSync(to, { recursive: true }).sort()).toEqual(['deep', 'deep/file', 'deep/signal', 'empty']);
    expect(bytes).toBe(12);
  });

  test('ends between two files when it is told to, and refuses links', async () => {
    const [from, to] = [tempFolder('from'), tempFolder('to')];
    writeFileSync(join(from, 'one'), '1');
    const ended = AbortSignal.abort(new Error('aborted by the operator'));
    await expect(copyContent(gateway, from, to, { signal: ended })).rejects.toThrow(/aborted by the operator/);
    expect(readdirSync(to)).toEqual([]);
    symlinkSync('/etc', join(from, 'link'));
    await expect(copyContent(gateway, from, to)).rejects.toThrow(/link is neither a file nor a folder/);
  });
});

test('whether a user can read a file depends on it and on the folders above it', async () => {
  const folder = tempFolder('rights');
  const file = join(folder, 'inner', 'file');
  mkdirSync(join(folder, 'inner'));
  writeFileSync(file, 'x');
  const somebody = { uid: 4242, gid: 4242 };
  const rights = async (outer: number, inner: number, of: number) => {
    chmodSync(folder, outer);
    chmodSync(join(folder, 'inner'), inner);
    chmodSync(file, of);
    return seemsReadableBy(file, somebody);
  };
  expect(await rights(0o711, 0o711, 0o644)).toBe(true);
  expect(await rights(0o711, 0o711, 0o640)).toBe(false);
  expect(await rights(0o711, 0o700, 0o644)).toBe(false);
  expect(await rights(0o700, 0o755, 0o644)).toBe(false);
  expect(await seemsReadableBy(file, { uid: 0, gid: 0 })).toBe(true);
});

test('free room is that of the file system, also for a folder that is not there yet', async () => {
  const folder = tempFolder('room');
  const free = await freeBytes(join(folder, 'not', 'yet', 'there'));
  expect(free).toBeGreaterThan(0);
  expect(Math.abs(free - (await freeBytes(folder)))).toBeLessThan(1e9);
  expect(await freeBytesIfHere(join(folder, 'not yet'))).toBeGreaterThan(0);
  expect(await freeBytesIfHere('/nowhere/of/another/machine')).toBeUndefined();
});
