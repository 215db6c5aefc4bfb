import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseAofManifest } from '../../../src/stores/falkordb/aof.js';
import {
  type FalkordbFiles,
  filesFaults,
  type PersistenceSettings,
  placementOf,
  placementRefusal,
} from '../../../src/stores/falkordb/persistence.js';
import { tempFolder } from '../../support/temp.js';

const RDB = Buffer.concat([Buffer.from('REDIS0011 some data'), Buffer.from([0xff]), Buffer.alloc(8, 1)]);
const AOF = '*1\r\n$4\r\nPING\r\n';

const settings = (appendonly: boolean): PersistenceSettings => ({
  dir: '/srv/data',
  dbfilename: 'mine.rdb',
  appendonly,
  appendfilename: 'mine.aof',
  appenddirname: 'minedir',
});

const ASIDE = ['/srv/data/minedir', '/srv/data/mine.aof', '/srv/data/mine.rdb'];

function fileOf(name: string, content: Buffer | string): string {
  const file = join(tempFolder('falkordb'), name);
  writeFileSync(file, content);
  return file;
}

function directoryOf(files: Record<string, Buffer | string>): FalkordbFiles {
  const path = join(tempFolder('falkordb'), 'appendonlydir');
  mkdirSync(path);
  for (const [name, content] of Object.entries(files)) writeFileSync(join(path, name), content);
  return { form: 'appendonlydir', path };
}

const MANIFEST = 'file a.aof.1.base.rdb seq 1 type b\nfile a.aof.1.incr.aof seq 1 type i\n';
const WHOLE = { 'a.aof.manifest': MANIFEST, 'a.aof.1.base.rdb': RDB, 'a.aof.1.incr.aof': AOF };

describe('with "appendonly yes" everything is placed as a directory with a manifest:', () => {
  test('F1: dump.rdb as its base', async () => {
    const path = fileOf('dump.rdb', RDB);
    expect(await placementOf({ form: 'dump.rdb', path }, settings(true))).toEqual({
      copies: [{ from: path, to: '/srv/data/minedir/mine.aof.1.base.rdb' }],
      texts: [{ to: '/srv/data/minedir/mine.aof.manifest', text: 'file mine.aof.1.base.rdb seq 1 type b\n' }],
      aside: ASIDE,
    });
  });

  test('F4: a lone appendonly.aof of commands as a base of commands', async () => {
    const path = fileOf('appendonly.aof', AOF);
    expect(await placementOf({ form: 'appendonly.aof', path }, settings(true))).toEqual({
      copies: [{ from: path, to: '/srv/data/minedir/mine.aof.1.base.aof' }],
      texts: [{ to: '/srv/data/minedir/mine.aof.manifest', text: 'file mine.aof.1.base.aof seq 1 type b\n' }],
      aside: ASIDE,
    });
  });

  test('a lone appendonly.aof that begins with an RDB part as such a base', async () => {
    const path = fileOf('appendonly.aof', Buffer.concat([RDB, Buffer.from(AOF)]));
    const { copies } = await placementOf({ form: 'appendonly.aof', path }, settings(true));
    expect(copies).toEqual([{ from: path, to: '/srv/data/minedir/mine.aof.1.base.rdb' }]);
  });

  test('F8: a directory under the manifest name of this server, without its history', async () => {
    const files = directoryOf({
      ...WHOLE,
      'a.aof.manifest': `file a.aof.0.base.rdb seq 0 type h\n${MANIFEST}`,
    });
    expect(await placementOf(files, settings(true))).toEqual({
      copies: ['a.aof.1.base.rdb', 'a.aof.1.incr.aof'].map((name) => ({
        from: join(files.path, name),
        to: join('/srv/data/minedir', name),
      })),
      texts: [{ to: '/srv/data/minedir/mine.aof.manifest', text: MANIFEST }],
      aside: ASIDE,
    });
  });

  test('a directory whose file names hold spaces under a manifest that can be read back', async () => {
    const files = directoryOf({
      'my a.aof.manifest': 'file "my a.aof.1.base.rdb" seq 1 type b\n',
      'my a.aof.1.base.rdb': RDB,
    });
    const { texts } = await placementOf(files, settings(true));
    expect(parseAofManifest(texts[0]!.text)).toEqual([{ file: 'my a.aof.1.base.rdb', seq: 1, type: 'b' }]);
  });
});

describe('with "appendonly no"', () => {
  test('F8: dump.rdb is placed under the name of this server', async () => {
    const path = fileOf('dump.rdb', RDB);
    expect(await placementOf({ form: 'dump.rdb', path }, settings(false))).toEqual({
      copies: [{ from: path, to: '/srv/data/mine.rdb' }],
      texts: [],
      aside: ASIDE,
    });
  });

  test.each([
    'appendonlydir',
    'appendonly.aof',
  ] as const)('F3: %s is refused: the server would start empty', (form) => {
    expect(placementRefusal(form, settings(false))).toMatch(/would ignore .* and start empty/);
    expect(placementRefusal(form, settings(true))).toBe('');
  });

  test('dump.rdb is not refused, with either setting', () => {
    expect([placementRefusal('dump.rdb', settings(false)), placementRefusal('dump.rdb', settings(true))]).toEqual([
      '',
      '',
    ]);
  });
});

describe('what is wrong with the files', () => {
  test('nothing, when the directory is whole', async () => {
    expect(await filesFaults(directoryOf(WHOLE))).toEqual({ faults: [], unproven: [] });
  });

  test('nothing, when the newest increment is still empty', async () => {
    expect((await filesFaults(directoryOf({ ...WHOLE, 'a.aof.1.incr.aof': '' }))).faults).toEqual([]);
  });

  const two = `${MANIFEST}file a.aof.2.incr.aof seq 2 type i\n`;
  test.each([
    ['F5: a missing manifest', { ...WHOLE, 'a.aof.manifest': undefined }, /no manifest/],
    ['F6: a file that the manifest names and that is absent', { ...WHOLE, 'a.aof.1.incr.aof': undefined }, /absent/],
    ['F7: a truncated increment', { ...WHOLE, 'a.aof.1.incr.aof': AOF.slice(0, -3) }, /bytes would be dropped/],
    ['a truncated base', { ...WHOLE, 'a.aof.1.base.rdb': RDB.subarray(0, -4) }, /cut off/],
    ['an empty base', { ...WHOLE, 'a.aof.1.base.rdb': '' }, /is empty/],
    [
      'an empty increment that is not the newest',
      { ...WHOLE, 'a.aof.manifest': two, 'a.aof.1.incr.aof': '', 'a.aof.2.incr.aof': AOF },
      /is empty/,
    ],
    [
      'a manifest without a base',
      { ...WHOLE, 'a.aof.manifest': MANIFEST.split('\n').slice(1).join('\n') },
      /no base/,
    ],
  ])('%s', async (_what, files, fault) => {
    const there = Object.entries(files).flatMap(([name, content]) =>
      content === undefined ? [] : [[name, content]],
    );
    const { faults } = await filesFaults(directoryOf(Object.fromEntries(there)));
    expect(faults).toEqual([expect.stringMatching(fault)]);
  });

  test('a lone file that is cut off', async () => {
    const faultOf = async (form: FalkordbFiles['form'], content: Buffer | string) =>
      (await filesFaults({ form, path: fileOf('file', content) })).faults;
    expect(await faultOf('appendonly.aof', AOF)).toEqual([]);
    expect(await faultOf('appendonly.aof', AOF.slice(0, -1))).toHaveLength(1);
    expect(await faultOf('dump.rdb', RDB)).toEqual([]);
    expect(await faultOf('dump.rdb', RDB.subarray(0, 15))).toHaveLength(1);
  });

  test('what cannot be looked into is said', async () => {
    const path = fileOf('appendonly.aof', Buffer.concat([RDB, Buffer.from(AOF)]));
    expect((await filesFaults({ form: 'appendonly.aof', path })).unproven).toHaveLength(1);
  });
});
