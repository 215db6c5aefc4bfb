import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { commandText } from '../../../src/hosts/command.js';
import { hostOf } from '../../../src/hosts/host-of.js';
import { inspectCommand } from '../../../src/hosts/run-command.js';
import { dockerStandIn, kubectlStandIn } from '../../support/container-stand-ins.js';
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
      '--context prod -n novamem exec --pod-running-timeout=5s -i statefulset/falkordb -c falkordb --',
    ]);
    expect(commandText(host.reach({ file: 'ls', args: ['/data'] }))).toBe(
      'kubectl --context prod -n novamem exec -i statefulset/falkordb -c falkordb -- ls /data',
    );
  });

  test('are reached through a pod of its volumes while it is scaled to 0, which is gone afterwards', async () => {
    const kubectl = kubectlStandIn(WORKLOAD);
    const { gateway, changes } = recordingGateway();
    await expect(host.files.exists('/')).rejects.toThrow(/cannot be reached.*timed out waiting/);
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
  });
});
