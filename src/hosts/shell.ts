import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import { sleep } from './waiting.js';

/**
 * Opens the person's own shell on this terminal, with this beside its environment; resolves when it is left. Rejects where it cannot be
 * started.
 */
export async function openShell(folder: string, environment: Record<string, string> = {}): Promise<void> {
  await releaseInput();
  return new Promise((resolve, reject) => {
    const shell = spawn(process.env.SHELL || '/bin/sh', {
      cwd: folder,
      stdio: 'inherit',
      env: { ...process.env, ...environment },
    });
    shell.once('error', reject);
    shell.once('exit', () => resolve());
  });
}

/** Resolves with the next line that is typed on the terminal, or its end. */
export async function enterPressed(): Promise<void> {
  // Whoever gave the terminal away may have let go of it altogether, and nothing else may keep this program alive.
  process.stdin.ref();
  process.stdin.resume();
  await once(process.stdin, 'data').catch(() => {});
  await pauseInput();
}

/**
 * A program in the background that reads from its terminal is stopped (SIGTTIN): nothing may be read while a shell has it. Node only
 * ends its reading when a stream that flows is paused.
 */
async function releaseInput(): Promise<void> {
  process.stdin.resume();
  await setImmediate();
  await pauseInput();
}

/** It takes a turn of the event loop: whoever reads again before would be stopped by it. */
async function pauseInput(): Promise<void> {
  process.stdin.pause();
  await setImmediate();
}

/** Stops this program, and whoever started it in the same job, as ctrl-z does; resolves once it is continued. */
export async function stopJob(): Promise<void> {
  process.kill(0, 'SIGTSTP');
  // The signal takes hold before the next turn of the event loop: the time that passes is that after it is continued.
  await sleep(50);
}
