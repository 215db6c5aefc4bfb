import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { copyTree, differencesBetween, sizeOfTree, treeOf } from '../../src/hosts/copy-tree.js';
import { closedGateway, GatewayRefusal } from '../../src/hosts/gateway.js';
import { open } from '../support/sandbox.js';
import { tempFolder } from '../support/temp.js';

/** A tree as a data directory may be: an empty folder, rights, and a link to a folder elsewhere. */
function tree(): { folder: string; elsewhere: string } {
  const [folder, elsewhere] = [tempFolder('tree'), tempFolder('elsewhere')];
  mkdirSync(join(folder, 'base', '1'), { recursive: true });
  mkdirSync(join(folder, 'empty'));
  writeFileSync(join(folder, 'base', '1', '1259'), Buffer.alloc(70_000, 7));
  writeFileSync(join(folder, 'PG_VERSION'), '15\n', { mode: 0o600 });
  writeFileSync(join(elsewhere, '0001'), 'abc');
  mkdirSync(join(folder, 'pg_tblspc'));
  symlinkSync(elsewhere, join(folder, 'pg_tblspc', '16400'));
  symlinkSync('/nowhere/at/all', join(folder, 'dangling'));
  utimesSync(join(folder, 'PG_VERSION'), new Date(1_000_000), new Date(2_000_000));
  chmodSync(join(folder, 'base'), 0o500);
  return { folder, elsewhere };
}

describe('a copy of a folder', () => {
  test('holds every file with its rights and time, and what links lead to instead of the links', async () => {
    const { folder, elsewhere } = tree();
    const to = join(tempFolder('copy'), 'below', 'data');
    let told = 0;
    await copyTree(open, folder, to, { onBytes: (bytes) => (told += bytes) });
    expect(await differencesBetween(folder, to)).toEqual([]);
    const size = await sizeOfTree(to);
    expect(size).toEqual({ files: 3, folders: 5, bytes: 70_006 });
    expect(await sizeOfTree(folder)).toEqual(size);
    expect(told).toBe(70_006);
    expect(statSync(join(to, 'base')).mode & 0o777).toBe(0o500);
    expect(statSync(join(to, 'PG_VERSION'))).toMatchObject({ mtimeMs: 2_000_000, mode: 0o100600 });
    // What is written into the copy never reaches what the original's link leads to.
    writeFileSync(join(to, 'pg_tblspc', '16400', '0001'), 'changed');
    expect(readFileSync(join(elsewhere, '0001'), 'utf8')).toBe('abc');
    chmodSync(join(to, 'base'), 0o700);
    chmodSync(join(folder, 'base'), 0o700);
  });

  test('is without some names of its top level, and of that alone', async () => {
    const { folder } = tree();
    mkdirSync(join(folder, 'empty', 'base'));
    const to = join(tempFolder('copy'), 'data');
    await copyTree(open, folder, to, { without: ['base', 'pg_tblspc'] });
    expect((await treeOf(to)).map(({ path }) => path)).toEqual(['PG_VERSION', 'empty', 'empty/base']);
    expect(await differencesBetween(folder, to, undefined, { without: ['base', 'pg_tblspc'] })).toEqual([]);
    expect(await differencesBetween(folder, to)).not.toEqual([]);
    chmodSync(join(folder, 'base'), 0o700);
  });

  test('is told apart from one with a file that is shorter, missing or too many', async () => {
    const { folder } = tree();
    chmodSync(join(folder, 'base'), 0o700);
    const to = join(tempFolder('copy'), 'data');
    await copyTree(open, folder, to);
    truncateSync(join(to, 'base', '1', '1259'), 8_192);
    writeFileSync(join(to, 'more'), '');
    mkdirSync(join(folder, 'late'));
    expect(await differencesBetween(folder, to)).toEqual([
      'base/1/1259: 70000 bytes, in the copy 8192 bytes',
      'late: folder, in the copy absent',
      'more: absent, in the copy 0 bytes',
    ]);
  });

  test('is never written over, nor made by a closed gateway, and ends when it is aborted', async () => {
    const { folder } = tree();
    chmodSync(join(folder, 'base'), 0o700);
    const to = tempFolder('taken');
    await expect(copyTree(open, folder, to)).rejects.toThrow(/exists already/);
    const absent = join(to, 'absent');
    await expect(copyTree(closedGateway(), folder, absent)).rejects.toThrow(GatewayRefusal);
    expect(existsSync(absent)).toBe(false);
    const aborted = copyTree(open, folder, absent, { signal: AbortSignal.abort(new Error('no more')) });
    await expect(aborted).rejects.toThrow('no more');
  });

  test('of a folder with a link into itself is refused', async () => {
    const { folder } = tree();
    symlinkSync(folder, join(folder, 'empty', 'round'));
    await expect(sizeOfTree(folder)).rejects.toThrow(/leads back into itself/);
  });
});
