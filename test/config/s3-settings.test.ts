import { describe, expect, test } from 'vitest';
import { s3Schema } from '../../src/config/s3.js';

const faults = (settings: object) => {
  const { error } = s3Schema.safeParse(settings);
  return error?.issues.map(({ path, message }) => `${path.join('.')}: ${message}`) ?? [];
};

describe('the s3 settings of a profile', () => {
  test('may be left out, all or in part', () => {
    expect(faults({})).toEqual([]);
    expect(faults({ endpoint: 'https://minio:9000', forcePathStyle: true, caFile: '/etc/ca.pem' })).toEqual([]);
  });

  test.each([
    [{ endpoint: 'minio:9000' }, /^endpoint: not a URL/],
    [{ endpoint: 'https://key:secret@minio:9000' }, /^endpoint: holds credentials; take them out/],
    [{ endpoint: 'http://minio:9000', caFile: '/etc/ca.pem' }, /^caFile: has no effect with http/],
    [{ accessKeyId: 'x' }, /Unrecognized key/],
  ])('%j is refused', (settings, words) => {
    expect(faults(settings)).toEqual([expect.stringMatching(words)]);
  });
});
