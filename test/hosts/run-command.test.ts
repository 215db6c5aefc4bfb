import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { closedGateway, GatewayRefusal, openGateway } from '../../src/hosts/gateway.js';
import { inspectCommand, lineSplitter, readCommand, runCommand } from '../../src/hosts/run-command.js';
import { eventually, isRunning, killAll } from '../support/eventually.js';
import { tempFolder } from '../support/temp.js';

const sh = (script: string, ...args: string[]) => ({ file: '/bin/sh', args: ['-c', script, 'sh', ...args] });

describe('a command', () => {
  test('tells the lines of both of its streams, and how it ended', async () => {
    const lines: string[] = [];
    const ended = await readCommand(sh('echo out; echo err >&2; printf last; exit 3'), {
      onLine: (line, from) => lines.push(`${from} ${line}`),
    });
    expect(ended.exitCode).toBe(3);
    expect(ended.failure).not.toBe('');
    expect(lines.sort()).toEqual(['stderr err', 'stdout last', 'stdout out']);
  });

  test('that prints 100,000 lines loses none', async () => {
    let count = 0;
    let wrong = '';
    const ended = await readCommand(sh('i=0; while [ $i -lt 100000 ]; do echo "line $i"; i=$((i+1)); done'), {
      onLine: (line) => {
        if (line !== `line ${count}`) wrong ||= `${count}: ${line}`;
        count += 1;
      },
    });
    expect(ended).toEqual({ exitCode: 0, failure: '' });
    expect([count, wrong]).toEqual([100_000, '']);
  });

  test('prints into pipes of the system, of which nothing is left; where none can be made, it is heard all the same', async () => {
    const folder = tempFolder('pipes');
    const heard = async (temporary: string) => {
      vi.stubEnv('TMPDIR', temporary);
      const lines: string[] = [];
      const ended = await runCommand(
        openGateway(() => {}),
        sh(
          'for end in 1 2; do if test -p /proc/self/fd/$end; then echo pipe >&$end; else echo other >&$end; fi; done',
        ),
        { onLine: (line, from) => lines.push(`${from} ${line}`) },
      ).finally(() => vi.unstubAllEnvs());
      return [ended.exitCode, ...lines.sort()];
    };
    expect(await heard(folder)).toEqual([0, 'stderr pipe', 'stdout pipe']);
    expect(readdirSync(folder)).toEqual([]);
    expect(await heard(join(folder, 'missing'))).toEqual([0, 'stderr other', 'stdout other']);
  });

  test('that does not exist is told as a failure, not thrown', async () => {
    const ended = await readCommand({ file: '/nowhere/program', args: [] });
    expect(ended.exitCode).toBeNull();
    expect(ended.failure).toMatch(/ENOENT/);
  });

  test('is shown without its secret variables, which it nevertheless gets', async () => {
    const shown: string[] = [];
    const lines: string[] = [];
    await runCommand(
      openGateway((change) => shown.push(change.text)),
      { ...sh('echo $PGPASSWORD'), environment: { LC_ALL: 'C' }, secretEnvironment: { PGPASSWORD: 'hunter2' } },
      { onLine: (line) => lines.push(line) },
    );
    expect(lines).toEqual(['hunter2']);
    expect(shown).toEqual(["LC_ALL=C PGPASSWORD=… /bin/sh -c 'echo $PGPASSWORD' sh"]);
  });

  test('that changes something is not started through a closed gateway', async () => {
    const file = join(tempFolder('closed'), 'made');
    await expect(runCommand(closedGateway(), sh('touch "$1"', file))).rejects.toThrow(GatewayRefusal);
    expect((await inspectCommand(sh('ls "$1"', file))).exitCode).not.toBe(0);
  });

  test('that only looks is ended when its time is over', async () => {
    const began = Date.now();
    const ended = await inspectCommand({ file: 'sleep', args: ['60'] }, 200);
    expect(ended.exitCode).toBeNull();
    expect(Date.now() - began).toBeLessThan(10_000);
  });
});

describe('an abort', () => {
  /** Starts the script, which prints the pids of what it started, and aborts it once it has. */
  async function abortedAfterPids(script: string, count: number): Promise<{ pids: number[]; failure: string }> {
    const controller = new AbortController();
    const pids: number[] = [];
    const running = readCommand(sh(script), {
      signal: controller.signal,
      onLine: (line) => pids.push(Number(line)),
    });
    await eventually('the pids are told', () => pids.length === count);
    expect(pids.every(isRunning)).toBe(true);
    controller.abort();
    const { failure } = await running;
    return { pids, failure };
  }

  test('ends grandchildren as well', async () => {
    const { pids, failure } = await abortedAfterPids('sh -c "sleep 300 & echo \\$!; wait" & echo $!; wait', 2);
    expect(failure).toBe('aborted');
    await eventually('all of them are gone', () => !pids.some(isRunning));
  });

  test('ends a grandchild that ignores the request and holds no pipe', async () => {
    const { pids } = await abortedAfterPids(
      '(trap "" TERM; exec sleep 300 >/dev/null 2>&1) & echo $!; sleep 0.2; wait',
      1,
    );
    try {
      await eventually('it is gone', () => !pids.some(isRunning), 15_000);
    } finally {
      killAll(pids);
    }
  });

  test('before the start starts nothing', async () => {
    const file = join(tempFolder('aborted'), 'made');
    const ended = await readCommand(sh('touch "$1"', file), { signal: AbortSignal.abort() });
    expect(ended.failure).toMatch(/not started/);
    expect((await inspectCommand(sh('ls "$1"', file))).exitCode).not.toBe(0);
  });
});

describe('bytes are cut into lines', () => {
  const TEXT = 'first\r\nsecond €uro\n\n  fourth with trailing \nlast without an end';
  const LINES = ['first', 'second €uro', '', '  fourth with trailing ', 'last without an end'];

  test('the same wherever the pieces begin and end', () => {
    const bytes = Buffer.from(TEXT);
    for (let size = 1; size <= bytes.length; size += 1) {
      const lines: string[] = [];
      const splitter = lineSplitter((line) => lines.push(line));
      for (let at = 0; at < bytes.length; at += size) splitter.take(bytes.subarray(at, at + size));
      splitter.flush();
      expect(lines).toEqual(LINES);
    }
  });

  test('and a line without end is handed on in pieces, none of it lost', () => {
    const pieces: string[] = [];
    const splitter = lineSplitter((line) => pieces.push(line));
    const piece = 'x'.repeat(10_000);
    for (let index = 0; index < 100; index += 1) splitter.take(Buffer.from(piece));
    splitter.flush();
    expect(pieces.join('')).toBe(piece.repeat(100));
    expect(Math.max(...pieces.map((one) => one.length))).toBeLessThan(128 * 1024);
  });
});
