import type { Command } from '../command.js';
import type { Gateway } from '../gateway.js';
import { inspectCommand, runCommand } from '../run-command.js';
import type { Opening } from './posix-files.js';
import { type KubernetesSettings, kubectlArguments } from './reach.js';

/** Seconds after which it ends by itself, should nobody remove it. */
const LONGEST_LIFE = 6 * 3600;
const PATIENCE = 180_000;

interface Mounted {
  name: string;
}

/** Of a workload's own manifest, what a pod takes over that is to see the same files as the same user. */
interface Workload {
  kind: string;
  metadata: { name: string };
  spec: {
    template: {
      metadata?: { annotations?: Record<string, string> };
      spec: {
        containers: { name: string; image: string; volumeMounts?: Mounted[]; securityContext?: object }[];
        volumes?: Mounted[];
        securityContext?: object;
        imagePullSecrets?: object[];
        nodeSelector?: object;
        tolerations?: object[];
      };
    };
    volumeClaimTemplates?: { metadata: { name: string } }[];
  };
}

/** A pod that only has the volumes of a workload which was scaled to 0: with no pod of its own there is no way to its files. */
export class HelperPod implements Opening {
  readonly name: string;
  /** As far as this process knows: another may have made it. */
  isOpen = false;
  readonly #settings: KubernetesSettings;

  constructor(settings: KubernetesSettings) {
    this.#settings = settings;
    this.name = `novamem-runbook-files-of-${settings.kubernetes.split('/')[1]!}`.slice(0, 63).replace(/[.-]+$/, '');
  }

  async open(gateway: Gateway, signal?: AbortSignal): Promise<void> {
    const workload = await this.#workload();
    const manifest = JSON.stringify(helperManifest(this.name, workload, this.#settings.container));
    await this.#run(gateway, this.#kubectl(['apply', '-f', '-'], manifest), signal);
    const wait = ['wait', '--for=condition=Ready', `pod/${this.name}`, `--timeout=${PATIENCE / 1000}s`];
    await this.#run(gateway, this.#kubectl(wait), signal);
    this.isOpen = true;
  }

  async close(gateway: Gateway): Promise<void> {
    // It sleeps and has nothing to put in order; the volume may not be had by another before it is gone.
    const remove = ['delete', 'pod', this.name, '--ignore-not-found', '--grace-period=1', '--wait'];
    this.isOpen = false;
    await this.#run(gateway, this.#kubectl(remove));
  }

  #kubectl(args: string[], input?: string): Command {
    return {
      file: 'kubectl',
      args: [...kubectlArguments(this.#settings), ...args],
      ...(input === undefined ? {} : { input }),
    };
  }

  async #workload(): Promise<Workload> {
    const asked = await inspectCommand(this.#kubectl(['get', this.#settings.kubernetes, '-o', 'json']));
    if (asked.exitCode !== 0)
      throw new Error(`kubectl get ${this.#settings.kubernetes}: ${asked.stderr.trim() || asked.failure}`);
    return JSON.parse(asked.stdout) as Workload;
  }

  async #run(gateway: Gateway, command: Command, signal?: AbortSignal): Promise<void> {
    const said: string[] = [];
    const ended = await runCommand(gateway, command, {
      onLine: (line) => said.push(line),
      ...(signal ? { signal } : {}),
    });
    signal?.throwIfAborted();
    if (ended.exitCode !== 0)
      throw new Error(
        `the pod ${this.name}, which the files of ${this.#settings.kubernetes} are reached through while it is stopped, failed: ${said.at(-1) ?? ended.failure}`,
      );
  }
}

/** What kubectl goes by where nobody names a container. */
const DEFAULT_CONTAINER = 'kubectl.kubernetes.io/default-container';

/** The same image, user and volumes, and nothing of the workload's own work. */
export function helperManifest(name: string, { kind, metadata, spec }: Workload, wanted: string | undefined): object {
  const { template, volumeClaimTemplates = [] } = spec;
  const { containers, volumes = [], securityContext, imagePullSecrets, nodeSelector, tolerations } = template.spec;
  const asked = wanted ?? template.metadata?.annotations?.[DEFAULT_CONTAINER];
  const container = asked === undefined ? containers[0] : containers.find((one) => one.name === asked);
  if (!container) throw new Error(`${kind} ${metadata.name} has no container ${asked}`);
  const mounted = new Set((container.volumeMounts ?? []).map((mount) => mount.name));
  const claimed = volumeClaimTemplates.map(({ metadata: claim }) => ({
    name: claim.name,
    persistentVolumeClaim: { claimName: `${claim.name}-${metadata.name}-0` },
  }));
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels: { 'app.kubernetes.io/managed-by': 'novamem-runbook' } },
    spec: {
      restartPolicy: 'Never',
      activeDeadlineSeconds: LONGEST_LIFE,
      ...(securityContext ? { securityContext } : {}),
      ...(imagePullSecrets ? { imagePullSecrets } : {}),
      ...(nodeSelector ? { nodeSelector } : {}),
      ...(tolerations ? { tolerations } : {}),
      containers: [
        {
          name: 'files',
          image: container.image,
          command: ['sh', '-c', `sleep ${LONGEST_LIFE}`],
          volumeMounts: container.volumeMounts ?? [],
          ...(container.securityContext ? { securityContext: container.securityContext } : {}),
        },
      ],
      volumes: [...claimed, ...volumes].filter((volume) => mounted.has(volume.name)),
    },
  };
}
