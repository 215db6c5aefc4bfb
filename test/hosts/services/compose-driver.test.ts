import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { closedGateway, GatewayRefusal, openGateway } from '../../../src/hosts/gateway.js';
import { HERE, type Host } from '../../../src/hosts/host.js';
import type { ServiceDriver } from '../../../src/hosts/services/driver.js';
import { driverFor } from '../../../src/hosts/services/drivers.js';
import type { Problem } from '../../../src/problem.js';
import { eventually } from '../../support/eventually.js';
import { tempFolder } from '../../support/temp.js';
import { type StoodInService, type VendorStandIn, vendorStandIn } from '../../support/vendor-stand-in.js';

const gateway = openGateway(() => {});
const quiet = { onLine: () => {} };
const LISTENS = { command: ['/bin/sh', '-c', 'echo it listens; exec sleep 300'] };
let docker: VendorStandIn;
/** Which spelling of Compose a host has is known from then on: each test has a host of its own. */
let hosts = 0;

function stoodIn(service: Partial<StoodInService> = {}) {
  docker = vendorStandIn(['docker', 'docker-compose'], { graph: { ...LISTENS, ...service } });
  for (const [name, value] of Object.entries(docker.environment)) vi.stubEnv(name, value);
}

function driver({ project = '/srv/novamem', service = 'graph' } = {}): ServiceDriver {
  hosts += 1;
  const host: Host = { ...HERE, title: `machine ${hosts}` };
  return driverFor('falkordb', { driver: 'compose', project, service }, host);
}

const problemOf = (asking: Promise<unknown>) =>
  asking.then(
    () => expect.unreachable('it was answered'),
    (error: Problem) => error,
  );

beforeEach(() => stoodIn());

afterEach(() => {
  docker.end();
  vi.unstubAllEnvs();
});

describe('a service of Docker Compose, with a stand-in for docker', () => {
  test('is made, seen running, stopped until no container of it is left, and started again as it was', async () => {
    const graph = driver();
    expect(await graph.look!()).toMatchObject({ state: 'stopped', ready: false, instances: [] });
    await graph.start(gateway, quiet);
    const first = await graph.look!();
    expect(first).toMatchObject({ state: 'running', ready: true, seen: 'container novamem-graph-1 is running' });
    const [pid] = docker.pids('graph');
    await graph.stop(gateway, quiet);
    expect([docker.pids('graph'), await graph.state()]).toEqual([[], 'stopped']);
    await graph.start(gateway, quiet);
    const second = await graph.look!();
    expect(second.instances).not.toEqual(first.instances);
    expect(docker.pids('graph')).not.toContain(pid);
    const place = 'docker compose --project-directory /srv/novamem';
    const commands = await graph.commands();
    expect(commands).toEqual({
      start: `${place} up --detach --no-deps --no-recreate graph`,
      stop: `${place} stop --timeout 300 graph`,
      restart: `${place} restart --timeout 300 graph`,
      status: `${place} ps --all graph`,
    });
    expect(docker.calls()).toContain(commands.stop);
  });

  test('is restarted by one command, as another container process', async () => {
    const graph = driver();
    await graph.start(gateway, quiet);
    const before = await graph.look!();
    await graph.restart!(gateway, quiet);
    const after = await graph.look!();
    expect(after.ready).toBe(true);
    expect(after.instances.some((one) => before.instances.includes(one))).toBe(false);
  });

  test('is not ready before its container is healthy, and says its last lines', async () => {
    stoodIn({ health: 'starting' });
    const graph = driver();
    await graph.start(gateway, quiet);
    expect(await graph.look!()).toMatchObject({
      state: 'running',
      ready: false,
      seen: 'container novamem-graph-1 is running (health: starting)',
    });
    await eventually('it has said something', async () => (await graph.lastLines()).length > 0);
    expect(await graph.lastLines()).toEqual(['graph-1  | it listens']);
    docker.set((state) => {
      state.services.graph!.health = 'healthy';
    });
    expect((await graph.look!()).ready).toBe(true);
  });

  test('that Docker starts again and again counts as running, with what it ends with', async () => {
    stoodIn({ command: ['/bin/sh', '-c', 'echo no disk; exit 3'], behaves: 'crash-loop', exitCode: 3 });
    const graph = driver();
    await graph.start(gateway, quiet);
    await eventually('it has ended', () => docker.pids('graph').length === 0);
    const { state, ready, seen } = await graph.look!();
    expect([state, ready]).toEqual(['running', false]);
    expect(seen).toMatch(/is restarting \(exit code 3/);
  });

  test('may be named by its Compose file', async () => {
    const graph = driver({ project: '/srv/novamem/compose.prod.yaml' });
    expect((await graph.commands()).stop).toBe(
      'docker compose --file /srv/novamem/compose.prod.yaml stop --timeout 300 graph',
    );
  });

  test('is driven by docker-compose where docker has no compose', async () => {
    docker.set((state) => {
      state.behaves = 'standalone';
    });
    const project = tempFolder('project');
    const graph = driver({ project });
    await graph.start(gateway, quiet);
    expect(await graph.state()).toBe('running');
    // Called where its file is: this one looks for it nowhere else.
    expect((await graph.commands()).stop).toBe(`env -C ${project} docker-compose stop --timeout 300 graph`);
    await graph.stop(gateway, quiet);
    expect(docker.pids('graph')).toEqual([]);
  });

  test('is not touched through a closed gateway', async () => {
    const graph = driver();
    for (const verb of ['start', 'stop', 'restart'] as const)
      await expect(graph[verb]!(closedGateway(), quiet)).rejects.toThrow(GatewayRefusal);
    expect(docker.calls().filter((call) => / (up|stop|restart) /.test(call))).toEqual([]);
  });
});

describe('what keeps a service of Docker Compose from being driven is said with what to do, with a stand-in for docker:', () => {
  test.each([
    ['daemon-down', {}, /Cannot connect to the Docker daemon/, /systemctl start docker/],
    ['denied', {}, /permission denied/, /usermod -aG docker/],
    ['garbage', {}, /not the id of a container.*502 Bad Gateway/, /ps --all --quiet graph/],
    ['', { service: 'grpah' }, /no such service: grpah/, /services\.falkordb\.service.*config --services/],
    ['', { project: '/srv/nowhere' }, /no configuration file/, /services\.falkordb\.project/],
  ])('%s %o', async (behaves, where, message, next) => {
    docker.set((state) => {
      state.behaves = behaves;
    });
    const problem = await problemOf(driver(where).look!());
    expect(problem.message).toMatch(message);
    expect(problem.next).toMatch(next);
  });

  test('no docker at all', async () => {
    vi.stubEnv('PATH', '/nonexistent');
    const problem = await problemOf(driver().look!());
    expect(problem.message).toMatch(/^docker is not there/);
    expect(problem.next).toMatch(/^install docker, or .* hosts\.falkordb: /);
  });

  test('an asking that fails half-way says so, and the exit code', async () => {
    const graph = driver();
    await graph.look!();
    docker.set((state) => {
      state.behaves = 'daemon-down';
    });
    const problem = await problemOf(graph.stop(gateway, quiet));
    expect(problem.message).toMatch(/^"docker compose .* stop .*" ended with exit code 1: Cannot connect/);
  });
});
