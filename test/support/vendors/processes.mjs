// What the stand-ins for vendors' programs have in common: a record of how they were called, and real processes that they start and end.
import { spawn } from 'node:child_process';
import { appendFileSync, existsSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const folder = process.env.VENDOR_STAND_IN;
const STATE = join(folder, 'state.json');

export const record = (program, args) =>
  appendFileSync(join(folder, 'calls.jsonl'), `${JSON.stringify([program, ...args])}\n`);

/** By its name each service: `command`, `user`, `behaves`, and its `runs`: { pid, id, startedAt, restarts }. */
export const readState = () => JSON.parse(readFileSync(STATE, 'utf8'));

export function change(edit) {
  const state = readState();
  const answer = edit(state);
  writeFileSync(`${STATE}.${process.pid}`, JSON.stringify(state, null, 1));
  renameSync(`${STATE}.${process.pid}`, STATE);
  return answer;
}

export function isAlive(pid) {
  try {
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

export const logOf = (name) => join(folder, `${name}.log`);

export const lastLines = (name, count) =>
  existsSync(logOf(name)) ? readFileSync(logOf(name), 'utf8').trimEnd().split('\n').slice(-count) : [];

/** Starts one more process of a service. */
export function begin(name) {
  change((state) => {
    const service = state.services[name];
    const log = openSync(logOf(name), 'a');
    const [file, ...args] = service.command;
    const child = spawn(file, args, {
      stdio: ['ignore', log, log],
      detached: true,
      cwd: service.folder ?? folder,
      env: { ...process.env, ...service.environment },
      ...(process.getuid() === 0 ? (service.user ?? {}) : {}),
    });
    child.unref();
    state.made = (state.made ?? 0) + 1;
    service.runs.push({ pid: child.pid, id: state.made, startedAt: new Date().toISOString() });
  });
}

/** Ends processes of a service and waits until they are gone. */
export async function end(name, runs = readState().services[name].runs) {
  for (const { pid } of runs) if (isAlive(pid)) process.kill(pid, readState().services[name].signal ?? 'SIGTERM');
  while (runs.some(({ pid }) => isAlive(pid))) await sleep(20);
}

/** What a supervisor does behind everybody's back: starts it again after a while. */
export function beginLater(name, ms) {
  const code = `setTimeout(async () => (await import(${JSON.stringify(import.meta.url)})).begin(${JSON.stringify(name)}), ${ms})`;
  spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: 'ignore', detached: true }).unref();
}

export function fail(words, code = 1) {
  process.stderr.write(`${words}\n`);
  process.exit(code);
}
