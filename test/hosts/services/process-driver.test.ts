import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import type { ServiceSettings } from '../../../src/config/profile.js';
import { closedGateway, GatewayRefusal, openGateway } from '../../../src/hosts/gateway.js';
import { markOf, type ProcessMark } from '../../../src/hosts/process-mark.js';
import { processDriver } from '../../../src/hosts/services/process-driver.js';
import { eventually, isRunning, processes } from '../../support/eventually.js';
import { tempFolder } from '../../support/temp.js';

const gateway = openGateway(() => {});
const quiet = { onLine: () => {} };
const pidFiles: string[] = [];

const markIn = (pidFile: string) => JSON.parse(readFileSync(pidFile, 'utf8')) as ProcessMark;

afterEach(() => {
  for (const file of pidFiles.splice(0)) {
    try {
      const { pid } = markIn(file);
      if (pid !== process.pid && isRunning(pid)) process.kill(pid, 'SIGKILL');
    } catch {
      // It was stopped, and its pid file is gone.
    }
  }
});

type Settings = Extract<ServiceSettings, { driver: 'process' }>;

function settings(script: string, more: Partial<Settings> = {}): Settings {
  const folder = tempFolder('process');
  const pidFile = join(folder, 'pid.json');
  pidFiles.push(pidFile);
  return {
    driver: 'process',
    command: ['/bin/sh', '-c', script, folder],
    environment: {},
    folder,
    pidFile,
    log: join(folder, 'log'),
    stopSignal: 'SIGTERM',
    ...more,
  };
}

describe('a service that is a program on this machine', () => {
  test('is started, seen running, and stopped with the signal of the profile', async () => {
    const chosen = settings('trap "echo bye; exit" INT; echo here; while :; do sleep 0.05; done', {
      stopSignal: 'SIGINT',
    });
    const driver = processDriver('novamem', chosen);
    expect(await driver.state()).toBe('stopped');
    await driver.start(gateway, quiet);
    expect(await driver.state()).toBe('running');
    const { pid } = markIn(chosen.pidFile);
    await eventually('it says something', async () => (await driver.lastLines()).includes('here'));
    await driver.stop(gateway, quiet);
    expect(isRunning(pid)).toBe(false);
    expect(await driver.state()).toBe('stopped');
    expect(await driver.lastLines()).toEqual(['here', 'bye']);
  });

  test('that runs already is not started a second time', async () => {
    const chosen = settings('sleep 300');
    const driver = processDriver('novamem', chosen);
    await driver.start(gateway, quiet);
    const first = markIn(chosen.pidFile);
    await driver.start(gateway, quiet);
    expect(markIn(chosen.pidFile)).toEqual(first);
    await eventually(
      'only one of it runs',
      () => processes().filter((one) => one.command.includes(chosen.folder)).length === 1,
    );
    await driver.stop(gateway, quiet);
  });

  test('is not mistaken for another process that was given its pid', async () => {
    const chosen = settings('sleep 300');
    writeFileSync(chosen.pidFile, JSON.stringify({ ...markOf(process.pid), started: 'another boot/1' }));
    const driver = processDriver('novamem', chosen);
    expect(await driver.state()).toBe('stopped');
    await driver.stop(gateway, quiet);
    expect(isRunning(process.pid)).toBe(true);
  });

  test('that cannot be found is an error with its name', async () => {
    const driver = processDriver('qdrant', settings('', { command: ['/nowhere/qdrant'] }));
    await expect(driver.start(gateway, quiet)).rejects.toThrow(/qdrant cannot be started: .*ENOENT/);
    expect(await driver.state()).toBe('stopped');
  });

  test('that has died by itself is seen as stopped', async () => {
    const driver = processDriver('qdrant', settings('exit 1'));
    await driver.start(gateway, quiet);
    await eventually('it is seen as stopped', async () => (await driver.state()) === 'stopped');
  });

  test('gets its secrets from a file, and shows none of them', async () => {
    const chosen = settings('echo "$PLAIN $KEY"; sleep 300', { environment: { PLAIN: 'seen' } });
    const file = join(chosen.folder, 'environment');
    writeFileSync(file, 'KEY=a=b\n');
    const driver = processDriver('qdrant', { ...chosen, environmentFile: file });
    const shown: string[] = [];
    await driver.start(
      openGateway((change) => shown.push(change.text)),
      quiet,
    );
    await eventually('it says what it got', async () => (await driver.lastLines()).includes('seen a=b'));
    expect([(await driver.commands()).start, ...shown].join()).not.toContain('a=b');
    await driver.stop(gateway, quiet);
  });

  test('that does not end is left alone, and the error says its pid, its log and how to kill it', async () => {
    const chosen = settings('trap "" TERM; echo deaf; while :; do sleep 0.05; done');
    const driver = processDriver('qdrant', chosen, 300);
    await driver.start(gateway, quiet);
    await eventually('it has become deaf', async () => (await driver.lastLines()).includes('deaf'));
    const { pid } = markIn(chosen.pidFile);
    await expect(driver.stop(gateway, quiet)).rejects.toThrow(
      `qdrant (pid ${pid}) is still there 0.3 s after SIGTERM. It is not killed: what it has not yet written would be lost. See what keeps it (its log: ${chosen.log}), wait, or end it with: kill -KILL ${pid}`,
    );
    expect(await driver.state()).toBe('running');
    expect(isRunning(pid)).toBe(true);
  });

  test('has a log and a pid file for their owner only', async () => {
    const chosen = settings('sleep 300');
    const driver = processDriver('qdrant', chosen);
    await driver.start(gateway, quiet);
    expect(statSync(chosen.log).mode & 0o777).toBe(0o600);
    expect(statSync(chosen.pidFile).mode & 0o777).toBe(0o600);
    await driver.stop(gateway, quiet);
  });

  test('is not touched through a closed gateway', async () => {
    const chosen = settings('sleep 300');
    const driver = processDriver('qdrant', chosen);
    await expect(driver.start(closedGateway(), quiet)).rejects.toThrow(GatewayRefusal);
    expect(await driver.state()).toBe('stopped');
    await driver.start(gateway, quiet);
    await expect(driver.stop(closedGateway(), quiet)).rejects.toThrow(GatewayRefusal);
    expect(await driver.state()).toBe('running');
    await driver.stop(gateway, quiet);
  });
});
