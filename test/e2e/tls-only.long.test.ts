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
  });

  test('gets plans whose commands a person can paste', async () => {
    const planned = await program.run('plan', 'backup', '--profile', backup.profile);
    expect(planned.exitCode, wordsOf(planned)).toBe(0);
    const lines = planned.stdout.split('\n').map((line) => line.trim());
    const dump = lines.find((line) => line.includes('/pg_dump'))!;
    expect(dump).toContain(`PGSSLMODE=verify-full PGSSLROOTCERT=${cluster.tls!.ca.caFile}`);
    const readable = dump.replace(/ --file[ =]\S+/, '').replace('/pg_dump', '/pg_dump --schema-only');
    const pasted = await paste(readable.replace(/ --format[ =]custom/, '').replace(/ --compress[ =]\S+/, ''));
    expect(pasted.stdout, pasted.stderr).toContain('memory_entries');
    const snapshot = lines.find((line) => line.startsWith('curl') && line.includes('/snapshots'))!;
    const list = snapshot.replace('-X POST ', '').replace(/ -o .*/, '');
    expect((await paste(list)).stdout).toContain('"status":"ok"');
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

  test('gets each store restored while the others stand, and goes back by what was replaced', async () => {
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
