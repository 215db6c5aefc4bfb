import { existsSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { filesBelow } from '../../src/hosts/files.js';
import { ForeignCluster } from '../support/foreign-cluster.js';
import { ForeignProgram, wordsOf } from '../support/foreign-program.js';
import type { Measured } from '../support/measure.js';
import { runFile } from '../support/program.js';

// A cluster whose stores and whose novamem speak TLS only, under a CA of their own; FalkorDB asks for a certificate as well.

let cluster: ForeignCluster;
let program: ForeignProgram;
let before: Measured;
let backup: Awaited<ReturnType<ForeignProgram['backUp']>>;

beforeAll(async () => {
  cluster = await ForeignCluster.start(600, { tls: true });
  program = new ForeignProgram(cluster);
  before = await cluster.measure();
  // With a base backup: pg_basebackup and the replication connection are channels of their own.
  await cluster.postgres((client) => client.query('ALTER ROLE novamem REPLICATION'), 'postgres', 'postgres');
  backup = await program.backUp('a set', {}, '--set', 'backup-base.take=true');
});

afterAll(async () => {
  await cluster?.stop();
  program?.remove();
});

/** What is shown of a plan is what a person would paste. */
const paste = (command: string) => runFile('/bin/sh', ['-c', command], { environment: cluster.environment });

describe('a cluster that speaks TLS only', () => {
  test('is found healthy', async () => {
    const seen = await program.run('diagnose', '--profile', backup.profile);
    expect(seen.exitCode, wordsOf(seen)).toBe(0);
    expect(seen.stdout).toContain('is healthy');
    expect(seen.stderr).toBe('');
  });

  test('is backed up by every program that has a part in it', async () => {
    const files = await filesBelow(program.home);
    for (const part of ['postgres/novamem.dump', 'postgres/base/backup_manifest', 'manifest.json'])
      expect(
        files.some((file) => file.endsWith(part)),
        part,
      ).toBe(true);
  });

  test('gets plans whose commands a person can paste', async () => {
    const planned = await Promise.all(
      [['backup'], ['whole-cluster-lost', ...backup.named]].map((scenario) =>
        program.run('plan', ...scenario, '--profile', backup.profile, '--json'),
      ),
    );
    const commands = planned.flatMap(({ stdout }) =>
      stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as { plan?: { commands: string[] } })
        .flatMap(({ plan }) => plan?.commands ?? []),
    );
    const command = (words: RegExp) => commands.find((one) => words.test(one)) ?? commands.join('\n');

    const dump = command(/\/pg_dump/);
    expect(dump).toContain(`PGSSLMODE=verify-full PGSSLROOTCERT=${cluster.tls!.ca.caFile}`);
    const readable = dump
      .replace(/ --file[ =]('[^']*'|\S+)/, '')
      .replace(/ --format[ =]custom/, '')
      .replace(/ --compress[ =]\S+/, '')
      .replace('/pg_dump', '/pg_dump --schema-only');
    const dumped = await paste(readable);
    expect(dumped.stdout, dumped.stderr).toContain('memory_entries');

    const listed = await paste(command(/^curl.*\/snapshots'?$/).replace('-X POST ', ''));
    expect(listed.stdout, listed.stderr).toContain('"status":"ok"');

    const healthy = await paste(command(/^curl.*\/health$/));
    expect(healthy.stdout, healthy.stderr).toContain('"ok":true');

    const client = cluster.binaries.redis.includes('valkey') ? 'valkey-cli' : 'redis-cli';
    const ping = command(/redis-cli -u/)
      .replace('redis-cli', client)
      .replace('SHUTDOWN NOSAVE', 'PING');
    expect(ping).toMatch(/--tls --cacert \S+ --cert \S+ --key \S+/);
    const answered = await paste(ping);
    expect(answered.stdout, answered.stderr).toContain('PONG');
  });

  test('is lost and recovered whole, everything equal', async () => {
    await cluster.lose();
    const lost = await program.run('diagnose', '--profile', backup.profile);
    expect(lost.exitCode).toBe(1);
    expect(lost.stdout).toMatch(/1\. whole-cluster-lost/);
    const ended = await program.recover('whole-cluster-lost', backup.profile, {}, ...backup.named);
    expect(ended.exitCode, wordsOf(ended)).toBe(0);
    expect(ended.stdout).toMatch(/recovered/);
    expect(await cluster.measure()).toEqual(before);
    expect(await program.leaks(ended)).toEqual([]);
  });

  test('is recovered again while every store stands, over what was written since', async () => {
    await cluster.writeOn();
    const ended = await program.recover('whole-cluster-lost', backup.profile, {}, ...backup.named);
    expect(ended.exitCode, wordsOf(ended)).toBe(0);
    expect(await cluster.measure()).toEqual(before);
    expect(await program.leaks(ended)).toEqual([]);
  });

  test('has its keys in no file that the program wrote', async () => {
    const { server, client } = cluster.tls!;
    const keys = [server, client].map(({ keyFile }) => readFileSync(keyFile, 'utf8').split('\n')[1]!);
    const written = (await filesBelow(program.home)).filter((file) => existsSync(`${program.home}/${file}`));
    const holding = written.filter((file) =>
      keys.some((key) => readFileSync(`${program.home}/${file}`, 'latin1').includes(key)),
    );
    expect(holding).toEqual([]);
  });
});
