import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { filesFaults } from '../../../src/stores/falkordb/persistence.js';
import { rdbHead } from '../../../src/stores/falkordb/rdb-head.js';
import { open, type RealCluster, realCluster } from '../../support/sandbox.js';
import { tempFolder } from '../../support/temp.js';

let real: RealCluster;

beforeAll(async () => {
  real = await realCluster(100);
});

describe('what a server holds in memory', () => {
  test('is written into an RDB file that is whole, without a file of the server', async () => {
    const { falkordb } = real.cluster;
    const before = await falkordb.config('dir', 'dbfilename');
    const file = join(tempFolder('memory'), 'deep', 'dump.rdb');
    let told = 0;
    const bytes = await falkordb.saveMemory(open, file, { onBytes: (more) => (told += more) });
    expect(told).toBe(bytes);
    expect(await filesFaults({ form: 'dump.rdb', path: file })).toEqual({ faults: [], unproven: [] });
    expect(await rdbHead(file)).toMatchObject({ keys: 'some' });
    expect(await falkordb.config('dir', 'dbfilename')).toEqual(before);
  });

  test('is not written over a file that is there', async () => {
    const file = join(tempFolder('memory'), 'dump.rdb');
    writeFileSync(file, 'mine');
    await expect(real.cluster.falkordb.saveMemory(open, file)).rejects.toThrow(/EEXIST/);
  });

  test('is not left half written when it is broken off', async () => {
    const file = join(tempFolder('memory'), 'dump.rdb');
    const signal = AbortSignal.timeout(200);
    await expect(real.cluster.falkordb.saveMemory(open, file, { signal })).rejects.toThrow(/aborted/);
    expect(existsSync(file)).toBe(false);
  });
});
