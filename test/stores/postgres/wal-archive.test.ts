import { chmodSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openWalArchive } from '../../../src/stores/postgres/open-wal-archive.js';
import { ARCHIVE_GONE, backupEndOf, COPY_FAILED, rangesOf } from '../../../src/stores/postgres/wal-archive.js';
import { DEFAULT_SEGMENT_BYTES } from '../../../src/stores/postgres/wal-position.js';
import { runFile } from '../../support/program.js';
import { tempFolder } from '../../support/temp.js';

const segment = (number: number, timeline = 1) =>
  `${timeline.toString(16).padStart(8, '0')}00000000${number.toString(16).padStart(8, '0')}`.toUpperCase();

function archiveWith(...names: string[]) {
  const folder = tempFolder('archive');
  for (const name of names) writeFileSync(join(folder, name), name);
  return { folder, archive: openWalArchive(folder) };
}

/** What the server's shell makes of the command: its exit code, and what came. */
async function restore(command: string, name: string) {
  const to = join(tempFolder('restored'), 'RECOVERYXLOG');
  const expanded = command.replace(/%[fp%]/g, (sign) => (sign === '%f' ? name : sign === '%p' ? to : '%'));
  const { exitCode } = await runFile('/bin/sh', ['-c', expanded]);
  const came = (() => {
    try {
      return readFileSync(to, 'utf8');
    } catch {
      return undefined;
    }
  })();
  return { exitCode, came };
}

describe('an archive in a folder', () => {
  test('lists segments, histories and base backups by name, and counts what it cannot read', async () => {
    const { archive } = archiveWith(
      segment(2),
      segment(3),
      segment(1, 2),
      '00000002.history',
      `${segment(2)}.00000028.backup`,
      `${segment(4)}.gz`,
      `${segment(5)}.partial`,
      'README',
    );
    expect(await archive.list(DEFAULT_SEGMENT_BYTES)).toEqual({
      segments: [
        { timeline: 1, number: 2 },
        { timeline: 1, number: 3 },
        { timeline: 2, number: 1 },
      ],
      histories: [2],
      backups: [`${segment(2)}.00000028.backup`],
      compressed: 1,
    });
  });

  test('that is not there is never taken for an empty one', async () => {
    await expect(openWalArchive('/nowhere/at/all').list(DEFAULT_SEGMENT_BYTES)).rejects.toThrow(
      /the WAL archive \/nowhere\/at\/all cannot be read/,
    );
  });

  test('is refused when it is neither a folder of this machine nor of a bucket', () => {
    expect(() => openWalArchive('gs://acme/wal')).toThrow(/a folder of this machine, or s3:/);
  });
});

describe('the restore command', () => {
  test('brings a file, from a folder of any name', async () => {
    const folder = join(tempFolder('archive'), `it's 100% "ours"`);
    mkdirSync(folder);
    writeFileSync(join(folder, segment(3)), 'the log');
    const command = openWalArchive(folder).restoreCommand(segment(3));
    expect(await restore(command, segment(3))).toEqual({ exitCode: 0, came: 'the log' });
  });

  test('says 1, and only then, that a file is absent from an archive that is there', async () => {
    const { archive } = archiveWith(segment(3));
    expect(await restore(archive.restoreCommand(segment(3)), segment(4))).toEqual({
      exitCode: 1,
      came: undefined,
    });
    expect(await restore(archive.restoreCommand(segment(3)), '00000002.history')).toMatchObject({ exitCode: 1 });
  });

  test('says more than 125 when the archive is gone, also where an empty folder is in its place', async () => {
    const { folder, archive } = archiveWith(segment(3));
    const command = archive.restoreCommand(segment(3));
    renameSync(folder, `${folder}-away`);
    expect((await restore(command, segment(4))).exitCode).toBe(ARCHIVE_GONE);
    mkdirSync(folder);
    expect((await restore(command, segment(4))).exitCode).toBe(ARCHIVE_GONE);
    renameSync(`${folder}-away`, join(folder, 'here'));
    expect(ARCHIVE_GONE).toBeGreaterThan(125);
  });

  test('says more than 125 when a file is there and cannot be copied', async () => {
    const { folder, archive } = archiveWith(segment(3));
    // Nobody, root included, can copy a folder with cp.
    mkdirSync(join(folder, segment(4)));
    chmodSync(join(folder, segment(4)), 0o000);
    expect((await restore(archive.restoreCommand(segment(3)), segment(4))).exitCode).toBe(COPY_FAILED);
    chmodSync(join(folder, segment(4)), 0o700);
    expect(COPY_FAILED).toBeGreaterThan(125);
  });
});

test('ranges name first, last and every gap of a timeline', () => {
  const numbers = (timeline: number, ...of: number[]) => of.map((number) => ({ timeline, number }));
  expect(rangesOf([...numbers(2, 9), ...numbers(1, 7, 2, 3, 4, 8, 11)])).toEqual([
    {
      timeline: 1,
      first: 2,
      last: 11,
      gaps: [
        { from: 5, to: 6 },
        { from: 9, to: 10 },
      ],
    },
    { timeline: 2, first: 9, last: 9, gaps: [] },
  ]);
  expect(rangesOf([])).toEqual([]);
});

describe('when a base backup ended, by its history in the archive,', () => {
  const history = (stop: string) =>
    `START WAL LOCATION: 0/2000028 (file ${segment(2)})\nSTOP WAL LOCATION: 0/2000100\nLABEL: nightly\nSTOP TIME: ${stop}\n`;

  test.each([
    ['2026-11-22 20:07:47 UTC', '2026-11-22T20:07:48.000Z'],
    ['2026-11-22 21:07:47 +01', '2026-11-22T20:07:48.000Z'],
  ])('is read up to the end of its second: %s', (stop, endedAt) => {
    expect(backupEndOf(history(stop))).toEqual({
      label: 'nightly',
      startLsn: '0/2000028',
      endedAt: new Date(endedAt),
    });
  });

  test('is not guessed from a zone by name, which may mean several', () => {
    expect(backupEndOf(history('2026-11-22 20:07:47 CST'))).toBeUndefined();
  });
});
