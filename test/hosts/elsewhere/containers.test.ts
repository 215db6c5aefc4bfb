import { execFileSync } from 'node:child_process';
import { readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { commandText } from '../../../src/hosts/command.js';
import { elsewhere } from '../../../src/hosts/elsewhere/elsewhere.js';
import { HERE } from '../../../src/hosts/host.js';
import { hostOf } from '../../../src/hosts/host-of.js';
import { inspectCommand } from '../../../src/hosts/run-command.js';
import {
  dockerComposeStandIn,
  dockerStandIn,
  dockerWithoutCompose,
  kubectlStandIn,
} from '../../support/container-stand-ins.js';
import { open, recordingGateway } from '../../support/sandbox.js';
import { tempFolder } from '../../support/temp.js';

const text = (words: string[]) => words.join(' ');

describe('files in a container, with a stand-in for docker,', () => {
  const host = hostOf({ compose: '/srv/novamem', service: 'falkordb' });

  test('are reached through the container that runs', async () => {
    const docker = dockerStandIn();
    docker.runsWhile('true');
    const folder = tempFolder('volume');
    writeFileSync(join(folder, 'f'), 'hello');
    expect((await host.files.read(join(folder, 'f'))).toString()).toBe('hello');
    expect(docker.calls().map((call) => text(call.slice(0, 7)))).toEqual([
      'compose --project-directory /srv/novamem exec -T falkordb sh',
    ]);
  });

  test('are reached through one more of its image and volumes while it is stopped: read, written and brought', async () => {
    const docker = dockerStandIn();
    const folder = tempFolder('volume');
    const here = join(tempFolder('here'), 'dump.rdb');
    writeFileSync(here, 'REDIS0011');
    await host.files.send(open, here, join(folder, 'dump.rdb'));
    await host.files.writeText(open, join(folder, 'manifest'), 'file a seq 1 type b\n');
    expect(readFileSync(join(folder, 'dump.rdb'), 'utf8')).toBe('REDIS0011');
    expect(readFileSync(join(folder, 'manifest'), 'utf8')).toBe('file a seq 1 type b\n');
    expect(docker.calls().map((call) => text(call.slice(3, 10)))).toContain(
      'run --rm --no-deps -T --entrypoint env falkordb',
    );
    expect(await host.files.exists(join(folder, 'absent'))).toBe(false);
  });

  test('that cannot be reached are not absent', async () => {
    dockerStandIn();
    const other = hostOf({ compose: '/srv/novamem/compose.yaml', service: 'graph', ssh: 'nowhere.invalid' });
    await expect(other.files.exists('/')).rejects.toThrow(
      /^the service graph of \/srv\/novamem\/compose\.yaml on nowhere\.invalid cannot be reached/,
    );
  });

  test('are changed by commands that a person could paste', async () => {
    const { gateway, changes } = recordingGateway();
    dockerStandIn().runsWhile('true');
    await host.files.setMode(gateway, tempFolder('volume'), 0o700);
    expect(changes[0]?.text).toMatch(
      /^docker compose --project-directory \/srv\/novamem exec -T falkordb chmod 700 \//,
    );
    const overSsh = hostOf({ compose: '/srv/novamem/compose.yaml', service: 'graph', ssh: 'ops@docker-1' });
    expect(commandText(overSsh.reach({ file: 'mv', args: ['a b', 'c'] }))).toBe(
      `ssh ops@docker-1 -- 'docker compose --file /srv/novamem/compose.yaml exec -T graph mv '\\''a b'\\'' c'`,
    );
  });

  test('are reached by Compose 1 where docker has no compose: running, stopped, and as they are shown', async () => {
    const project = tempFolder('project');
    writeFileSync(join(project, 'docker-compose.yml'), 'services: {}\n');
    const docker = dockerComposeStandIn();
    const folder = tempFolder('volume');
    writeFileSync(join(folder, 'f'), 'hello');
    // A machine of its own: what the others have is known by now.
    const old = elsewhere({ compose: project, service: 'falkordb' }, { ...HERE, title: 'an old machine' });
    expect((await old.files.read(join(folder, 'f'))).toString()).toBe('hello');
    expect(docker.calls().map((call) => text(call.slice(0, 4)))).toEqual([
      'exec -T falkordb sh',
      'run --rm --no-deps -T',
    ]);
    docker.runsWhile('true');
    expect(await old.files.exists(join(folder, 'absent'))).toBe(false);
    expect(old.files.said('mv', 'a', 'b')).toBe(`env -C ${project} docker-compose exec -T falkordb mv a b`);
    expect(old.files.whileStopped.said('mv', 'a', 'b')).toBe(
      `env -C ${project} docker-compose run --rm --no-deps -T --entrypoint env falkordb mv a b`,
    );
  });

  test('are not reached where there is neither: docker’s own words are told', async () => {
    const { state } = dockerWithoutCompose();
    symlinkSync('/usr/bin/env', join(state, 'env'));
    vi.stubEnv('PATH', state);
    const none = elsewhere(
      { compose: tempFolder('project'), service: 'falkordb' },
      { ...HERE, title: 'a machine without Compose' },
    );
    await expect(none.files.exists('/')).rejects.toThrow(/unknown flag: --project-directory/);
    vi.unstubAllEnvs();
  });

  test('know of secrets by no argument', async () => {
    const docker = dockerStandIn();
    docker.runsWhile('true');
    const asked = await inspectCommand(
      host.reach({ file: 'sh', args: ['-c', 'printf %s "$TOKEN"'], secretEnvironment: { TOKEN: 's3cret' } }),
    );
    expect(asked.stdout).toBe('s3cret');
    expect(JSON.stringify(docker.calls())).not.toContain('s3cret');
  });
});

const WORKLOAD = {
  kind: 'StatefulSet',
  metadata: { name: 'falkordb' },
  spec: {
    template: {
      spec: {
        securityContext: { fsGroup: 999 },
        containers: [
          { name: 'metrics', image: 'exporter:1' },
          {
            name: 'falkordb',
            image: 'falkordb/falkordb:v4',
            args: ['--save', '60'],
            volumeMounts: [
              { name: 'data', mountPath: '/var/lib/falkordb/data' },
              { name: 'config', mountPath: '/etc/falkordb' },
            ],
          },
        ],
        volumes: [
          { name: 'config', configMap: { name: 'falkordb' } },
          { name: 'unused', emptyDir: {} },
        ],
      },
    },
    volumeClaimTemplates: [{ metadata: { name: 'data' } }],
  },
};

describe('files in a pod, with a stand-in for kubectl,', () => {
  const settings = {
    kubernetes: 'statefulset/falkordb',
    namespace: 'novamem',
    context: 'prod',
    container: 'falkordb',
  };
  const host = hostOf(settings);

  test('are reached through the pod of the workload', async () => {
    const kubectl = kubectlStandIn(WORKLOAD);
    kubectl.runsWhile('true');
    expect(await host.files.exists('/')).toBe(true);
    expect(kubectl.calls().map((call) => text(call.slice(0, 11)))).toEqual([
      '--context prod -n novamem exec --pod-running-timeout=5s -i pod/falkordb-0 -c falkordb --',
    ]);
    expect(commandText(host.reach({ file: 'ls', args: ['/data'] }))).toBe(
      'kubectl --context prod -n novamem exec -i pod/falkordb-0 -c falkordb -- ls /data',
    );
  });

  test('are reached through a pod of its volumes while it is scaled to 0, which is gone afterwards', async () => {
    const kubectl = kubectlStandIn(WORKLOAD);
    const { gateway, changes } = recordingGateway();
    await expect(host.files.exists('/')).rejects.toThrow(/cannot be reached.*pods "falkordb-0" not found/);
    await host.files.open(gateway);
    expect(JSON.parse(kubectl.made()!)).toMatchObject({
      kind: 'Pod',
      metadata: { name: 'novamem-runbook-files-of-falkordb' },
      spec: {
        restartPolicy: 'Never',
        securityContext: { fsGroup: 999 },
        containers: [
          {
            image: 'falkordb/falkordb:v4',
            command: ['sh', '-c', expect.stringMatching(/^sleep \d+$/)],
            volumeMounts: WORKLOAD.spec.template.spec.containers[1]!.volumeMounts,
          },
        ],
        volumes: [
          { name: 'data', persistentVolumeClaim: { claimName: 'data-falkordb-0' } },
          { name: 'config', configMap: { name: 'falkordb' } },
        ],
      },
    });
    expect(JSON.parse(kubectl.made()!).spec.containers[0]).not.toHaveProperty('args');
    const path = join(tempFolder('volume'), 'f');
    await host.files.writeText(gateway, path, 'through the pod');
    expect(readFileSync(path, 'utf8')).toBe('through the pod');
    await host.files.close(gateway);
    expect(kubectl.made()).toBeUndefined();
    expect(changes.map((change) => change.text).filter((line) => line.startsWith('kubectl'))).toEqual([
      'kubectl --context prod -n novamem apply -f -',
      'kubectl --context prod -n novamem wait --for=condition=Ready pod/novamem-runbook-files-of-falkordb --timeout=180s',
      'kubectl --context prod -n novamem delete pod novamem-runbook-files-of-falkordb --ignore-not-found --grace-period=1 --wait',
    ]);
    await host.files.close(gateway);
    expect(kubectl.calls().filter((call) => call.includes('delete'))).toHaveLength(1);
  });

  test('are told as a person would reach them while it is scaled to 0, to be pasted', async () => {
    const kubectl = kubectlStandIn(WORKLOAD);
    const { whileStopped } = host.files;
    const path = join(tempFolder('volume'), 'f');
    const lines = [
      ...(await whileStopped.opening()),
      whileStopped.saidText(path, "it's here\n"),
      ...whileStopped.closing(),
    ];
    expect(kubectl.made()).toBeUndefined();
    execFileSync('sh', ['-ec', lines.slice(0, -1).join('\n')]);
    expect([JSON.parse(kubectl.made()!).kind, readFileSync(path, 'utf8')]).toEqual(['Pod', "it's here\n"]);
    execFileSync('sh', ['-ec', lines.at(-1)!]);
    expect(kubectl.made()).toBeUndefined();
  });

  test('whose pod never gets ready say why', async () => {
    const kubectl = kubectlStandIn(WORKLOAD);
    const message = '0/3 nodes are available: 3 node(s) had volume node affinity conflict';
    kubectl.neverReady({
      metadata: { name: 'novamem-runbook-files-of-falkordb', uid: '1' },
      status: { phase: 'Pending', conditions: [{ type: 'PodScheduled', status: 'False', message }] },
    });
    await expect(host.files.open(open)).rejects.toThrow(
      new RegExp(
        `timed out waiting.*; pod novamem-runbook-files-of-falkordb is Pending \\(${message.replace(/[()]/g, '.')}\\)$`,
      ),
    );
  });

  test.each([
    [{ replicas: 1 }, {}, ''],
    [{ replicas: 3 }, {}, 'has 3 replicas, each with files of its own, and only those of pod/falkordb-0 are reached'],
    [{ replicas: 0 }, { 'novamem-runbook/replicas': '2' }, 'has 2 replicas, each with files of its own'],
  ])('of %o %o are those of the first', async (spec, annotations, words) => {
    kubectlStandIn({
      ...WORKLOAD,
      metadata: { ...WORKLOAD.metadata, annotations },
      spec: { ...WORKLOAD.spec, ...spec },
    });
    const caution = await host.files.caution();
    expect(words === '' ? caution : caution.includes(words)).toBe(words === '' ? '' : true);
  });
});
