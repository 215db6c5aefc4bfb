import { z } from 'zod';
import type { ServiceFinding, ServiceLook } from './driver.js';

// What kubectl prints of a workload and its pods, and what that says of the service.

/** On the workload itself: how many replicas it had before it was scaled to 0. Whoever goes on, from wherever, finds it there. */
export const REPLICAS_BEFORE = 'novamem-runbook/replicas';
const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';

const names = z.record(z.string(), z.string()).default({});

export const workloadSchema = z.object({
  kind: z.enum(['StatefulSet', 'Deployment']),
  metadata: z.object({
    name: z.string(),
    generation: z.number().default(0),
    labels: names,
    annotations: names,
    ownerReferences: z
      .array(z.object({ kind: z.string(), name: z.string(), controller: z.boolean().default(false) }))
      .default([]),
    managedFields: z
      .array(
        z.object({
          manager: z.string().default(''),
          time: z.string().default(''),
          fieldsV1: z.object({ 'f:spec': z.record(z.string(), z.unknown()).optional() }).optional(),
        }),
      )
      .default([]),
  }),
  spec: z.object({
    replicas: z.number().default(1),
    selector: z.object({
      matchLabels: names,
      matchExpressions: z
        .array(z.object({ key: z.string(), operator: z.string(), values: z.array(z.string()).default([]) }))
        .default([]),
    }),
    updateStrategy: z.object({ type: z.string() }).optional(),
  }),
  status: z.object({ observedGeneration: z.number().default(0), readyReplicas: z.number().default(0) }).prefault({}),
});
export type Workload = z.infer<typeof workloadSchema>;

const ended = z.object({ reason: z.string().default(''), exitCode: z.number() }).optional();

export const podSchema = z.object({
  metadata: z.object({ name: z.string(), uid: z.string(), deletionTimestamp: z.string().optional() }),
  spec: z.object({ nodeName: z.string().optional() }).prefault({}),
  status: z.object({
    phase: z.string(),
    reason: z.string().optional(),
    conditions: z
      .array(z.object({ type: z.string(), status: z.string(), message: z.string().default('') }))
      .default([]),
    containerStatuses: z
      .array(
        z.object({
          name: z.string(),
          ready: z.boolean(),
          restartCount: z.number().default(0),
          state: z
            .object({
              waiting: z.object({ reason: z.string().default(''), message: z.string().default('') }).optional(),
              terminated: ended,
            })
            .prefault({}),
          lastState: z.object({ terminated: ended }).prefault({}),
        }),
      )
      .default([]),
  }),
});
export const podsSchema = z.object({ items: z.array(podSchema) });
type Pod = z.infer<typeof podSchema>;

/** The pods of a workload, as `--selector` takes it. */
export function selectorOf({ spec: { selector } }: Workload): string {
  const expressions = selector.matchExpressions.map(({ key, operator, values }) => {
    if (operator === 'Exists') return key;
    if (operator === 'DoesNotExist') return `!${key}`;
    return `${key} ${operator === 'In' ? 'in' : 'notin'} (${values.join(',')})`;
  });
  return [...Object.entries(selector.matchLabels).map(([key, value]) => `${key}=${value}`), ...expressions].join(',');
}

/** Whether a new template reaches no pod before somebody ends it. */
export const isOnDelete = ({ spec }: Workload): boolean => spec.updateStrategy?.type === 'OnDelete';

/** How many replicas a start gives it: those it has; else those of before; else those of its manifest. */
export function replicasToStart({ metadata: { annotations }, spec }: Workload): number {
  if (spec.replicas > 0) return spec.replicas;
  const before = Number(annotations[REPLICAS_BEFORE]);
  if (Number.isInteger(before) && before > 0) return before;
  try {
    const applied = z
      .object({ spec: z.object({ replicas: z.number().int().positive() }) })
      .parse(JSON.parse(annotations[LAST_APPLIED] ?? ''));
    return applied.spec.replicas;
  } catch {
    return 1;
  }
}

/** A pod that has ended for good stays in the list; one that is ending still has its volume. */
const isThere = ({ status }: Pod) => status.phase !== 'Succeeded' && status.phase !== 'Failed';

export function lookOf(title: string, workload: Workload, pods: Pod[]): ServiceLook {
  const { spec, status, metadata } = workload;
  const there = pods.filter(isThere);
  const ready =
    spec.replicas > 0 && status.readyReplicas >= spec.replicas && status.observedGeneration >= metadata.generation;
  const troubles = there.map(troubleOf).filter((trouble) => trouble !== '');
  const counted =
    spec.replicas === 0
      ? there.length === 0
        ? 'scaled to 0, no pod is left'
        : 'scaled to 0'
      : `${status.readyReplicas} of ${spec.replicas} replicas ready`;
  return {
    state: spec.replicas > 0 || there.length > 0 ? 'running' : 'stopped',
    ready,
    seen: [`${title}: ${counted}`, ...troubles.slice(0, 3)].join('; '),
    instances: there.map(({ metadata: { uid } }) => uid),
    revivers: reviversOf(title, workload),
  };
}

/** Why a pod is not ready; '' where it is. */
export function troubleOf({ metadata: { name, deletionTimestamp }, spec, status }: Pod): string {
  if (deletionTimestamp)
    return `pod ${name} is ending since ${deletionTimestamp}${spec.nodeName ? ` on ${spec.nodeName}` : ''}`;
  if (status.containerStatuses.length > 0 && status.containerStatuses.every(({ ready }) => ready)) return '';
  const unscheduled = status.conditions.find(({ type, status: is }) => type === 'PodScheduled' && is === 'False');
  const reasons = status.containerStatuses.flatMap(({ ready, state, lastState, restartCount }) => {
    if (ready) return [];
    const end = state.terminated ?? lastState.terminated;
    return [
      ...(state.waiting
        ? [[state.waiting.reason, state.waiting.message].filter((word) => word !== '').join(': ')]
        : []),
      ...(end ? [`ended with ${end.reason || 'exit code'} ${end.exitCode}, restarted ${restartCount} times`] : []),
    ];
  });
  const why = [...(unscheduled ? [unscheduled.message] : []), ...(status.reason ? [status.reason] : []), ...reasons];
  return `pod ${name} is ${status.phase}${why.length > 0 ? ` (${why.join('; ')})` : ', not ready'}`;
}

/** Who keeps the workload as it is written elsewhere: what was scaled to 0 is soon scaled up again by them. */
function reviversOf(title: string, { metadata }: Workload): ServiceFinding[] {
  const { labels, annotations, ownerReferences } = metadata;
  const warning = (message: string, next: string): ServiceFinding => ({ level: 'warning', message, next });
  const argo = annotations['argocd.argoproj.io/tracking-id']?.split(':')[0] ?? labels['argocd.argoproj.io/instance'];
  const flux = labels['kustomize.toolkit.fluxcd.io/name'];
  const helm = labels['helm.toolkit.fluxcd.io/name'];
  const owner = ownerReferences.find(({ controller }) => controller);
  const scaler = lastScaler(metadata.managedFields);
  const spaceOf = (kind: string) => {
    const space = labels[`${kind}.toolkit.fluxcd.io/namespace`];
    return space === undefined ? '' : ` --namespace ${space}`;
  };
  return [
    ...(argo
      ? [
          warning(
            `Argo CD keeps ${title} (application ${argo}): with self-heal on it is scaled up again within seconds`,
            `argocd app set ${argo} --sync-policy none, and set it back afterwards`,
          ),
        ]
      : []),
    ...(flux
      ? [
          warning(
            `Flux keeps ${title} (kustomization ${flux}): it is scaled up again at the next reconciliation`,
            `flux suspend kustomization ${flux}${spaceOf('kustomize')}, and resume it afterwards`,
          ),
        ]
      : []),
    ...(helm
      ? [
          warning(
            `Flux keeps ${title} (helmrelease ${helm}): with drift detection it is scaled up again`,
            `flux suspend helmrelease ${helm}${spaceOf('helm')}, and resume it afterwards`,
          ),
        ]
      : []),
    ...(owner
      ? [
          warning(
            `${owner.kind} ${owner.name} keeps ${title}: its operator may scale it up again`,
            `pause what reconciles ${owner.kind} ${owner.name}, and let it go on afterwards`,
          ),
        ]
      : []),
    ...(scaler
      ? [
          {
            level: 'info' as const,
            message: `the replicas of ${title} were last set by ${scaler.manager} (${scaler.time})`,
            next: `should it come back after a stop, have ${scaler.manager} leave it alone`,
          },
        ]
      : []),
  ];
}

/** Who has set the number of replicas last, where that was no person with kubectl. */
function lastScaler(fields: Workload['metadata']['managedFields']): { manager: string; time: string } | undefined {
  const [last] = fields
    .filter(({ fieldsV1 }) => fieldsV1?.['f:spec'] && 'f:replicas' in fieldsV1['f:spec'])
    .sort((a, b) => b.time.localeCompare(a.time));
  return last === undefined || last.manager.startsWith('kubectl') ? undefined : last;
}
