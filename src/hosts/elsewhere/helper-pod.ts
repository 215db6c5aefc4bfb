import { messageOf } from '../../words.js';
import { type Command, commandText, shellWord } from '../command.js';
import type { Gateway } from '../gateway.js';
import { inspectCommand, runCommand } from '../run-command.js';
import { podSchema, REPLICAS_BEFORE, troubleOf } from '../services/kubernetes-look.js';
import type { Opening } from './posix-files.js';
import { type KubernetesSettings, kubectlArguments, podOf } from './reach.js';

/** Seconds after which it ends by itself, should nobody remove it. */
const LONGEST_LIFE = 6 * 3600;
const PATIENCE = 180_000;
const APPLY = ['apply', '-f', '-'];

interface Mounted {
  name: string;
}

/** Of a workload's own manifest, what a pod takes over that is to see the same files as the same user. */
interface Workload {
  kind: string;
  metadata: { name: string; annotations?: Record<string, string> };
  spec: {
    replicas?: number;
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
    const manifest = await this.#manifest();
    await this.#run(gateway, this.#kubectl(APPLY, manifest), signal);
    try {
      await this.#run(gateway, this.#kubectl(this.#wait), signal);
    } catch (error) {
      const trouble = signal?.aborted ? '' : await this.#trouble();
      throw trouble === '' ? error : new Error(`${messageOf(error)}; ${trouble}`, { cause: error });
    }
    this.isOpen = true;
  }

  async close(gateway: Gateway): Promise<void> {
    this.isOpen = false;
    const asked = await inspectCommand(
      this.#kubectl(['get', 'pod', this.name, '--ignore-not-found', '--output', 'name']),
    );
    if (asked.exitCode === 0 && asked.stdout.trim() === '') return;
    await this.#run(gateway, this.#kubectl(this.#remove)).catch((error: unknown) => {
      throw new Error(
        `${messageOf(error)}. Unless it is removed it may keep the volumes for up to ${LONGEST_LIFE / 3600} hours: ${this.closing()[0]}`,
        { cause: error },
      );
    });
  }

  async opening(): Promise<string[]> {
    const manifest = await this.#manifest().catch(() => undefined);
    if (manifest === undefined) return [];
    const made = `printf %s ${shellWord(manifest)} | ${commandText(this.#kubectl(APPLY))}`;
    return [made, commandText(this.#kubectl(this.#wait))];
  }

  closing(): string[] {
    return [commandText(this.#kubectl(this.#remove))];
  }

  async caution(): Promise<string> {
    const found = await this.#workload().catch(() => undefined);
    if (!found) return '';
    const { kubernetes, namespace } = this.#settings;
    const before = Number(found.metadata.annotations?.[REPLICAS_BEFORE]);
    const replicas = found.spec.replicas === 0 ? before : (found.spec.replicas ?? 1);
    if (!(replicas > 1)) return '';
    const which =
      found.kind === 'StatefulSet'
        ? `each with files of its own, and only those of ${podOf(kubernetes)} are reached`
        : 'and which of their files are reached is not certain';
    return `${kubernetes} in ${namespace} has ${replicas} replicas, ${which}`;
  }

  get #wait(): string[] {
    return ['wait', '--for=condition=Ready', `pod/${this.name}`, `--timeout=${PATIENCE / 1000}s`];
  }

  /** It sleeps and has nothing to put in order; the volume may not be had by another before it is gone. */
  get #remove(): string[] {
    return ['delete', 'pod', this.name, '--ignore-not-found', '--grace-period=1', '--wait'];
  }

  async #manifest(): Promise<string> {
    return JSON.stringify(helperManifest(this.name, await this.#workload(), this.#settings.container));
  }

  /** Why it does not get ready, as far as Kubernetes tells. */
  async #trouble(): Promise<string> {
    const asked = await inspectCommand(this.#kubectl(['get', 'pods', this.name, '--output', 'json']));
    try {
      return troubleOf(podSchema.parse(JSON.parse(asked.stdout)));
    } catch {
      return '';
    }
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
