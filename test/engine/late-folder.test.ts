import { execFileSync } from 'node:child_process';
import { closeSync, existsSync, openSync, readdirSync, unlinkSync, writeSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { ClusterLock, lockIn } from '../../src/engine/cluster-lock.js';
import { sleep } from '../../src/hosts/waiting.js';
import { eventually } from '../support/eventually.js';
import { tempFolder } from '../support/temp.js';

// A folder on a file server that does not answer, and does later: a lock that is a pipe is read for as long as nobody writes to it.

const NAME = '.novamem-runbook-acme.lock';
const PATIENCE = 300;

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

/** Puts a pipe where the lock of a folder lies or will lie. */
function hang(folder: string) {
  const file = join(folder, NAME);
  execFileSync('mkfifo', [file]);
  // Opened for both ways: that waits for nobody.
  const pipe = openSync(file, 'r+');
  let isOpen = true;
  const close = () => {
    if (isOpen) closeSync(pipe);
    isOpen = false;
  };
  ends.push(close);
  return {
    /** Whoever reads it gets this text, and its end. */
    answer(text: string) {
      writeSync(pipe, text);
      close();
    },
    /** There is no lock after all. */
    vanish() {
      unlinkSync(file);
      close();
    },
  };
}

async function take(...folders: string[]): Promise<ClusterLock> {
  const lock = await ClusterLock.take({
    cluster: 'acme',
    run: 'mine',
    operator: 'ops@here',
    folders,
    takeOver: false,
    beatMs: 20,
    patienceMs: PATIENCE,
  });
  ends.push(() => lock.release());
  return lock;
}

const ofAnother = JSON.stringify({
  run: 'theirs',
  operator: 'eve@there',
  host: `not-${hostname()}`,
  processes: '',
  process: { pid: 1, started: '' },
  since: '2026-01-01T00:00:00.000Z',
  token: 'theirs',
});

const elapsed = async (work: Promise<unknown>) => {
  const begun = performance.now();
  await work;
  return performance.now() - begun;
};

describe('a folder that does not answer', () => {
  test('keeps nobody from the others, and that is told', async () => {
    const [own, slow] = [tempFolder('own'), tempFolder('slow')];
    hang(slow);
    const lock = await take(own, slow);
    expect(lock.files).toEqual([join(own, NAME)]);
    expect(lock.without).toEqual([{ folder: slow, why: expect.stringMatching(/no answer within 0\.3 s/) }]);
  });

  test('and does later is held from then on, and given back with the others', async () => {
    const [own, slow] = [tempFolder('own'), tempFolder('slow')];
    const pipe = hang(slow);
    const lock = await take(own, slow);
    pipe.vanish();
    await eventually('it is locked', () => lock.files.length === 2);
    expect((await lockIn(slow, 'acme'))?.holder?.run).toBe('mine');
    await lock.release();
    expect([readdirSync(own), readdirSync(slow)]).toEqual([[], []]);
  });

  test('and does after the end keeps no lock', async () => {
    const slow = tempFolder('slow');
    const pipe = hang(slow);
    const lock = await take(slow);
    expect(await elapsed(lock.release())).toBeLessThan(PATIENCE * 5);
    pipe.vanish();
    // It is made for a moment, and taken away by whoever made it.
    await eventually('the late lock was made and given back', async () => {
      await sleep(50);
      return readdirSync(slow).length === 0;
    });
    await sleep(200);
    expect(readdirSync(slow)).toEqual([]);
  });

  test('and later says that somebody else has the cluster, stops whoever works on it', async () => {
    const [own, slow] = [tempFolder('own'), tempFolder('slow')];
    const pipe = hang(slow);
    const lock = await take(own, slow);
    pipe.answer(ofAnother);
    const lost = await new Promise<string>((resolve) => {
      lock.onLost = resolve;
    });
    expect(lost).toMatch(/has answered late: run theirs of eve@there .* works on this cluster/);
    await lock.release();
    expect([readdirSync(own), readdirSync(slow)]).toEqual([[], [NAME]]);
  });

  test('while the lock is held keeps no sign of life from another folder, nor anybody from the end', async () => {
    const [own, slow] = [tempFolder('own'), tempFolder('slow')];
    const lock = await take(slow, own);
    unlinkSync(join(slow, NAME));
    hang(slow);
    unlinkSync(join(own, NAME));
    await eventually('the other lock is made again', () => existsSync(join(own, NAME)));
    expect(await elapsed(lock.release())).toBeLessThan(PATIENCE * 5);
    expect(readdirSync(own)).toEqual([]);
  });
});
