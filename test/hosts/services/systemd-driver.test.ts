import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { openGateway } from '../../../src/hosts/gateway.js';
import { HERE, type Host } from '../../../src/hosts/host.js';
import { driverFor } from '../../../src/hosts/services/drivers.js';
import type { Problem } from '../../../src/problem.js';
import { eventually } from '../../support/eventually.js';
import { type StoodInService, type VendorStandIn, vendorStandIn } from '../../support/vendor-stand-in.js';

const gateway = openGateway(() => {});
const quiet = { onLine: () => {} };
const UNIT = 'falkordb.service';
let systemd: VendorStandIn;

function stoodIn(service: Partial<StoodInService> = {}) {
  systemd = vendorStandIn(['systemctl', 'journalctl', 'sudo'], {
    [UNIT]: { command: ['/bin/sh', '-c', 'echo it listens; exec sleep 300'], ...service },
  });
  for (const [name, value] of Object.entries(systemd.environment)) vi.stubEnv(name, value);
}

const driver = ({ unit = UNIT, user = false, sudo = false } = {}, host: Host = HERE) =>
  driverFor('falkordb', { driver: 'systemd', unit, user, sudo }, host);

const behave = (how: string) =>
  systemd.set((state) => {
    state.behaves = how;
  });

const problemOf = (asking: Promise<unknown>) =>
  asking.then(
    () => expect.unreachable('it was answered'),
    (error: Problem) => error,
  );

beforeEach(() => stoodIn());

afterEach(() => {
  systemd.end();
  vi.unstubAllEnvs();
});

describe('a unit of systemd, with a stand-in for systemctl', () => {
  test('is started, seen active, restarted as another one and stopped until its main process is gone', async () => {
    const graph = driver();
    expect(await graph.look!()).toMatchObject({
      state: 'stopped',
      ready: false,
      seen: 'unit falkordb.service is inactive (dead)',
    });
    await graph.start(gateway, quiet);
    const first = await graph.look!();
    expect(first).toMatchObject({ state: 'running', ready: true });
    expect(first.seen).toBe(`unit falkordb.service is active (running, main process ${systemd.pids(UNIT)[0]})`);
    await graph.restart!(gateway, quiet);
    const second = await graph.look!();
    expect(second.instances).not.toEqual(first.instances);
    await graph.stop(gateway, quiet);
    expect([systemd.pids(UNIT), await graph.state()]).toEqual([[], 'stopped']);
    expect(await graph.commands()).toEqual({
      start: 'systemctl start falkordb.service',
      stop: 'systemctl stop falkordb.service',
      restart: 'systemctl restart falkordb.service',
      status: 'systemctl status falkordb.service',
    });
  });

  test('is not ready while it is activating, and counts as running', async () => {
    const graph = driver();
    await graph.start(gateway, quiet);
    systemd.set((state) => {
      state.services[UNIT]!.active = 'activating';
    });
    expect(await graph.look!()).toMatchObject({ state: 'running', ready: false });
  });

  test('whose start fails says so, and has its last lines', async () => {
    stoodIn({ command: ['/bin/sh', '-c', 'echo no disk; exit 3'], behaves: 'fails' });
    const graph = driver();
    const problem = await problemOf(graph.start(gateway, quiet));
    expect(problem.message).toMatch(/Job for falkordb\.service failed because the control process exited/);
    expect((await graph.look!()).seen).toBe(
      'unit falkordb.service is failed (failed, result exit-code, exit status 3)',
    );
    expect(await graph.lastLines()).toEqual(['no disk']);
  });

  test('that is restarted again and again counts as running', async () => {
    stoodIn({ command: ['/bin/sh', '-c', 'exit 3'], behaves: 'restarts', policy: 'always', restarts: 4 });
    const graph = driver();
    await graph.start(gateway, quiet);
    await eventually('it has ended', () => systemd.pids(UNIT).length === 0);
    const { state, seen, revivers } = await graph.look!();
    expect(state).toBe('running');
    expect(seen).toMatch(/is activating \(auto-restart, result exit-code, exit status 3, restarted 4 times\)/);
    expect(revivers).toMatchObject([{ level: 'info', message: expect.stringMatching(/Restart=always/) }]);
  });

  test('that a socket would start again is a warning with what to stop', async () => {
    stoodIn({ triggeredBy: 'falkordb.socket falkordb.timer' });
    systemd.set((state) => {
      state.services['falkordb.socket'] = { command: ['true'], active: 'active', runs: [] };
    });
    expect((await driver({ sudo: true }).look!()).revivers).toEqual([
      {
        level: 'warning',
        message: 'falkordb.socket starts falkordb.service again though it was stopped',
        next: 'sudo -n systemctl stop falkordb.socket, and start it again afterwards',
      },
    ]);
  });

  test('is stopped through sudo where the profile says so', async () => {
    behave('denied');
    const graph = driver({ sudo: true });
    await graph.start(gateway, quiet);
    expect(systemd.pids(UNIT)).toHaveLength(1);
    await graph.stop(gateway, quiet);
    expect(systemd.pids(UNIT)).toEqual([]);
    expect(systemd.calls()).toContain('sudo -n systemctl stop falkordb.service');
    expect(await graph.findings!()).toEqual([]);
  });

  test('is driven on another machine by the same commands there', async () => {
    const host: Host = {
      ...HERE,
      title: 'ops@graph-1',
      here: false,
      reach: ({ file, args }) => ({ file: 'env', args: ['REACHED=graph-1', file, ...args] }),
    };
    const graph = driver({}, host);
    await graph.start(gateway, quiet);
    expect((await graph.look!()).ready).toBe(true);
    expect((await graph.commands()).stop).toBe('env REACHED=graph-1 systemctl stop falkordb.service');
    await graph.stop(gateway, quiet);
    expect(systemd.pids(UNIT)).toEqual([]);
  });

  test('is one of the user where the profile says so', async () => {
    expect((await driver({ user: true }).commands()).stop).toBe('systemctl --user stop falkordb.service');
  });
});

describe('what keeps a unit from being driven is said with what to do, with a stand-in for systemctl:', () => {
  test.each([
    ['no-systemd', UNIT, /not been booted with systemd/, /hosts\.falkordb: \{ ssh/],
    ['garbage', UNIT, /not understood \(no LoadState.*Segmentation fault/, /driver: command/],
    ['', 'falkrdb', /unit falkrdb: its LoadState is not-found/, /services\.falkordb\.unit.*list-unit-files/],
  ])('%s %s', async (behaves, unit, message, next) => {
    behave(behaves);
    const problem = await problemOf(driver({ unit }).look!());
    expect(problem.message).toMatch(message);
    expect(problem.next).toMatch(next);
  });

  test('a masked unit', async () => {
    stoodIn({ load: 'masked' });
    const problem = await problemOf(driver().look!());
    expect(problem.message).toMatch(/LoadState is masked/);
    expect(problem.next).toBe('systemctl unmask falkordb.service');
  });

  test('no sudo without a password', async () => {
    behave('no-sudo');
    const found = await driver({ sudo: true }).findings!();
    expect(found).toMatchObject([
      {
        level: 'blocking',
        message: expect.stringMatching(/sudo: a password is required/),
        next: expect.stringMatching(
          /visudo: USER ALL=\(root\) NOPASSWD: \/usr\/bin\/systemctl stop falkordb\.service, /,
        ),
      },
    ]);
  });

  test('no rights at all', async () => {
    behave('denied');
    const problem = await problemOf(driver().start(gateway, quiet));
    expect(problem.message).toMatch(/Interactive authentication required/);
    expect(problem.next).toMatch(/services\.falkordb\.sudo: true/);
  });

  test('an abort ends a stop that hangs', async () => {
    stoodIn({ behaves: 'stays' });
    const graph = driver();
    await graph.start(gateway, quiet);
    const abort = new AbortController();
    const stopping = expect(graph.stop(gateway, { ...quiet, signal: abort.signal })).rejects.toThrow('enough');
    await eventually('it was told to stop', () => systemd.calls().includes(`systemctl stop ${UNIT}`));
    abort.abort(new Error('enough'));
    await stopping;
  });
});
