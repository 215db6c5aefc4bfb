import { copyFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { holdNothing } from '../../../src/stores/falkordb/persistence.js';
import { rdbHead } from '../../../src/stores/falkordb/rdb-head.js';
import { open, type RealCluster, realCluster } from '../../support/sandbox.js';
import { tempFolder } from '../../support/temp.js';

let real: RealCluster;
let saved: string;

beforeAll(async () => {
  real = await realCluster();
  await real.cluster.falkordb.write(open, 'SAVE');
  saved = join(real.places.falkordbData, 'dump.rdb');
});

describe('the head of an RDB file', () => {
  test('tells who wrote it, in which format, how much memory that took, and that there are keys', async () => {
    const head = (await rdbHead(saved))!;
    expect(head.writer).toMatch(/^(valkey|redis) \d+\.\d+/);
    expect(head.version).toBeGreaterThanOrEqual(11);
    expect(head.usedMemory).toBeGreaterThan(2_000_000);
    expect(head.keys).toBe('some');
  });

  test('tells that there is no key, in the base that a server writes at its first start', async () => {
    const base = join(real.places.falkordbData, 'appendonlydir', 'appendonly.aof.1.base.rdb');
    expect(await rdbHead(base)).toMatchObject({ keys: 'none' });
    expect(await holdNothing({ form: 'dump.rdb', path: base })).toBe(true);
    expect(await holdNothing({ form: 'dump.rdb', path: saved })).toBe(false);
  });

  test.each([0, 5, 8, 20, 60])('says no more than it has read of one that is cut off at %i bytes', async (bytes) => {
    const cut = join(tempFolder('head'), 'dump.rdb');
    copyFileSync(saved, cut);
    truncateSync(cut, bytes);
    expect((await rdbHead(cut))?.keys ?? 'unknown').toBe('unknown');
  });

  test('is of nothing else than an RDB', async () => {
    const file = join(tempFolder('head'), 'dump.rdb');
    writeFileSync(file, '*1\r\n$4\r\nPING\r\n');
    expect(await rdbHead(file)).toBeUndefined();
  });
});
