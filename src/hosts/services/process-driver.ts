import { spawn } from 'node:child_process';
import { chownSync, closeSync, existsSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import type { ServiceSettings } from '../../config/profile.js';
import { commandText } from '../command.js';
import { isAlive, markOf, type ProcessMark } from '../process-mark.js';
import { waitFor } from '../waiting.js';
import type { ServiceDriver } from './driver.js';

type Settings = Extract<ServiceSettings, { driver: 'process' }>;

const PATIENCE_AFTER_STOP = 20_000;

/** A service that is a plain program on this machine, known by a pid file. The sandbox's servers are driven by it. */
export function processDriver(service: string, settings: Settings, patienceMs = PATIENCE_AFTER_STOP): ServiceDriver {
  const [file, ...args] = settings.command as [string, ...string[]];
  const command = commandText({ file, args, environment: settings.environment, user: settings.user });

  const running = (): ProcessMark | undefined => {
    if (!existsSync(settings.pidFile)) return undefined;
    const mark = JSON.parse(readFileSync(settings.pidFile, 'utf8')) as ProcessMark;
    return isAlive(mark) ? mark : undefined;
  };

  const stopText = (mark: ProcessMark | undefined) =>
    mark ? `kill -s ${settings.stopSignal.slice(3)} ${mark.pid}` : '(not running)';

  return {
    async commands() {
      const mark = running();
      return { start: command, stop: stopText(mark), status: mark ? `ps -p ${mark.pid}` : '(not running)' };
    },
    state: async () => (running() ? 'running' : 'stopped'),

    start: (gateway) =>
      gateway.change({ channel: 'service', text: command }, async () => {
        if (running()) return;
        const log = openSync(settings.log, 'a', 0o600);
        // A descriptor that was opened before the rights are dropped stays usable; the file itself may be needed again.
        if (settings.user && process.getuid?.() === 0) chownSync(settings.log, settings.user.uid, settings.user.gid);
        const child = spawn(file, args, {
          cwd: settings.folder,
          env: {
            PATH: process.env.PATH,
            LC_ALL: 'C.UTF-8',
            ...settings.environment,
            ...environmentIn(settings.environmentFile),
          },
          stdio: ['ignore', log, log],
          detached: true,
          ...(settings.user && process.getuid?.() === 0 ? settings.user : {}),
        });
        // At once and whole: a server that is on no record, because this program was killed, is one that nobody can end.
        if (child.pid !== undefined) {
          const fresh = `${settings.pidFile}.new`;
          writeFileSync(fresh, JSON.stringify(markOf(child.pid)), { mode: 0o600 });
          renameSync(fresh, settings.pidFile);
        }
        closeSync(log);
        await new Promise<void>((resolve, reject) => {
          child.once('spawn', resolve);
          child.once('error', (error) => reject(new Error(`${service} cannot be started: ${error.message}`)));
        });
        child.unref();
      }),

    async stop(gateway, { signal }) {
      const mark = running();
      if (!mark) return;
      await gateway.change({ channel: 'service', text: stopText(mark) }, async () => {
        process.kill(mark.pid, settings.stopSignal);
        const gone = await waitFor(async () => (isAlive(mark) ? undefined : true), {
          timeoutMs: patienceMs,
          slowest: 100,
          signal,
        });
        if (!gone) {
          throw new Error(
            `${service} (pid ${mark.pid}) is still there ${patienceMs / 1000} s after ${settings.stopSignal}. It is not killed: what it has not yet written would be lost. See what keeps it (its log: ${settings.log}), wait, or end it with: kill -KILL ${mark.pid}`,
          );
        }
        rmSync(settings.pidFile, { force: true });
      });
    },

    async lastLines() {
      if (!existsSync(settings.log)) return [];
      return readFileSync(settings.log, 'utf8').trimEnd().split('\n').slice(-20);
    },
  };
}

/** `NAME=value` lines of a file, for what must not stand in a profile. */
function environmentIn(file: string | undefined): Record<string, string> {
  if (file === undefined) return {};
  return Object.fromEntries(
    readFileSync(file, 'utf8')
      .split('\n')
      .filter((line) => line.includes('='))
      .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  );
}
