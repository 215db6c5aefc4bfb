import { appendFileSync, readdirSync, readlinkSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { HERE } from '../../../src/hosts/host.js';
import { momentOn } from '../../../src/stores/storage/moment.js';
import { tempFolder } from '../../support/temp.js';

/** A folder of files with their names in them, and its files as they are now. */
async function held(...names: string[]) {
  const folder = tempFolder('moment');
  const paths = names.map((name) => join(folder, name));
  for (const path of paths) writeFileSync(path, `in ${path}`);
  return { folder, paths, ...(await momentOn(HERE, paths)) };
}

const all = async (pieces: AsyncIterable<Buffer>) => {
  const read: Buffer[] = [];
  for await (const piece of pieces) read.push(piece);
  return Buffer.concat(read).toString();
};
const openBelow = (folder: string) =>
  readdirSync('/proc/self/fd').filter((name) => {
    try {
      return readlinkSync(`/proc/self/fd/${name}`).startsWith(folder);
    } catch {
      return false;
    }
  });

test('files are what they were although they are removed, replaced and appended to', async () => {
  const { folder, paths, files, close } = await held('removed', 'replaced', 'longer');
  const [removed, replaced, longer] = paths as [string, string, string];
  rmSync(removed);
  writeFileSync(join(folder, 'other'), 'another one');
  renameSync(join(folder, 'other'), replaced);
  appendFileSync(longer, ' and more');
  for (const path of paths) {
    expect(await all(files.stream(path))).toBe(`in ${path}`);
    expect((await files.read(path)).toString()).toBe(`in ${path}`);
    expect(await files.stat(path)).toEqual({ kind: 'file', bytes: `in ${path}`.length });
  }
  expect((await files.read(longer, { from: `in ${longer}`.length - 3, length: 100 })).toString()).toBe('ger');
  expect(await all(files.stream(longer, { from: 3, bytes: 5 }))).toBe(longer.slice(0, 2));
  expect((await files.list(folder)).map(({ name }) => name)).toEqual(['removed', 'replaced', 'longer']);
  await close();
});

test('pieces stay what they are when further ones are read', async () => {
  const path = join(tempFolder('moment'), 'large');
  const large = ['a', 'b', 'c'].map((letter) => letter.repeat(1 << 20)).join('');
  writeFileSync(path, large);
  const { files, close } = await momentOn(HERE, [path]);
  expect((await all(files.stream(path))) === large).toBe(true);
  expect((await files.read(path)).toString() === large).toBe(true);
  await close();
});

test('one that became shorter is not read as a whole one', async () => {
  const { paths, files, close } = await held('shorter');
  truncateSync(paths[0]!, 2);
  await expect(all(files.stream(paths[0]!))).rejects.toThrow(/shorter of this machine ended at byte 2 of \d+ while/);
  await close();
});

test('none stays open when it is over, or where one of them is not there', async () => {
  const { folder, paths, files, close } = await held('a', 'b');
  expect(openBelow(folder)).toHaveLength(2);
  await close();
  expect(openBelow(folder)).toEqual([]);
  await expect(all(files.stream(paths[0]!))).rejects.toThrow(/is not held any more/);
  await expect(momentOn(HERE, [...paths, join(folder, 'gone')])).rejects.toThrow(/ENOENT.*gone/);
  expect(openBelow(folder)).toEqual([]);
});
