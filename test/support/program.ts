import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The clone's own folder. */
export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const PROGRAM = join(ROOT, 'bin', 'novamem-runbook.js');
/** The same from its modules instead of its bundle: a test can reach into them. */
export const PROGRAM_IN_MODULES = join(ROOT, 'dist', 'cli.js');

/** How a child process ended, and all that it said. */
export interface Ended {
  exitCode: number | null;
  stdout: string;
  stderr: string;
}

export interface Running {
  environment?: Record<string, string>;
  /** Written to standard input, which then ends. */
  input?: string;
  timeoutMs?: number;
}

/** Variables of this test run that would make a child behave otherwise than for a person: npm's own. */
const inherited = () => Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('npm_')));

/** Runs a program to its end; it is killed after `timeoutMs`. A pipe is its standard input, so it never sees a terminal. */
export function runFile(file: string, args: readonly string[], running: Running = {}): Promise<Ended> {
  const child = spawn(file, args, {
    cwd: ROOT,
    env: { ...inherited(), ...running.environment },
    stdio: ['pipe', 'pipe', 'pipe'],
    timeout: running.timeoutMs ?? 60_000,
    killSignal: 'SIGKILL',
  });
  const said = { stdout: '', stderr: '' };
  for (const from of ['stdout', 'stderr'] as const) {
    child[from].setEncoding('utf8').on('data', (text: string) => {
      said[from] += text;
    });
  }
  child.stdin.on('error', () => {});
  child.stdin.end(running.input ?? '');
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (exitCode) => resolve({ exitCode, ...said }));
  });
}

/** Runs `novamem-runbook` as a person would, on the Node that runs the tests. */
export function runProgram(args: readonly string[], running: Running = {}): Promise<Ended> {
  return runFile(process.execPath, [PROGRAM, ...args], running);
}

const LOOK_EVERY_MS = 50;

/** Does the work and answers every command line of this machine that held one of the texts meanwhile. */
export async function watchCommandLines<T>(
  texts: readonly string[],
  work: () => Promise<T>,
): Promise<{ answer: T; seen: string[] }> {
  const seen = new Set<string>();
  const timer = setInterval(() => {
    for (const line of commandLines()) if (texts.some((text) => line.includes(text))) seen.add(line);
  }, LOOK_EVERY_MS);
  try {
    return { answer: await work(), seen: [...seen] };
  } finally {
    clearInterval(timer);
  }
}

function commandLines(): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
      } catch {
        return '';
      }
    });
}
