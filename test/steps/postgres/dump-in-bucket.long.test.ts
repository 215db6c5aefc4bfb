import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { stringify } from 'yaml';
import { postgresBackup } from '../../../src/steps/postgres/backup.js';
import { Cluster } from '../../../src/stores/cluster.js';
import { dumpsIntoBucket } from '../../support/dump-into-bucket.js';
import { eventually } from '../../support/eventually.js';
import { faultyProxy, httpAnswer } from '../../support/faulty-proxy.js';
import { PROGRAM } from '../../support/program.js';
import { S3_KEYS } from '../../support/s3-store.js';
import { perform, unequal } from '../../support/sandbox.js';
import { tempFolder } from '../../support/temp.js';

// A dump that is larger than a part of what is sent to a bucket, and what ends it half-way.

vi.setConfig({ testTimeout: 240_000, hookTimeout: 120_000 });

const { real, store, proxy, newBackup, dumpOf, asked } = dumpsIntoBucket((real) =>
  // Small in the database, and large in a dump that is not compressed.
  real.sql(
    'CREATE TABLE ballast AS SELECT g AS id, repeat(md5(g::text), 320) AS words FROM generate_series(1, 16000) g',
  ),
);

const RAW = { compress: 0 };
/** How many transfers into a set were begun, neither ended nor given up; and whether the store was told so after the last part. */
function halfSent(id: string): { open: number; partsAfter: number } {
  const own = asked(new RegExp(`/${id}/postgres/novamem\\.dump\\?`));
  const over = own.filter((one) => /^(DELETE|POST) .*uploadId=/.test(one));
  return {
    open: own.filter((one) => /^POST .*\?uploads/.test(one)).length - over.length,
    partsAfter: own.slice(own.lastIndexOf(over.at(-1)!) + 1).filter((one) => one.startsWith('PUT')).length,
  };
}
const NOTHING = { open: 0, partsAfter: 0 };
const dumping = () => real().sql("SELECT pid FROM pg_stat_activity WHERE application_name = 'pg_dump'");

describe('a large dump for a bucket', () => {
  test('goes there in parts while pg_dump writes it, is read back once, and never lies here', async () => {
    const ctx = newBackup('well');
    const { error, facts, output } = await perform(postgresBackup, RAW, ctx);
    expect(error).toBeUndefined();
    expect(asked(/^PUT .*well\/postgres\/novamem\.dump\?.*partNumber=/).length).toBeGreaterThan(8);
    expect(asked(/^GET .*well\/postgres\/novamem\.dump/).length).toBe(1);
    expect(await dumpOf('well')).toBe(facts.part!.bytes);
    expect(facts.rows!['public.ballast']).toBe(16_000);
    expect(output.at(-1)).toMatch(/were read back from s3:.*: they are what was sent, with [\d,]+ rows in them$/);
    expect(await unequal(postgresBackup, RAW, ctx, facts)).toEqual([]);
    expect(await postgresBackup.probe({} as never, ctx, facts)).toBe('done');
    expect(existsSync(join(ctx.newBackup!.folder, 'postgres'))).toBe(false);
  });

  test('of which pg_dump is ended half-way leaves nothing half there, and is taken again', async () => {
    const ctx = newBackup('ended');
    const failing = perform(postgresBackup, RAW, ctx);
    await eventually('a part is sent', async () => asked(/^PUT .*ended\/.*partNumber=1/).length > 0);
    await real().sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pg_dump'");
    const { error, facts } = await failing;
    expect(error?.message).toBe('pg_dump ended with 1');
    expect([await dumpOf('ended'), halfSent('ended')]).toEqual([undefined, NOTHING]);
    expect(await postgresBackup.probe({} as never, ctx, facts)).toBe('not-started');
    const second = await perform(postgresBackup, {}, { ...ctx, earlier: { ...facts } });
    expect(second.error).toBeUndefined();
    expect(await unequal(postgresBackup, {}, ctx, second.facts)).toEqual([]);
  });

  test('that is aborted ends pg_dump, and leaves nothing half there', async () => {
    const stop = new AbortController();
    const ending = perform(postgresBackup, RAW, newBackup('aborted'), { signal: stop.signal });
    await eventually('a part is sent', async () => asked(/^PUT .*aborted\/.*partNumber=1/).length > 0);
    stop.abort(new Error('the engineer aborted it'));
    expect((await ending).error?.message).toBe('the engineer aborted it');
    expect([await dumpOf('aborted'), halfSent('aborted')]).toEqual([undefined, NOTHING]);
    await eventually('pg_dump is gone', async () => (await dumping()).length === 0);
  });

  test('of a server that lets nobody in any more is given up, and leaves nothing half there', async () => {
    const server = await faultyProxy(`http://${real().cluster.postgres.host}:${real().cluster.postgres.port}`);
    const url = new URL(real().cluster.profile.postgres.url);
    url.port = String(server.port);
    const ctx = newBackup('silent');
    const profile = { ...ctx.cluster.profile, postgres: { ...ctx.cluster.profile.postgres, url: url.href } };
    const failing = perform(
      postgresBackup,
      { ...RAW, patienceSeconds: 1 },
      { ...ctx, cluster: new Cluster(profile) },
    );
    await eventually('a part is sent', async () => asked(/^PUT .*silent\/.*partNumber=1/).length > 0);
    await server.become({ kind: 'silent' });
    expect((await failing).error).toBeDefined();
    expect([await dumpOf('silent'), halfSent('silent')]).toEqual([undefined, NOTHING]);
  });

  test('that the bucket refuses ends pg_dump, says what is refused, and is taken again', async () => {
    const ctx = newBackup('refused');
    await proxy().become({
      kind: 'answers',
      to: /^PUT .*novamem\.dump\?.*partNumber=3/,
      answer: httpAnswer(403, '<Error><Code>AccessDenied</Code></Error>', { type: 'application/xml' }),
    });
    const first = await perform(postgresBackup, RAW, ctx);
    await proxy().become();
    expect(first.error?.message).toMatch(/^Tried to write s3:.*novamem\.dump.*refuses it/);
    expect(halfSent('refused')).toEqual(NOTHING);
    expect(await postgresBackup.probe({} as never, ctx, first.facts)).toBe('not-started');
    const second = await perform(postgresBackup, {}, { ...ctx, earlier: { ...first.facts } });
    expect(second.error).toBeUndefined();
  });

  test('of any size takes no more memory', async () => {
    const profile = { ...real().cluster.profile, backups: [store().url('flat')], s3: store().settings };
    const file = join(tempFolder('profile'), 'acme.yaml');
    writeFileSync(file, stringify(profile));
    const peakOf = async (compress: number) => {
      const args = [PROGRAM, 'backup', '--profile', file, '--set', `backup-postgres.compress=${compress}`];
      const child = spawn(process.execPath, args, { env: { ...process.env, ...S3_KEYS }, stdio: 'ignore' });
      let peak = 0;
      const timer = setInterval(() => {
        const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
        peak = Math.max(peak, Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? 0) / 1024);
      }, 50);
      const [code] = (await once(child, 'exit').finally(() => clearInterval(timer))) as [number];
      expect(code).toBe(0);
      return peak;
    };
    await real().sql(
      'CREATE TABLE more AS SELECT g AS id, repeat(md5(g::text), 320) AS words FROM generate_series(1, 48000) g',
    );
    const small = await peakOf(9);
    const large = await peakOf(0);
    await real().sql('DROP TABLE more');
    // 640 MB went through, of which three parts of 16 MiB are in memory.
    expect(large - small).toBeLessThan(120);
  });
});
