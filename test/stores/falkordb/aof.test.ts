import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { beginsAsRdb, parseAofManifest, rdbFault, readAof } from '../../../src/stores/falkordb/aof.js';
import { tempFolder } from '../../support/temp.js';

/** One command as a server writes it. */
const command = (...args: (string | Buffer)[]): Buffer =>
  Buffer.concat([
    Buffer.from(`*${args.length}\r\n`),
    ...args.flatMap((arg) => [Buffer.from(`$${Buffer.byteLength(arg)}\r\n`), Buffer.from(arg), Buffer.from('\r\n')]),
  ]);

function fileOf(...parts: (Buffer | string)[]): string {
  const file = join(tempFolder('aof'), 'appendonly.aof');
  writeFileSync(file, Buffer.concat(parts.map((part) => Buffer.from(part))));
  return file;
}

const SELECT = command('SELECT', '0');
const GRAPH = command('GRAPH.QUERY', 'novamem', 'CREATE (:Memory {id: "a\r\n*3\r\nb€"})');

describe('an append-only file that is whole', () => {
  test('is counted command by command, whatever stands inside the arguments', async () => {
    const file = fileOf(SELECT, GRAPH, command('SET', '', ''));
    const bytes = SELECT.length + GRAPH.length + command('SET', '', '').length;
    expect(await readAof(file)).toEqual({ commands: 3, bytes, wholeBytes: bytes, fault: '' });
  });

  test('may hold annotations, at its end as well', async () => {
    const file = fileOf('#TS:1700000000\r\n', SELECT, '#TS:1700000001\r\n', GRAPH, '#TS:1700000002\r\n');
    expect(await readAof(file)).toMatchObject({ commands: 2, fault: '' });
  });

  test('may be empty', async () => {
    expect(await readAof(fileOf())).toEqual({ commands: 0, bytes: 0, wholeBytes: 0, fault: '' });
  });

  test('may hold arguments larger than any piece that is read at once', async () => {
    const large = command('SET', 'k', Buffer.alloc(2_500_000, '\n'));
    expect(await readAof(fileOf(SELECT, large, SELECT, large, SELECT))).toMatchObject({ commands: 5, fault: '' });
  });
});

describe('an append-only file that is not whole', () => {
  test('is found at every place where it can be cut off, with the bytes that would be dropped', async () => {
    const whole = Buffer.concat([SELECT, GRAPH]);
    for (let cut = 1; cut < whole.length; cut += 1) {
      const reading = await readAof(fileOf(whole.subarray(0, cut)));
      const safe = cut >= SELECT.length ? SELECT.length : 0;
      expect(reading.wholeBytes, `cut at ${cut}`).toBe(safe);
      if (cut === SELECT.length) expect(reading.fault).toBe('');
      else expect(reading.fault, `cut at ${cut}`).toContain(`${cut - safe} bytes would be dropped`);
    }
  });

  test('is found when a large argument is cut off', async () => {
    const large = command('SET', 'k', Buffer.alloc(2_500_000));
    const reading = await readAof(fileOf(SELECT, large.subarray(0, 2_000_000)));
    expect(reading).toMatchObject({ commands: 1, wholeBytes: SELECT.length });
    expect(reading.fault).toContain('2000000 bytes would be dropped');
  });

  test.each([
    ['text', 'garbage here\r\n'],
    ['zeros, as after a power cut', Buffer.alloc(4096)],
    ['a few zeros', Buffer.alloc(7)],
    ['text without an end', 'x'.repeat(100_000)],
    ['an argument without a command', '$3\r\nabc\r\n'],
    ['a command with an argument of no length', '*1\r\nabc\r\n'],
    ['a command with a negative count', '*-1\r\n'],
  ])('is found when it holds %s', async (_what, garbage) => {
    const reading = await readAof(fileOf(SELECT, garbage));
    expect(reading.fault).not.toBe('');
    expect(reading).toMatchObject({ commands: 1, wholeBytes: SELECT.length });
  });

  test('is found when it ends inside a transaction, which a server would drop', async () => {
    const reading = await readAof(fileOf(SELECT, command('MULTI'), GRAPH));
    expect(reading.fault).not.toBe('');
    expect(reading.wholeBytes).toBe(SELECT.length);
    expect((await readAof(fileOf(SELECT, command('MULTI'), GRAPH, command('EXEC')))).fault).toBe('');
  });
});

describe('an RDB file', () => {
  const RDB = Buffer.concat([
    Buffer.from('REDIS0011'),
    Buffer.from('some data'),
    Buffer.from([0xff]),
    Buffer.alloc(8, 1),
  ]);

  test('is known by its beginning', async () => {
    expect(await beginsAsRdb(fileOf(RDB))).toBe(true);
    expect(await beginsAsRdb(fileOf('VALKEY080'))).toBe(true);
    expect(await beginsAsRdb(fileOf(SELECT))).toBe(false);
    expect(await beginsAsRdb(fileOf())).toBe(false);
  });

  test('is whole when it ends with its end mark and checksum, else it was cut off', async () => {
    expect(await rdbFault(fileOf(RDB))).toBe('');
    expect(await rdbFault(fileOf(RDB.subarray(0, -1)))).toMatch(/cut off/);
    expect(await rdbFault(fileOf(RDB.subarray(0, 9)))).not.toBe('');
    expect(await rdbFault(fileOf(SELECT))).toMatch(/does not begin as an RDB file/);
  });
});

describe('the manifest of an append-only directory', () => {
  test('is read with its base, increments and history', () => {
    expect(
      parseAofManifest(
        'file a.aof.2.base.rdb seq 2 type b\r\nfile a.aof.1.base.rdb seq 1 type h\nfile "my a.aof" seq 3 type i startoffset 1\n',
      ),
    ).toEqual([
      { file: 'a.aof.2.base.rdb', seq: 2, type: 'b' },
      { file: 'a.aof.1.base.rdb', seq: 1, type: 'h' },
      { file: 'my a.aof', seq: 3, type: 'i' },
    ]);
  });

  test.each([
    'file ../outside seq 1 type b',
    'file a seq x type b',
    'file a seq 1 type z',
    'rubbish',
  ])('is refused with the line "%s"', (line) => {
    expect(() => parseAofManifest(`file a.aof seq 1 type b\n${line}\n`)).toThrow(/not a line of an AOF manifest/);
  });
});
