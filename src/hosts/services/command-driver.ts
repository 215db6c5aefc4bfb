import { spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ServiceSettings } from '../../config/profile.js';
import { type Command, commandText } from '../command.js';
import type { Gateway } from '../gateway.js';
import { HERE, type Host } from '../host.js';
import { inspectCommand } from '../run-command.js';
import { sleep, steadyNow } from '../waiting.js';
import type { DriverOptions, ServiceDriver } from './driver.js';

type Settings = Extract<ServiceSettings, { driver: 'command' }>;

const STATUS_PATIENCE = 15_000;
const COMMAND_PATIENCE = 120_000;
/** With which ssh itself ends. */
const NOT_REACHED = 255;

/** A service that is driven by shell commands of the profile, run on a host. `status` exits 0 while it runs. */
export function commandDriver(service: string, settings: Settings, host: Host = HERE): ServiceDriver {
  let said: string[] = [];
  // Nothing is written to it: one that is under guard elsewhere would be ended with this program, and a server with it.
  const reached = (line: string) => host.reach({ file: '/bin/sh', args: ['-c', line], input: '' });
  const textOf = (line: string) => (host.here ? line : commandText(reached(line)));

  const change = (gateway: Gateway, line: string, options: DriverOptions) => {
    const text = textOf(line);
    return gateway.change({ channel: 'service', text }, async () => {
      const { lines, failure } = await runShell(reached(line), options);
      said = lines;
      for (const line of lines) options.onLine(line);
      if (failure)
        throw new Error(`"${text}" for ${service} ${failure}${lines.length > 0 ? `: ${lines.at(-1)}` : ''}`);
    });
  };

  return {
    commands: async () => ({
      start: textOf(settings.start),
      stop: textOf(settings.stop),
      status:
        settings.status !== undefined ? textOf(settings.status) : '(no status command: the service itself is asked)',
    }),
    async state() {
      if (settings.status === undefined) return 'unknown';
      const asked = await inspectCommand(reached(settings.status), STATUS_PATIENCE);
      if (asked.exitCode === null || (!host.here && asked.exitCode === NOT_REACHED)) return 'unknown';
      return asked.exitCode === 0 ? 'running' : 'stopped';
    },
    start: (gateway, options) => change(gateway, settings.start, options),
    stop: (gateway, options) => change(gateway, settings.stop, options),
    lastLines: async () => said.slice(-20),
  };
}

/**
 * Runs a shell line whose child may go on in the background: its output goes to a file, since a server that inherits a
 * pipe would keep it open for ever; and it gets a session of its own, so that it outlives this program and its terminal.
 */
async function runShell(
  command: Command,
  { isReady, signal }: DriverOptions,
): Promise<{ lines: string[]; failure: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'novamem-runbook-service-'));
  const log = join(folder, 'output');
  const output = openSync(log, 'a', 0o600);
  try {
    const child = spawn(command.file, command.args, { stdio: ['ignore', output, output], detached: true });
    child.unref();
    let done = false;
    const ended = new Promise<string>((resolve) => {
      const end = (failure: string) => {
        done = true;
        resolve(failure);
      };
      child.once('error', (error) => end(`cannot be run: ${error.message}`));
      child.once('exit', (code, killedBy) =>
        end(code === 0 ? '' : `ended with ${code === null ? killedBy : `exit code ${code}`}`),
      );
    });
    const staysInForeground = async (): Promise<string> => {
      const until = steadyNow() + COMMAND_PATIENCE;
      while (!done) {
        await sleep(250, signal);
        if (done) break;
        if (await isReady?.()) return '';
        if (steadyNow() > until) return `did not end within ${COMMAND_PATIENCE / 1000} s`;
      }
      return ended;
    };
    const endGroup = () => {
      try {
        if (!done && child.pid) process.kill(-child.pid, 'SIGTERM');
      } catch {
        // The group is gone already.
      }
    };
    // A late stop or start would hit a service that is long in other hands.
    const failure = await Promise.race([ended, staysInForeground()]).catch((error: unknown) => {
      endGroup();
      throw error;
    });
    if (failure !== '') endGroup();
    return {
      lines: readFileSync(log, 'utf8')
        .split('\n')
        .filter((line) => line !== ''),
      failure,
    };
  } finally {
    closeSync(output);
    rmSync(folder, { recursive: true, force: true });
  }
}
