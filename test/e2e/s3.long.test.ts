import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { stringify } from 'yaml';
import { filesBelow } from '../../src/hosts/files.js';
import { wholeClusterLost } from '../../src/sandbox/disasters/backups.js';
import { sceneOf } from '../../src/sandbox/disasters/disaster.js';
import { sandboxDown } from '../../src/sandbox/sandbox.js';
import { eventually } from '../support/eventually.js';
import { type FaultyProxy, faultyProxy, httpAnswer } from '../support/faulty-proxy.js';
import { type Ended, PROGRAM, runProgram } from '../support/program.js';
import { S3_KEYS, type S3Store, s3Store } from '../support/s3-store.js';
import { type RealCluster, realCluster } from '../support/sandbox.js';
import { tempFolder } from '../support/temp.js';

// The real program, a cluster whose only backup root is a bucket, and a connection to it that breaks again and again.

vi.setConfig({ testTimeout: 300_000, hookTimeout: 240_000 });

const SECRET = 'a-secret-that-nobody-may-read';
let real: RealCluster;
let store: S3Store;
let proxy: FaultyProxy;
let profile: string;

const run = (...words: string[]): Promise<Ended> =>
  runProgram([...words], { environment: { ...S3_KEYS, AWS_SESSION_TOKEN: '' }, timeoutMs: 240_000 });
const said = ({ stdout, stderr }: Ended) => stdout + stderr;

/** The throw-away cluster that a drill was told to keep. */
let kept = '';
afterAll(async () => {
  if (kept !== '') await sandboxDown(kept);
});

beforeAll(async () => {
  real = await realCluster(600);
  store = await s3Store();
  proxy = await faultyProxy(store.settings.endpoint);
  profile = join(tempFolder('profile'), 'acme.yaml');
  const settings = { ...store.settings, endpoint: proxy.url };
  writeFileSync(profile, stringify({ ...real.cluster.profile, backups: [store.url('acme')], s3: settings }));
});

const BREAKS = { kind: 'half-closes', after: 60_000 } as const;

describe('a cluster whose only backup root is a bucket', () => {
  test('is backed up, and the set is listed and whole', async () => {
    const backup = await run('backup', '--profile', profile);
    expect(backup.exitCode, said(backup)).toBe(0);
    const listed = await run('backups', 'list', '--profile', profile);
    expect(listed.stdout).toMatch(/manifest.*s3:\/\/acme-backups\/acme\/\d{8}T\d{6}Z/);
    const verified = await run('backups', 'verify', 'latest', '--profile', profile);
    expect(verified.exitCode, said(verified)).toBe(0);
  });

  test('is backed up by a resumed run where the program was killed while it sent', async () => {
    const from = store.asked.length;
    const child = spawn(process.execPath, [PROGRAM, 'backup', '--profile', profile], {
      env: { ...process.env, ...S3_KEYS, AWS_SESSION_TOKEN: '' },
      stdio: 'ignore',
    });
    const ended = once(child, 'exit');
    const sent = () => store.asked.slice(from).filter((one) => /^PUT .*\.(snapshot|dump)/.test(one));
    await eventually('a piece of it is sent', async () => sent().length > 0);
    child.kill('SIGKILL');
    await ended;
    const [killed] = JSON.parse((await run('runs', 'list', '--json')).stdout) as {
      id: string;
      outcome: string | null;
    }[];
    const before = (await run('backups', 'list', '--profile', profile)).stdout;
    expect(before).toMatch(/unusable.*is unfinished/);
    const resumed = await run('resume', killed!.id, '--profile', profile, '--headless');
    expect(resumed.exitCode, said(resumed)).toBe(0);
    expect((await run('backups', 'list', '--profile', profile)).stdout).not.toMatch(/unusable/);
    const verified = await run('backups', 'verify', 'latest', '--profile', profile);
    expect(verified.exitCode, said(verified)).toBe(0);
  });

  test('is drilled out of it, while the connection breaks', async () => {
    await proxy.become(BREAKS);
    const drill = await run('drill', '--profile', profile);
    expect(drill.exitCode, said(drill)).toBe(0);
    expect(proxy.met).toBeGreaterThan(0);
    await proxy.become();
  });

  test('is drilled with --keep, and what failed is gone on with out of the same bucket', async () => {
    await proxy.become({
      kind: 'answers',
      to: /^GET .*\.snapshot/,
      answer: httpAnswer(403, '<Error><Code>AccessDenied</Code></Error>', { type: 'application/xml' }),
    });
    const drill = await run('drill', '--profile', profile, '--keep');
    await proxy.become();
    expect(drill.exitCode, said(drill)).toBe(1);
    const name = /sandbox down --name (\S+)/.exec(said(drill))![1]!;
    kept = name;
    const newest = /^\S+/m.exec(
      (await run('runs', 'list')).stdout.split('\n').find((line) => line.includes(name))!,
    )![0];
    const resumed = await run('resume', newest, '--profile', name, '--headless', '--confirm', name);
    expect(resumed.exitCode, said(resumed)).toBe(0);
  });

  test('is lost and recovered whole out of it, while the connection breaks', async () => {
    await wholeClusterLost.strike(sceneOf(real.cluster.name));
    await proxy.become(BREAKS);
    const rescue = await run(
      'run',
      ...['whole-cluster-lost', '--profile', profile, '--headless', '--confirm', real.cluster.name],
    );
    expect(rescue.exitCode, said(rescue)).toBe(0);
    expect(rescue.stdout).toMatch(/recovered/);
    expect(proxy.met).toBeGreaterThan(0);
    await proxy.become();
    const status = await run('status', '--profile', profile);
    expect(status.exitCode, said(status)).toBe(0);
  });

  test('keeps its credentials to itself, also where the store refuses them', async () => {
    const environment = {
      AWS_ACCESS_KEY_ID: 'SOMEBODYELSE',
      AWS_SECRET_ACCESS_KEY: SECRET,
      AWS_SESSION_TOKEN: SECRET,
    };
    const refused = await runProgram(['drill', '--profile', profile], { environment });
    expect(refused.exitCode).not.toBe(0);
    expect(said(refused)).toMatch(/does not know these credentials/);
    const home = process.env.NOVAMEM_RUNBOOK_HOME!;
    const texts = (await filesBelow(home)).map((file) => readFileSync(join(home, file), 'latin1'));
    expect([...texts, said(refused)].filter((text) => text.includes(SECRET))).toEqual([]);
  });
});
