import type { z } from 'zod';
import type { ServiceName, ServiceSettings } from '../../config/profile.js';
import { type Command, commandText } from '../command.js';
import type { Host } from '../host.js';
import type { ServiceDriver, ServiceFinding } from './driver.js';
import {
  isOnDelete,
  lookOf,
  podsSchema,
  REPLICAS_BEFORE,
  replicasToStart,
  selectorOf,
  type Workload,
  workloadSchema,
} from './kubernetes-look.js';
import { type Vendor, vendorDriver } from './vendor-driver.js';
import { type Fault, VendorProgram } from './vendor-program.js';

type Settings = Extract<ServiceSettings, { driver: 'kubernetes' }>;

/**
 * A workload of Kubernetes, stopped by scaling it to 0. The number of before is written on the workload itself first, so that it
 * comes back with as many, whoever starts it and whatever has become of this program meanwhile.
 */
export function kubernetesDriver(name: ServiceName, settings: Settings, host: Host): ServiceDriver {
  const { context, namespace, workload } = settings;
  const title = `${workload} in ${namespace}`;
  const kubectl = (...args: string[]): Command => ({
    file: 'kubectl',
    args: [...(context ? ['--context', context] : []), '--namespace', namespace, ...args],
  });
  const scale = (replicas: number) => kubectl('scale', workload, `--replicas=${replicas}`);
  const annotate = (text: string) => kubectl('annotate', workload, `${REPLICAS_BEFORE}${text}`, '--overwrite');
  const pods = (of: Workload, ...args: string[]) => kubectl(...args, '--selector', selectorOf(of));
  const program = new VendorProgram(
    name,
    host,
    faultsOf(name, settings, () => program.shown(kubectl('get', 'statefulsets,deployments'))),
  );

  async function read<T>(command: Command, schema: z.ZodType<T>): Promise<T> {
    const printed = await program.ask(command);
    try {
      return schema.parse(JSON.parse(printed));
    } catch {
      throw program.strange(command, printed, 'not what a workload and its pods are printed as');
    }
  }

  const workloadNow = () =>
    read(kubectl('get', workload, '--output', 'json', '--show-managed-fields'), workloadSchema);

  const restart = kubectl('rollout', 'restart', workload);
  /** The number is asked for by the shell that runs it; where there is none, kubectl takes no empty one. */
  const asking = (before: string, path: string, after = ''): Command => {
    const number = commandText(kubectl('get', workload, '--output', `jsonpath={${path}}`));
    const line = `${before}"$(${number})"${after}`;
    return { file: 'sh', args: ['-c', line], ...(host.here ? { shown: line } : {}) };
  };
  const lasting: Vendor['lasting'] = (verb) => {
    if (verb === 'restart') return [restart];
    if (verb === 'start')
      return [
        asking(`${commandText(kubectl('scale', workload))} --replicas=`, `.metadata.annotations.${REPLICAS_BEFORE}`),
        annotate('-'),
      ];
    const note = `${commandText(kubectl('annotate', workload))} ${REPLICAS_BEFORE}=`;
    return [asking(note, '.spec.replicas', ' --overwrite'), scale(0)];
  };

  return vendorDriver(program, {
    async look() {
      const found = await workloadNow();
      const { items } = await read(pods(found, 'get', 'pods', '--output', 'json'), podsSchema);
      return lookOf(title, found, items);
    },
    lasting,
    async commands(verb) {
      const found = await workloadNow();
      if (verb === 'restart') return [isOnDelete(found) ? pods(found, 'delete', 'pods') : restart];
      const { replicas } = found.spec;
      if (verb === 'stop') return [...(replicas > 0 ? [annotate(`=${replicas}`)] : []), scale(0)];
      const noted = REPLICAS_BEFORE in found.metadata.annotations;
      return [scale(replicasToStart(found)), ...(noted ? [annotate('-')] : [])];
    },
    status: () => kubectl('get', workload),
    logs: () => [
      kubectl('logs', workload, '--all-containers', '--tail', '20'),
      kubectl('logs', workload, '--all-containers', '--tail', '20', '--previous'),
    ],
    rights,
  });

  async function rights(): Promise<ServiceFinding[]> {
    const [kind, own] = workload.split('/') as [string, string];
    const resource = kind === 'statefulset' ? 'statefulsets' : 'deployments';
    const asked = [
      kubectl('auth', 'can-i', 'patch', `${resource}.apps/${own}`, '--subresource', 'scale'),
      kubectl('auth', 'can-i', 'patch', `${resource}.apps/${own}`),
    ];
    for (const command of asked) {
      const answer = await program.attempt(command);
      if (answer.exitCode === 0) continue;
      const role = kubectl(
        ...['create', 'role', 'novamem-runbook', '--verb=get,list,patch'],
        `--resource=${resource}.apps,${resource}.apps/scale,pods,pods/log`,
      );
      return [
        {
          level: 'blocking',
          message: `this account may not scale ${title}: "${program.shown(command)}" answers ${(answer.stdout || answer.stderr).trim() || answer.failure}`,
          next: `have an administrator: ${program.shown(role)}, and bind it to this account (kubectl create rolebinding)`,
        },
      ];
    }
    return [];
  }
}

function faultsOf(name: ServiceName, { context, namespace, workload }: Settings, workloads: () => string): Fault[] {
  return [
    {
      says: /context .*(does not exist|not found)|context was not found/i,
      next: `set services.${name}.context in the profile to one of those that this names: kubectl config get-contexts`,
    },
    {
      says: /forbidden/i,
      next: `have an administrator give this account the rights for ${workload} in ${namespace}; what it has: kubectl auth can-i --list --namespace ${namespace}`,
    },
    {
      says: /you must be logged in|unauthorized|token.*expired|exec plugin|getting credentials/i,
      next: `log in to the cluster anew, until this works: kubectl${context ? ` --context ${context}` : ''} auth whoami`,
    },
    {
      says: /connection to the server .* was refused|unable to connect|dial tcp|i\/o timeout|no such host|TLS handshake|api group list/i,
      next: `see that KUBECONFIG and the context lead to the right cluster, until this works: kubectl${context ? ` --context ${context}` : ''} version`,
    },
    {
      says: /NotFound|not found/i,
      get next() {
        return `set services.${name}.workload and services.${name}.namespace in the profile to what is there: ${workloads()}`;
      },
    },
  ];
}
