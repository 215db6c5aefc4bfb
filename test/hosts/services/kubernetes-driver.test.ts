import { execFileSync } from 'node:child_process';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { openGateway } from '../../../src/hosts/gateway.js';
import { HERE } from '../../../src/hosts/host.js';
import { driverFor } from '../../../src/hosts/services/drivers.js';
import type { Problem } from '../../../src/problem.js';
import { eventually } from '../../support/eventually.js';
import { type StoodInService, type VendorStandIn, vendorStandIn } from '../../support/vendor-stand-in.js';

const gateway = openGateway(() => {});
const quiet = { onLine: () => {} };
let kubectl: VendorStandIn;

function stoodIn(service: Partial<StoodInService> = {}) {
  kubectl = vendorStandIn(['kubectl'], {
    qdrant: { command: ['/bin/sh', '-c', 'echo it listens; exec sleep 300'], replicas: 0, ...service },
  });
  for (const [name, value] of Object.entries(kubectl.environment)) vi.stubEnv(name, value);
}

const driver = ({ namespace = 'novamem', workload = 'statefulset/qdrant', context = '' } = {}) =>
  driverFor('qdrant', { driver: 'kubernetes', namespace, workload, ...(context ? { context } : {}) }, HERE);

/** The workload with as many pods, as whoever deploys it has made it. */
async function deployed(replicas: number) {
  kubectl.set((state) => {
    state.services.qdrant!.replicas = replicas;
    state.services.qdrant!.annotations = {};
  });
  const given = kubectl.state().services.qdrant!.annotations;
  expect(given).toEqual({});
  await driver().start(gateway, quiet);
}

const behave = (how: string) =>
  kubectl.set((state) => {
    state.behaves = how;
  });

const problemOf = (asking: Promise<unknown>) =>
  asking.then(
    () => expect.unreachable('it was answered'),
    (error: Problem) => error,
  );

const ON = 'kubectl --namespace novamem';

beforeEach(() => stoodIn());

afterEach(() => {
  kubectl.end();
  vi.unstubAllEnvs();
});

describe('a workload of Kubernetes, with a stand-in for kubectl', () => {
  test('is scaled to 0 until no pod is left, and back to as many as it had, whoever does it', async () => {
    await deployed(3);
    const qdrant = driver();
    expect(await qdrant.look!()).toMatchObject({
      state: 'running',
      ready: true,
      seen: 'statefulset/qdrant in novamem: 3 of 3 replicas ready',
    });
    const planned = await qdrant.commands();
    expect(planned.stop).toBe(
      `${ON} annotate statefulset/qdrant novamem-runbook/replicas=3 --overwrite && ${ON} scale statefulset/qdrant --replicas=0`,
    );
    await qdrant.stop(gateway, quiet);
    expect(kubectl.calls().slice(-2).join(' && ')).toBe(planned.stop);
    expect([kubectl.pids('qdrant'), await qdrant.look!()]).toMatchObject([
      [],
      { state: 'stopped', instances: [], seen: 'statefulset/qdrant in novamem: scaled to 0, no pod is left' },
    ]);

    // Another program, later: what it had is on the workload itself.
    const later = driver();
    const { start } = await later.commands();
    expect(start).toBe(
      `${ON} scale statefulset/qdrant --replicas=3 && ${ON} annotate statefulset/qdrant novamem-runbook/replicas- --overwrite`,
    );
    await later.start(gateway, quiet);
    expect(kubectl.pids('qdrant')).toHaveLength(3);
    expect(await later.look!()).toMatchObject({ state: 'running', ready: true });
    expect(kubectl.state().services.qdrant!.annotations).toEqual({});
  });

  test('a stop that was killed half-way, or is done twice, forgets no number', async () => {
    await deployed(3);
    const half = openGateway(({ text }) => {
      if (/scale/.test(text)) throw new Error('killed here');
    });
    await expect(driver().stop(half, quiet)).rejects.toThrow('killed here');
    expect(kubectl.pids('qdrant')).toHaveLength(3);
    await driver().stop(gateway, quiet);
    await driver().stop(gateway, quiet);
    await driver().start(gateway, quiet);
    expect(kubectl.pids('qdrant')).toHaveLength(3);
  });

  test('an old note of a number counts for nothing once somebody has scaled it', async () => {
    await deployed(1);
    kubectl.set((state) => {
      state.services.qdrant!.annotations = { 'novamem-runbook/replicas': '5' };
    });
    await driver().stop(gateway, quiet);
    await driver().start(gateway, quiet);
    expect(kubectl.pids('qdrant')).toHaveLength(1);
  });

  test('one that somebody else scaled to 0 gets the number of its manifest', async () => {
    kubectl.set((state) => {
      state.services.qdrant!.annotations = {
        'kubectl.kubernetes.io/last-applied-configuration': JSON.stringify({ spec: { replicas: 2 } }),
      };
    });
    await driver().start(gateway, quiet);
    expect(kubectl.pids('qdrant')).toHaveLength(2);
  });

  test('is restarted by its rollout, with none of the old pods left', async () => {
    await deployed(2);
    const before = await driver().look!();
    await driver().restart!(gateway, quiet);
    const after = await driver().look!();
    expect(after.ready).toBe(true);
    expect(after.instances.some((one) => before.instances.includes(one))).toBe(false);
    expect(kubectl.calls()).toContain(`${ON} rollout restart statefulset/qdrant`);
  });

  test('whose pods are only replaced when somebody ends them is restarted so', async () => {
    stoodIn({ updateStrategy: 'OnDelete' });
    expect((await driver().commands()).restart).toBe(`${ON} delete pods --selector app=qdrant`);
  });

  test('whose API is away is told such that the shell asks for the number, and takes no other', async () => {
    await deployed(3);
    behave('no-server');
    const { stop, start, restart } = await driver().commands();
    behave('');
    for (const line of [stop, start, restart!]) expect(line).not.toMatch(/=N\b|[<>…]/);
    const paste = (line: string) => execFileSync('sh', ['-c', line], { encoding: 'utf8', stdio: 'pipe' });
    paste(stop);
    expect(kubectl.pids('qdrant')).toEqual([]);
    expect((await driver().commands()).start).toContain('--replicas=3 ');
    paste(start);
    expect(kubectl.pids('qdrant')).toHaveLength(3);
    // Where nobody has noted a number, none is guessed.
    expect(() => paste(start)).toThrow(/invalid argument "" for "--replicas"/);
    expect(kubectl.pids('qdrant')).toHaveLength(3);
  });

  test('that never gets ready says of which pod why, and its last lines', async () => {
    stoodIn({ command: ['/bin/sh', '-c', 'echo no disk; exit 3'], trouble: 'CrashLoopBackOff', replicas: 1 });
    await driver().start(gateway, quiet);
    await eventually('it has ended', () => kubectl.pids('qdrant').length === 0);
    expect(await driver().look!()).toMatchObject({
      state: 'running',
      ready: false,
      seen: 'statefulset/qdrant in novamem: 0 of 1 replicas ready; pod qdrant-0 is Running (CrashLoopBackOff: back-off 40s; ended with Error 3, restarted 4 times)',
    });
    expect(await driver().lastLines()).toEqual(['no disk']);
  });

  test('one whose pods do not end is not stopped', async () => {
    await deployed(1);
    kubectl.set((state) => {
      state.services.qdrant!.behaves = 'stays';
    });
    await driver().stop(gateway, quiet);
    const { state, seen } = await driver().look!();
    expect([state, seen]).toEqual([
      'running',
      'statefulset/qdrant in novamem: scaled to 0; pod qdrant-0 is ending since 2026-05-05T02:00:00Z on node-1',
    ]);
  });

  test.each([
    [
      { labels: { 'argocd.argoproj.io/instance': 'acme' } },
      /Argo CD keeps .* \(application acme\)/,
      /argocd app set acme/,
    ],
    [
      { annotations: { 'argocd.argoproj.io/tracking-id': 'memory:apps/StatefulSet:novamem/qdrant' } },
      /application memory/,
      /argocd app set memory --sync-policy none/,
    ],
    [
      {
        labels: {
          'kustomize.toolkit.fluxcd.io/name': 'apps',
          'kustomize.toolkit.fluxcd.io/namespace': 'flux-system',
        },
      },
      /kustomization apps/,
      /^flux suspend kustomization apps --namespace flux-system/,
    ],
    [
      { labels: { 'helm.toolkit.fluxcd.io/name': 'qdrant' } },
      /helmrelease qdrant/,
      /^flux suspend helmrelease qdrant/,
    ],
    [{ owner: { kind: 'QdrantCluster', name: 'main' } }, /QdrantCluster main keeps/, /pause what reconciles/],
  ])('%o is a warning of who scales it up again', async (more, message, next) => {
    stoodIn(more);
    expect(await driver().findings!()).toEqual([
      { level: 'warning', message: expect.stringMatching(message), next: expect.stringMatching(next) },
    ]);
  });

  test('that is scaled up again says by whom', async () => {
    await deployed(1);
    kubectl.set((state) => {
      state.services.qdrant!.behaves = 'comes-back';
    });
    const qdrant = driver();
    await qdrant.stop(gateway, quiet);
    const revived = await eventually('it is back', async () => {
      const look = await qdrant.look!();
      return look.state === 'running' ? look : undefined;
    });
    expect(revived.revivers).toMatchObject([
      { message: expect.stringMatching(/were last set by argocd-application-controller \(2026-05-05T02:00:00Z\)/) },
    ]);
    await eventually('its pod is there', () => kubectl.pids('qdrant').length === 1);
  });
});

describe('what keeps a workload from being driven is said with what to do, with a stand-in for kubectl:', () => {
  test.each([
    ['no-server', {}, /connection to the server localhost:8080 was refused/, /KUBECONFIG.*kubectl version/],
    ['garbage', {}, /not understood/, /driver: command/],
    ['', { workload: 'deploy/novamem' }, /NotFound/, /services\.qdrant\.workload.*get statefulsets,deployments/],
    ['', { context: 'staging' }, /context "staging" does not exist/, /services\.qdrant\.context.*get-contexts/],
  ])('%s %o', async (behaves, where, message, next) => {
    behave(behaves);
    const problem = await problemOf(driver(where).look!());
    expect(problem.message).toMatch(message);
    expect(problem.next).toMatch(next);
  });

  test('no right to scale it', async () => {
    behave('no-rights');
    expect(await driver({ context: 'prod' }).findings!()).toEqual([
      {
        level: 'blocking',
        message: expect.stringMatching(
          /may not scale statefulset\/qdrant in novamem: .*auth can-i patch .* answers no/,
        ),
        next: expect.stringMatching(
          /kubectl --context prod --namespace novamem create role novamem-runbook --verb=get,list,patch/,
        ),
      },
    ]);
  });
});
