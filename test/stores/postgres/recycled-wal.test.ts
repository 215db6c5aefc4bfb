import { execFileSync } from 'node:child_process';
import { appendFileSync, chownSync, copyFileSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, expect, test } from 'vitest';
import { freePorts } from '../../../src/sandbox/free-ports.js';
import { courseTo, gatherWal, type KnownWal, reachFrom } from '../../../src/stores/postgres/known-wal.js';
import { openWalArchive } from '../../../src/stores/postgres/open-wal-archive.js';
import { describeServer } from '../../../src/stores/postgres/server.js';
import { toolsFor } from '../../../src/stores/postgres/tools.js';
import { readSegmentHeader } from '../../../src/stores/postgres/wal-archive.js';
import {
  DEFAULT_SEGMENT_BYTES,
  type Lsn,
  parseLsn,
  parseSegmentName,
  segmentName,
  segmentNumberAt,
} from '../../../src/stores/postgres/wal-position.js';
import { HERE } from '../../../src/stores/storage/here.js';
import { eventually } from '../../support/eventually.js';
import { realCluster } from '../../support/sandbox.js';
import { tempFolder } from '../../support/temp.js';

let stop = () => {};
afterAll(() => stop());

const nameOf = (timeline: number, number: number) => segmentName({ timeline, number }, DEFAULT_SEGMENT_BYTES);

test('a segment that a server has only kept for later is not of the log: after a promotion it may tell its very place', async () => {
  const real = await realCluster(10);
  const { postgres } = real.cluster;
  const { bin } = await toolsFor((await describeServer(postgres)).major);
  const folder = join(real.record.folder, 'promoted');
  const { uid, gid } = statSync(real.places.postgresData);
  mkdirSync(folder, { mode: 0o700 });
  chownSync(folder, uid, gid);
  const environment = { ...process.env, ...postgres.toolEnvironment.environment };
  const run = (program: string, ...args: string[]) =>
    void execFileSync(join(bin, program), args, {
      cwd: '/',
      stdio: 'ignore',
      env: { ...environment, ...postgres.toolEnvironment.secretEnvironment },
      ...(process.getuid?.() === 0 ? { uid, gid } : {}),
    });
  run('pg_basebackup', ...postgres.toolArguments, '--checkpoint', 'fast', '--wal-method', 'none', '-D', folder);
  const first = segmentNumberAt(await positionOf(real.sql), DEFAULT_SEGMENT_BYTES) - 1;
  await real.sql('CREATE TABLE story (id int)');
  await real.sql("SELECT pg_create_restore_point('here')");
  const left = segmentNumberAt(await positionOf(real.sql), DEFAULT_SEGMENT_BYTES);
  for (let n = 0; n < 2; n += 1) {
    await real.sql('SELECT pg_switch_wal()');
    await real.sql('INSERT INTO story VALUES (1)');
  }

  // As its manual says: what was not archived is copied into the recovered server's own folder.
  const own = join(folder, 'pg_wal');
  for (let number = first; number <= left + 1; number += 1) {
    const to = join(own, nameOf(1, number));
    copyFileSync(join(real.places.postgresData, 'pg_wal', nameOf(1, number)), to);
    chownSync(to, uid, gid);
  }
  const [port] = await freePorts(1);
  const settings = `port = ${port}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = ''\narchive_mode = off\nwal_keep_size = 1GB\nrestore_command = 'false'\nrecovery_target_name = 'here'\nrecovery_target_action = 'promote'\n`;
  appendFileSync(join(folder, 'postgresql.auto.conf'), settings);
  writeFileSync(join(folder, 'recovery.signal'), '');
  stop = () => {
    stop = () => {};
    run('pg_ctl', '-D', folder, '-m', 'immediate', '-w', 'stop');
  };
  run('pg_ctl', '-D', folder, '-l', join(folder, 'log'), '-w', 'start');
  const sql = async (text: string) => {
    const password = postgres.toolEnvironment.secretEnvironment.PGPASSWORD;
    const { user, database } = postgres;
    const client = new pg.Client({ host: '127.0.0.1', port: port!, user, database, password });
    await client.connect();
    try {
      return (await client.query(text)).rows as Record<string, unknown>[];
    } finally {
      await client.end();
    }
  };
  await eventually('it is promoted', async () => (await sql('SELECT pg_is_in_recovery() AS is'))[0]!.is === false);

  // What was left behind on timeline 1 waits for its turn on timeline 2, under the same number.
  const kept = nameOf(2, left + 1);
  const told = await readSegmentHeader({ file: join(own, kept), storage: HERE });
  expect(told).toMatchObject({ timeline: 1, begins: (left + 1) * DEFAULT_SEGMENT_BYTES });
  const archive = openWalArchive(tempFolder('archive'));
  const gather = () => gatherWal(archive, own, DEFAULT_SEGMENT_BYTES);
  const before = await gather();
  expect(before.unarchived).not.toContain(kept);
  expect(before.unarchived).toEqual(
    expect.arrayContaining([nameOf(1, left - 1), nameOf(2, left), '00000002.history']),
  );
  const reach = await reachFrom(first * DEFAULT_SEGMENT_BYTES, await courseTo(2, before), before);
  expect(reach.missing).toBeUndefined();
  expect(reach.until).toBe((left + 1) * DEFAULT_SEGMENT_BYTES);

  // The same segment is of the log once it is written, and those that a checkpoint keeps for later are not.
  await sql('ALTER SYSTEM SET wal_keep_size = 0');
  await sql('SELECT pg_reload_conf()');
  for (let n = 0; n < 6; n += 1) {
    await sql('INSERT INTO story VALUES (2)');
    await sql('SELECT pg_switch_wal()');
    await sql('CHECKPOINT');
  }
  await sql('INSERT INTO story VALUES (3)');
  const current = segmentNumberAt(await positionOf(sql), DEFAULT_SEGMENT_BYTES);
  expect(newest(before)).toBe(left);
  const after = await gather();
  expect(newest(after)).toBe(current);
  const later = readdirSync(own).filter((name) => (numberOf(name) ?? 0) > current);
  expect(later.length).toBeGreaterThan(0);
});

async function positionOf(sql: (text: string) => Promise<Record<string, unknown>[]>): Promise<Lsn> {
  return parseLsn((await sql('SELECT pg_current_wal_lsn()::text AS at'))[0]!.at as string)!;
}

const numberOf = (name: string) => parseSegmentName(name, DEFAULT_SEGMENT_BYTES)?.number;
const newest = ({ segments }: KnownWal) => Math.max(...segments.map((one) => one.number));
