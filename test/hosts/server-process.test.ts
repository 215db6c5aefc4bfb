import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, describe, expect, test } from 'vitest';
import { HERE } from '../../src/hosts/host.js';
import { mayWriteIn, serverProcess } from '../../src/hosts/server-process.js';
import { findBinaries } from '../../src/sandbox/binaries.js';
import { freePorts } from '../../src/sandbox/free-ports.js';
import { eventually } from '../support/eventually.js';
import { tempFolder } from '../support/temp.js';

const started: ReturnType<typeof spawn>[] = [];

afterEach(async () => {
  for (const child of started.splice(0)) {
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  }
});

describe('a server of this machine', () => {
  test('is known by its pid and its age, with its program and its user', async () => {
    const { redis } = await findBinaries();
    const [port] = await freePorts(1);
    const child = spawn(redis, ['--port', String(port), '--bind', '127.0.0.1', '--save', ''], {
      cwd: tempFolder('server'),
      stdio: 'ignore',
    });
    started.push(child);
    const seen = await eventually('it is seen', () => serverProcess(child.pid!, 0, HERE));
    expect(seen.program).toMatch(/\/(redis|valkey)-/);
    expect(seen.uid).toBe(process.getuid!());
    expect(await serverProcess(child.pid!, 3_600, HERE)).toBeUndefined();
  });

  test('is not mistaken for another program', async () => {
    expect(await serverProcess(process.pid, Math.round(process.uptime()), HERE)).toBeUndefined();
    expect(await serverProcess(999_999_999, 0, HERE)).toBeUndefined();
  });
});

describe('who may write in a folder', () => {
  test.each([
    ['its owner', { uid: 5, gid: 5, mode: 0o700 }, { uid: 5, gids: [] }, true],
    ['its owner, where the mode denies it', { uid: 5, gid: 5, mode: 0o577 }, { uid: 5, gids: [5] }, false],
    ['its group', { uid: 1, gid: 7, mode: 0o770 }, { uid: 5, gids: [6, 7] }, true],
    ['its group, where it may not enter', { uid: 1, gid: 7, mode: 0o760 }, { uid: 5, gids: [7] }, false],
    ['anybody', { uid: 1, gid: 1, mode: 0o777 }, { uid: 5, gids: [] }, true],
    ['nobody else', { uid: 1, gid: 1, mode: 0o775 }, { uid: 5, gids: [] }, false],
    ['root', { uid: 1, gid: 1, mode: 0o500 }, { uid: 0, gids: [] }, true],
  ])('%s', (_who, folder, process, may) => {
    expect(mayWriteIn(folder, process)).toBe(may);
  });
});
