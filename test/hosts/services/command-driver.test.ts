import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { closedGateway, GatewayRefusal, openGateway } from '../../../src/hosts/gateway.js';
import { HERE, type Host } from '../../../src/hosts/host.js';
import { commandDriver } from '../../../src/hosts/services/command-driver.js';
import { freePorts } from '../../../src/sandbox/free-ports.js';
import { eventually, isRunning, killAll } from '../../support/eventually.js';
import { tempFolder } from '../../support/temp.js';

const gateway = openGateway(() => {});
const started: number[] = [];

afterEach(() => {
  vi.unstubAllEnvs();
  killAll(started.splice(0));
});

const SERVER = `
import { createServer } from 'node:http';
import { writeFileSync } from 'node:fs';
const [port, pidFile] = process.argv.slice(2);
console.log('the server begins');
createServer((_, response) => response.end('ok')).listen(Number(port), '127.0.0.1', () => {
  writeFileSync(pidFile, String(process.pid));
  console.log('the server listens');
});
`;

/** A real HTTP server that a shell line starts. */
async function server() {
  const folder = tempFolder('server');
  const [port] = (await freePorts(1)) as [number];
  const script = join(folder, 'server.mjs');
  const pidFile = join(folder, 'pid');
  writeFileSync(script, SERVER);
  const answers = async () => {
    const answered = await fetch(`http://127.0.0.1:${port}/`).catch(() => undefined);
    return answered?.status === 200;
  };
  const pid = () => {
    const found = Number(readFileSync(pidFile, 'utf8'));
    started.push(found);
    return found;
  };
  return {
    line: `${process.execPath} ${script} ${port} ${pidFile}`,
    stop: `kill $(cat ${pidFile}) && rm ${pidFile}`,
    status: `test -e ${pidFile} && kill -0 $(cat ${pidFile})`,
    answers,
    pid,
  };
}

describe('a service that is driven by commands', () => {
  test('goes on in the background after its start command has ended, and is stopped again', async () => {
    const { line, stop, status, answers, pid } = await server();
    const driver = commandDriver('novamem', { driver: 'command', start: `${line} & echo started`, stop, status });
    const lines: string[] = [];
    expect(await driver.state()).toBe('stopped');
    await driver.start(gateway, { onLine: (text) => lines.push(text), isReady: answers });
    await eventually('it answers', answers);
    expect(lines).toContain('started');
    expect(isRunning(pid())).toBe(true);
    expect(await driver.state()).toBe('running');
    await driver.stop(gateway, { onLine: () => {} });
    await eventually('it is gone', () => !isRunning(started[0]!));
    expect(await driver.state()).toBe('stopped');
  });

  test('may stay in the foreground: it is left running as soon as it is ready', async () => {
    const { line, stop, answers, pid } = await server();
    const driver = commandDriver('novamem', { driver: 'command', start: line, stop });
    const lines: string[] = [];
    await driver.start(gateway, { onLine: (text) => lines.push(text), isReady: answers });
    expect(await answers()).toBe(true);
    expect(isRunning(pid())).toBe(true);
    expect(lines[0]).toBe('the server begins');
    await driver.stop(gateway, { onLine: () => {} });
    await eventually('it is gone', () => !isRunning(started[0]!));
  });

  test('whose start command fails says so with its last line', async () => {
    const driver = commandDriver('falkordb', {
      driver: 'command',
      start: 'echo first; echo no disk >&2; exit 7',
      stop: 'true',
    });
    const lines: string[] = [];
    await expect(driver.start(gateway, { onLine: (text) => lines.push(text) })).rejects.toThrow(
      /for falkordb ended with exit code 7: no disk/,
    );
    expect(lines).toEqual(['first', 'no disk']);
    expect(await driver.lastLines()).toEqual(['first', 'no disk']);
  });

  test('without a status command is unknown, so that the service itself is asked', async () => {
    expect(await commandDriver('qdrant', { driver: 'command', start: 'true', stop: 'true' }).state()).toBe('unknown');
  });

  test('is not touched through a closed gateway', async () => {
    const file = join(tempFolder('closed'), 'made');
    const driver = commandDriver('qdrant', { driver: 'command', start: `touch ${file}`, stop: `touch ${file}` });
    await expect(driver.start(closedGateway(), { onLine: () => {} })).rejects.toThrow(GatewayRefusal);
    await expect(driver.stop(closedGateway(), { onLine: () => {} })).rejects.toThrow(GatewayRefusal);
    expect(existsSync(file)).toBe(false);
  });

  test('of another machine is driven by the same commands there', async () => {
    const folder = tempFolder('there');
    const host: Host = {
      ...HERE,
      title: 'ops@graph-1',
      here: false,
      reach: ({ file, args }) => ({ file: 'env', args: ['-C', folder, file, ...args] }),
    };
    const settings = { driver: 'command', start: 'echo up; touch up', stop: 'rm up', status: 'test -e up' } as const;
    const driver = commandDriver('falkordb', settings, host);
    const lines: string[] = [];
    expect(await driver.state()).toBe('stopped');
    await driver.start(gateway, { onLine: (line) => lines.push(line) });
    expect([lines, await driver.state(), existsSync(join(folder, 'up'))]).toEqual([['up'], 'running', true]);
    expect((await driver.commands()).stop).toBe(`env -C ${folder} /bin/sh -c 'rm up'`);
    await driver.stop(gateway, { onLine: () => {} });
    expect(await driver.state()).toBe('stopped');
    await expect(driver.stop(gateway, { onLine: () => {} })).rejects.toThrow(
      /'rm up'" for falkordb ended with exit code 1/,
    );
  });

  test('leaves no folder behind', async () => {
    const folder = tempFolder('tmp');
    vi.stubEnv('TMPDIR', folder);
    const driver = commandDriver('qdrant', { driver: 'command', start: 'echo x', stop: 'exit 1' });
    await driver.start(gateway, { onLine: () => {} });
    await expect(driver.stop(gateway, { onLine: () => {} })).rejects.toThrow(/exit code 1/);
    expect(readdirSync(folder)).toEqual([]);
  });
});
