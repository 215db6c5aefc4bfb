import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import { PACKAGE_ROOT } from '../../src/config/package-root.js';
import { ownTempFolder, removeAbandoned } from '../../src/hosts/temp-folders.js';

const MODULE = pathToFileURL(join(PACKAGE_ROOT, 'dist', 'hosts', 'temp-folders.js')).href;

/** Another process that has made a folder and then waits; `end` ends it and answers the folder. */
async function another(): Promise<{ folder: string; end: (signal: 'SIGKILL' | 'SIGTERM') => Promise<void> }> {
  const script = `
    const { ownTempFolder } = await import('${MODULE}');
    process.on('SIGTERM', () => process.exit());
    console.log(await ownTempFolder('test'));
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [said] = (await once(child.stdout, 'data')) as [Buffer];
  return {
    folder: said.toString().trim(),
    async end(signal) {
      const ended = once(child, 'exit');
      child.kill(signal);
      await ended;
    },
  };
}

test('what a process that was killed has left is removed by the next one, and nothing else', async () => {
  const [mine, killed, living] = [await ownTempFolder('test'), await another(), await another()];
  // Of another container that has the same TMPDIR: whether it lives cannot be seen.
  const elsewhere = join(tmpdir(), 'novamem-runbook-test-another-host-999999-abcdef');
  mkdirSync(elsewhere, { recursive: true });
  try {
    await killed.end('SIGKILL');
    expect(existsSync(killed.folder)).toBe(true);
    expect(await removeAbandoned()).toContain(killed.folder);
    expect([killed.folder, living.folder, mine, elsewhere].map((folder) => existsSync(folder))).toEqual([
      false,
      true,
      true,
      true,
    ]);
    await living.end('SIGTERM');
    expect(existsSync(living.folder)).toBe(false);
  } finally {
    rmSync(elsewhere, { recursive: true });
    rmSync(mine, { recursive: true, force: true });
  }
});
