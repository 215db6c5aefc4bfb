import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { outputOf, type Taking } from '../../src/hosts/program-output.js';
import { readCommand } from '../../src/hosts/run-command.js';
import { eventually, isRunning } from '../support/eventually.js';

const MIB = 1 << 20;

/** Runs a script; rejects as a step would where it does not end well. */
const running =
  (script: string, onLine: (line: string) => void = () => {}) =>
  async (taking: Taking) => {
    const ended = await readCommand({ file: '/bin/sh', args: ['-c', script] }, { ...taking, onLine });
    if (ended.exitCode !== 0) throw new Error(`it ended with ${ended.exitCode ?? ended.failure}`);
  };

test('what a program writes comes whole, also where it is taken slowly', async () => {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const piece of outputOf(running(`head -c ${8 * MIB} /dev/zero`))) {
    hash.update(piece);
    bytes += piece.length;
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(bytes).toBe(8 * MIB);
  expect(hash.digest('hex')).toBe(
    createHash('sha256')
      .update(Buffer.alloc(8 * MIB))
      .digest('hex'),
  );
});

test('a program that ends badly is no end of its output', async () => {
  let bytes = 0;
  const taken = (async () => {
    for await (const piece of outputOf(running('printf some; exit 3'))) bytes += piece.length;
  })();
  await expect(taken).rejects.toThrow('it ended with 3');
  expect(bytes).toBeLessThanOrEqual(4);
});

test('whoever takes no more of it has the program ended, and so does an abort', async () => {
  const ids: number[] = [];
  const endless = running('echo $$ >&2; exec cat /dev/zero', (line) => ids.push(Number(line)));
  for await (const piece of outputOf(endless)) if (piece.length > 0 && ids.length > 0) break;
  expect(isRunning(ids[0]!)).toBe(false);
  const stop = new AbortController();
  const taken = (async () => {
    for await (const piece of outputOf(endless, stop.signal)) if (piece.length > 0 && ids.length > 1) stop.abort();
  })();
  await expect(taken).rejects.toThrow(/aborted/);
  await eventually('it has ended', async () => !isRunning(ids[1]!));
});

test('nothing is begun before the first piece is asked for', async () => {
  let begun = false;
  const output = outputOf(async () => {
    begun = true;
  });
  await output.return(undefined);
  expect(begun).toBe(false);
});
