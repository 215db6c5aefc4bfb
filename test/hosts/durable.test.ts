import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { keepOnDisk, writeDurably } from '../../src/hosts/durable.js';
import { tempFolder } from '../support/temp.js';

const isRoot = process.getuid?.() === 0;

describe('a text that is written durably', () => {
  test('is there as a whole, for its owner only, and nothing lies beside it', async () => {
    const folder = tempFolder();
    await writeDurably(join(folder, 'one'), 'Zürich\n');
    expect(readFileSync(join(folder, 'one'), 'utf8')).toBe('Zürich\n');
    expect(statSync(join(folder, 'one')).mode & 0o777).toBe(0o600);
    expect(readdirSync(folder)).toEqual(['one']);
  });

  test('keeps the rights of the file that it replaces', async () => {
    const file = join(tempFolder(), 'one');
    writeFileSync(file, 'before');
    chmodSync(file, 0o640);
    await writeDurably(file, 'after');
    expect([readFileSync(file, 'utf8'), statSync(file).mode & 0o777]).toEqual(['after', 0o640]);
  });

  test.runIf(isRoot)('keeps its owner', async () => {
    const file = join(tempFolder(), 'one');
    writeFileSync(file, 'before');
    chownSync(file, 65534, 65534);
    await writeDurably(file, 'after');
    expect(statSync(file)).toMatchObject({ uid: 65534, gid: 65534 });
  });

  test('goes into the file to which a link leads', async () => {
    const folder = tempFolder();
    mkdirSync(join(folder, 'elsewhere'));
    writeFileSync(join(folder, 'elsewhere', 'real'), 'before');
    symlinkSync(join('elsewhere', 'real'), join(folder, 'link'));
    await writeDurably(join(folder, 'link'), 'after');
    expect(readFileSync(join(folder, 'elsewhere', 'real'), 'utf8')).toBe('after');
  });

  test('leaves what was there where it cannot be written', async () => {
    const folder = tempFolder();
    mkdirSync(join(folder, 'a-folder'));
    await expect(writeDurably(join(folder, 'a-folder'), 'text')).rejects.toThrow();
    await expect(writeDurably(join(folder, 'absent', 'one'), 'text')).rejects.toThrow(/ENOENT/);
    expect(readdirSync(folder)).toEqual(['a-folder']);
    expect(existsSync(join(folder, 'absent'))).toBe(false);
  });
});

test('a tree with links that lead nowhere, and with empty folders, is kept', async () => {
  const folder = tempFolder();
  mkdirSync(join(folder, 'empty'));
  symlinkSync('nowhere', join(folder, 'link'));
  await keepOnDisk(folder);
  await expect(keepOnDisk(join(folder, 'absent'))).rejects.toThrow(/ENOENT/);
});
