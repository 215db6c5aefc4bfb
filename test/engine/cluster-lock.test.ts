import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { ClusterHeld, ClusterLock, lockIn } from '../../src/engine/cluster-lock.js';
import { markOf } from '../../src/hosts/process-mark.js';
import { eventually } from '../support/eventually.js';
import { tempFolder } from '../support/temp.js';

const held: ClusterLock[] = [];
afterEach(async () => {
  for (const lock of held.splice(0)) await lock.release();
});

interface Asking {
  run?: string;
  folders: string[];
  takeOver?: boolean;
  beatMs?: number;
}

async function take({ run = 'first', folders, takeOver = false, beatMs = 20 }: Asking): Promise<ClusterLock> {
  const request = { cluster: 'acme', run, operator: 'ops@here', folders, takeOver, beatMs };
  const lock = await ClusterLock.take(request);
  held.push(lock);
  return lock;
}

async function refusal(asking: Asking): Promise<ClusterHeld> {
  const error = await take(asking).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(ClusterHeld);
  return error as ClusterHeld;
}

/** Makes a lock look as if another machine, or another process of this one, had made it so many seconds ago. */
function disguise(file: string, change: Record<string, unknown>, secondsAgo = 0): void {
  writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), ...change }));
  const then = Date.now() / 1000 - secondsAgo;
  utimesSync(file, then, then);
}

/** A lock file left by somebody who is not this process. */
async function leftBy(folder: string, change: Record<string, unknown>, secondsAgo = 0): Promise<string> {
  const lock = await ClusterLock.take({
    cluster: 'acme',
    run: 'left',
    operator: 'ops@there',
    folders: [folder],
    takeOver: false,
  });
  const text = readFileSync(lock.files[0]!, 'utf8');
  const file = lock.files[0]!;
  await lock.release();
  writeFileSync(file, text);
  disguise(file, change, secondsAgo);
  return file;
}

describe('a cluster', () => {
  test('is held by one run at a time, in every folder, and free after it', async () => {
    const folders = [tempFolder('own'), tempFolder('shared')];
    const lock = await take({ folders });
    expect(lock.files).toEqual(folders.map((folder) => join(folder, '.novamem-runbook-acme.lock')));
    for (const folder of folders) {
      const { held: other, message } = await refusal({ run: 'second', folders: [folder] });
      expect(other).toMatchObject({ state: 'alive', holder: { run: 'first', operator: 'ops@here' } });
      expect(message).toMatch(
        /^run first of ops@here \(process \d+ on \S+, since \S+\) works on this cluster; .*last sign of life/,
      );
    }
    await lock.release();
    await take({ run: 'second', folders });
  });

  test('is left in no folder when one of them is held', async () => {
    const [own, shared] = [tempFolder('own'), tempFolder('shared')];
    await take({ folders: [shared] });
    await refusal({ run: 'second', folders: [own, shared] });
    expect(readdirSync(own)).toEqual([]);
    expect(readdirSync(shared)).toEqual(['.novamem-runbook-acme.lock']);
  });

  test('is held for one of twenty that ask at once', async () => {
    const folders = [tempFolder('race')];
    const asked = await Promise.allSettled(
      Array.from({ length: 20 }, (_, index) => take({ run: `run-${index}`, folders })),
    );
    expect(asked.filter((one) => one.status === 'fulfilled')).toHaveLength(1);
  });

  test('of one that is dead is taken by one of twenty that ask at once', async () => {
    const folder = tempFolder('race');
    await leftBy(folder, { process: { ...markOf(process.pid), started: 'another boot/1' } }, 40);
    const asked = await Promise.allSettled(
      Array.from({ length: 20 }, (_, index) => take({ run: `run-${index}`, folders: [folder] })),
    );
    const [winner, ...others] = asked.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    expect(others).toEqual([]);
    expect((await lockIn(folder, 'acme'))?.holder?.run).toBe(JSON.parse(readFileSync(winner!.files[0]!, 'utf8')).run);
  });

  test('is locked although a folder is not there or cannot be written, and that is told', async () => {
    const [own, absent] = [tempFolder('own'), join(tempFolder('gone'), 'backups')];
    const lock = await take({ folders: [own, absent] });
    expect(lock.files).toHaveLength(1);
    expect(lock.without).toEqual([{ folder: absent, why: expect.stringContaining('ENOENT') }]);
  });
});

describe('a holder', () => {
  test('whose process is gone is put aside, and named', async () => {
    const folder = tempFolder('lock');
    const child = spawn('sleep', ['60']);
    const mark = markOf(child.pid!);
    await leftBy(folder, { process: mark });
    expect((await refusal({ run: 'second', folders: [folder] })).held.state).toBe('alive');
    child.kill('SIGKILL');
    const lock = await eventually('it is seen to be gone', () =>
      take({ run: 'second', folders: [folder] }).catch(() => undefined),
    );
    expect(lock.tookOver).toMatchObject([{ state: 'gone', holder: { run: 'left' } }]);
    expect(readdirSync(folder)).toEqual(['.novamem-runbook-acme.lock']);
  });

  test('on another machine is alive while it is heard of, and only put aside after a while, when that is asked for', async () => {
    const folder = tempFolder('lock');
    const file = await leftBy(folder, { host: 'elsewhere' }, 20);
    expect((await refusal({ folders: [folder], takeOver: true })).held.state).toBe('alive');
    disguise(file, {}, 40);
    const { held: silent } = await refusal({ folders: [folder] });
    expect(silent).toMatchObject({ state: 'silent', holder: { host: 'elsewhere' } });
    expect(silent.quietMs).toBeGreaterThan(39_000);
    const lock = await take({ folders: [folder], takeOver: true });
    expect(lock.tookOver).toMatchObject([{ state: 'silent', holder: { run: 'left' } }]);
  });

  test('that died while it wrote its lock is silent after a while', async () => {
    const folder = tempFolder('lock');
    const file = join(folder, '.novamem-runbook-acme.lock');
    writeFileSync(file, '{"run":');
    expect((await refusal({ folders: [folder], takeOver: true })).message).toMatch(/cannot be read/);
    utimesSync(file, 1, 1);
    await take({ folders: [folder], takeOver: true });
  });

  test('gives signs of life', async () => {
    const folder = tempFolder('lock');
    const [file] = (await take({ folders: [folder] })).files;
    utimesSync(file!, 1, 1);
    await eventually('it was touched', async () =>
      (await lockIn(folder, 'acme'))!.quietMs < 10_000 ? true : undefined,
    );
  });

  test('makes its lock again where it was removed, with its folder', async () => {
    const folder = join(tempFolder('lock'), 'backups');
    mkdirSync(folder);
    const [file] = (await take({ folders: [folder] })).files;
    const { rmSync } = await import('node:fs');
    rmSync(folder, { recursive: true });
    mkdirSync(folder);
    await eventually('it is there again', () => (existsSync(file!) ? true : undefined));
  });

  test('learns that somebody has taken over, and leaves them their lock', async () => {
    const folder = tempFolder('lock');
    const lock = await take({ folders: [folder] });
    const lost = new Promise<string>((resolve) => {
      lock.onLost = resolve;
    });
    disguise(lock.files[0]!, { token: 'another', run: 'second', operator: 'eve@there' });
    expect(await lost).toMatch(/^eve@there with run second has taken over the lock /);
    await lock.release();
    expect((await lockIn(folder, 'acme'))?.holder?.run).toBe('second');
  });
});
