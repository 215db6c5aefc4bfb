import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { lookAtArchive } from '../../../src/stores/elsewhere/write-ahead-log.js';
import { gatherWal, reachFrom } from '../../../src/stores/postgres/known-wal.js';
import { openWalArchive } from '../../../src/stores/postgres/open-wal-archive.js';
import { ARCHIVE_GONE, COPY_FAILED } from '../../../src/stores/postgres/wal-archive.js';
import { DEFAULT_SEGMENT_BYTES } from '../../../src/stores/postgres/wal-position.js';
import { awsStandIn } from '../../support/aws-stand-in.js';
import { runFile } from '../../support/program.js';
import { S3_KEYS, type S3Store, s3Store } from '../../support/s3-store.js';
import { tempFolder } from '../../support/temp.js';

const segment = (number: number) => `0000000100000000${number.toString(16).padStart(8, '0')}`.toUpperCase();

let store: S3Store;
beforeAll(async () => {
  store = await s3Store('acme-wal');
  for (const name of [
    segment(2),
    segment(3),
    '00000002.history',
    `${segment(2)}.00000028.backup`,
    `${segment(4)}.gz`,
  ])
    await store.put(`wal/${name}`, name);
  await store.put('wal/deeper/README', 'not of the log');
});
const archive = (place = store.url('wal'), endpoint = store.settings.endpoint) =>
  openWalArchive(place, { ...store.settings, endpoint });

describe('an archive in a bucket', () => {
  test('lists segments, histories and base backups by name', async () => {
    expect(await archive().list(DEFAULT_SEGMENT_BYTES)).toMatchObject({
      segments: [
        { timeline: 1, number: 2 },
        { timeline: 1, number: 3 },
      ],
      histories: [2],
      backups: [`${segment(2)}.00000028.backup`],
      compressed: 1,
    });
    expect(await archive().has(segment(3))).toBe(true);
    expect(await archive().has(segment(9))).toBe(false);
  });

  test('that cannot be read is never taken for an empty one', async () => {
    await expect(archive('s3://nobodys-bucket/wal').list(DEFAULT_SEGMENT_BYTES)).rejects.toThrow(
      /the WAL archive s3:.* cannot be read\. Tried to list .*there is no bucket/,
    );
  });

  test('is told of to who looks for anything that could help', async () => {
    expect(await lookAtArchive(store.url('wal'), store.settings)).toMatchObject({
      unreadable: '',
      sources: [
        { what: 'WAL archive', worth: 'perhaps', facts: expect.stringContaining(`${segment(2)} to ${segment(4)}`) },
      ],
    });
    const nobodys = await lookAtArchive('s3://nobodys-bucket/wal', store.settings);
    expect(nobodys.unreadable).toContain('there is no bucket nobodys-bucket');
  });

  test('tells a segment that is not whole by the listing alone', async () => {
    const wal = await gatherWal(archive(), undefined, DEFAULT_SEGMENT_BYTES);
    const before = store.asked.length;
    const reach = await reachFrom(2 * DEFAULT_SEGMENT_BYTES, [{ timeline: 1, from: 0 }], wal);
    expect(reach.missing).toMatchObject({ name: segment(2), why: 'it has 24 bytes instead of 16777216' });
    expect(store.asked.length).toBe(before);
  });
});

// aws itself takes seconds to start, so it is asked in the long suite only.
const programs: [string, boolean, () => string][] = [
  ['with aws itself', process.env.LONG !== undefined && spawnSync('aws', ['--version']).status === 0, () => ''],
  ['with a stand-in for aws', true, awsStandIn],
];
describe.each(programs.filter(([, isThere]) => isThere))('the restore command, %s,', (_name, _isThere, folder) => {
  let path: string;
  beforeAll(() => {
    path = `${folder()}:${process.env.PATH}`;
  });

  /** What the server's shell makes of the command: its exit code, and what came. */
  async function restore(command: string, name: string, environment: Record<string, string> = {}) {
    const to = join(tempFolder('restored'), 'RECOVERYXLOG');
    const expanded = command.replace(/%[fp%]/g, (sign) => (sign === '%f' ? name : sign === '%p' ? to : '%'));
    const { exitCode, stderr } = await runFile('/bin/sh', ['-c', expanded], {
      environment: { ...S3_KEYS, AWS_MAX_ATTEMPTS: '1', PATH: path, ...environment },
    });
    return { exitCode, stderr, came: existsSync(to) ? readFileSync(to, 'utf8') : undefined };
  }

  test('brings a file', async () => {
    expect(await restore(archive().restoreCommand(segment(3)), segment(3))).toMatchObject({
      exitCode: 0,
      came: segment(3),
    });
  });

  test('says 1, and only then, that a file is absent from an archive that is there', async () => {
    expect(await restore(archive().restoreCommand(segment(3)), segment(9))).toMatchObject({ exitCode: 1 });
  });

  test('says more than 125 when the archive is gone: another bucket, or one without what it had', async () => {
    const gone = archive('s3://nobodys-bucket/wal').restoreCommand(segment(3));
    expect([ARCHIVE_GONE, COPY_FAILED]).toContain((await restore(gone, segment(4))).exitCode);
    const emptied = archive(store.url('emptied')).restoreCommand(segment(3));
    expect((await restore(emptied, segment(4))).exitCode).toBe(ARCHIVE_GONE);
  });

  test('says more than 125, and why, when the store cannot be reached', async () => {
    const unreachable = archive(store.url('wal'), 'http://127.0.0.1:1').restoreCommand(segment(3));
    const { exitCode, stderr } = await restore(unreachable, segment(3));
    expect(exitCode).toBe(COPY_FAILED);
    expect(stderr).toMatch(/connect/i);
  });
});

test('a restore command where there is no aws says more than 125', async () => {
  const command = archive()
    .restoreCommand(segment(3))
    .replaceAll('%f', segment(3))
    .replaceAll('%p', '/nonexistent/x');
  const { exitCode } = await runFile('/bin/sh', ['-c', command], { environment: { PATH: '/nonexistent' } });
  expect(exitCode).toBe(COPY_FAILED);
});
