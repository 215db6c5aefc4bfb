import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { stringify } from 'yaml';
import { type Profile, SERVICES, type ServiceName } from '../config/profile.js';

import type { Runbook } from '../runbook/runbook.js';

// What runs a scenario in the cluster itself, where the stores are near and nobody's terminal or network can break it off.

export interface JobOptions {
  scenario: string;
  runbook: Runbook;
  /** Its file: what is run is what was read here, whatever the image has. */
  runbookFile: string;
  profile: Profile;
  image: string;
  backup: string;
  /** `--set` arguments as they were given. */
  set: readonly string[];
}

const NAME = 'novamem-runbook';
const CONFIG = `/etc/${NAME}`;
const STATE = '/state';
const SCRATCH = '/scratch';
/** The image's user: nothing in the pod needs to be root. */
const USER = 10_001;

/** The manifests of a Job that runs a scenario without a person, and of all that it needs; the secrets are named, never held. */
export function jobManifest(options: JobOptions): string {
  const { profile } = options;
  const { secrets, settings } = insideCluster(profile);
  const space = spacesOf(profile)[0] ?? 'default';
  const roots = profile.backups.filter((root) => root.startsWith('/'));
  const runbook = `${options.scenario
    .replace(/\.ya?ml$/, '')
    .split('/')
    .at(-1)!}.yaml`;
  const documents = [
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: NAME, namespace: space } },
    ...spacesOf(profile).flatMap((namespace) => rightsIn(namespace, space, options)),
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: NAME, namespace: space },
      data: { 'profile.yaml': stringify(settings), [runbook]: readFileSync(options.runbookFile, 'utf8') },
    },
    {
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: { name: `${NAME}-state`, namespace: space },
      spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
    },
    job({ ...options, runbook, space, roots, secrets: secrets.map(({ variable }) => variable) }),
  ];
  return [
    ...heading(options, space, roots, secrets),
    documents.map((document) => stringify(document, { lineWidth: 0 })).join('---\n'),
  ].join('\n');
}

interface Secret {
  variable: string;
  /** Where the profile has it from on this machine. */
  reference: string;
}

/** The profile as it holds in the pod: every secret from a variable, kubectl with the pod's own account. */
function insideCluster(profile: Profile): { settings: object; secrets: Secret[] } {
  const secrets: Secret[] = [];
  const moved = (reference: string, otherwise: string) => {
    const variable = reference.startsWith('env:') ? reference.slice('env:'.length) : otherwise;
    secrets.push({ variable, reference });
    return `env:${variable}`;
  };
  const { postgres, qdrant, falkordb, novamem, services, hosts, drill, ...rest } = profile;
  const settings = {
    ...rest,
    postgres: {
      ...postgres,
      ...(postgres.passwordFrom ? { passwordFrom: moved(postgres.passwordFrom, 'POSTGRES_PASSWORD') } : {}),
    },
    qdrant: {
      ...qdrant,
      ...(qdrant.apiKeyFrom ? { apiKeyFrom: moved(qdrant.apiKeyFrom, 'NOVAMEM_COLD_API_KEY') } : {}),
    },
    falkordb: {
      ...falkordb,
      ...(falkordb.passwordFrom ? { passwordFrom: moved(falkordb.passwordFrom, 'FALKORDB_PASSWORD') } : {}),
    },
    ...(novamem
      ? {
          novamem: {
            ...novamem,
            ...(novamem.tokenFrom ? { tokenFrom: moved(novamem.tokenFrom, 'NOVAMEM_TOKEN') } : {}),
          },
        }
      : {}),
    services: withoutContexts(services),
    hosts: withoutContexts(hosts),
    // What starts the real novamem of a drill may hold keys.
    drill: { everyDays: drill.everyDays, recall: drill.recall },
  };
  return { settings, secrets };
}

const withoutContexts = (of: Record<string, object | undefined>) =>
  Object.fromEntries(
    Object.entries(of)
      .filter(([, one]) => one !== undefined)
      .map(([name, one]) => [name, { ...one, context: undefined }]),
  );

/** The workloads of a namespace that the profile scales, and those whose pods it enters. */
function usesOf({ services, hosts }: Profile) {
  return SERVICES.flatMap((name) => {
    const service = services[name];
    const host = hosts[name];
    return [
      ...(service?.driver === 'kubernetes'
        ? [{ namespace: service.namespace, workload: service.workload, enters: false }]
        : []),
      ...(host && 'kubernetes' in host
        ? [{ namespace: host.namespace, workload: host.kubernetes, enters: true }]
        : []),
    ];
  });
}

const spacesOf = (profile: Profile) => [...new Set(usesOf(profile).map(({ namespace }) => namespace))];

/** Into the files of a workload that is scaled to 0 leads a pod of this program's own. */
const FOR_FILES = ['get', 'list', 'watch', 'create', 'patch', 'delete'];
/** A StatefulSet whose pods are only replaced when somebody ends them is restarted so: `kubectl delete pods` waits for their end. */
const FOR_RESTARTS = ['get', 'list', 'watch', 'delete'];
const FOR_LOOKING = ['get', 'list'];

/** Whether a step of the runbook restarts a StatefulSet of a namespace. */
function restartsIn(namespace: string, { runbook, profile }: JobOptions): boolean {
  return runbook.steps.some(({ kind, params }) => {
    if (kind.kind !== 'service.restart') return false;
    const service = profile.services[(params as { service: ServiceName }).service];
    return (
      service?.driver === 'kubernetes' &&
      service.namespace === namespace &&
      service.workload.startsWith('statefulset/')
    );
  });
}

/** Just what the drivers and the hosts of the profile ask of one namespace, for the steps of this runbook. */
function rightsIn(namespace: string, account: string, options: JobOptions): object[] {
  const { profile } = options;
  const uses = usesOf(profile).filter((use) => use.namespace === namespace);
  const scaled = uses.filter(({ enters }) => !enters);
  const entered = uses.filter(({ enters }) => enters);
  const named = (of: typeof uses) => {
    const byResource = new Map<string, Set<string>>();
    for (const { workload } of of) {
      const [kind, name] = workload.split('/') as [string, string];
      const resource = kind === 'statefulset' ? 'statefulsets' : 'deployments';
      byResource.set(resource, (byResource.get(resource) ?? new Set()).add(name));
    }
    return [...byResource].map(([resource, names]) => ({ resource, resourceNames: [...names].sort() }));
  };
  const rules = [
    ...named(scaled).map(({ resource, resourceNames }) => ({
      apiGroups: ['apps'],
      resources: [resource, `${resource}/scale`],
      resourceNames,
      verbs: ['get', 'patch'],
    })),
    ...named(entered).map(({ resource, resourceNames }) => ({
      apiGroups: ['apps'],
      resources: [resource],
      resourceNames,
      verbs: ['get'],
    })),
    {
      apiGroups: [''],
      resources: ['pods'],
      verbs: entered.length > 0 ? FOR_FILES : restartsIn(namespace, options) ? FOR_RESTARTS : FOR_LOOKING,
    },
    { apiGroups: [''], resources: ['pods/log'], verbs: ['get'] },
    ...(entered.length > 0 ? [{ apiGroups: [''], resources: ['pods/exec'], verbs: ['create', 'get'] }] : []),
  ];
  const api = 'rbac.authorization.k8s.io';
  const metadata = { name: NAME, namespace };
  return [
    { apiVersion: `${api}/v1`, kind: 'Role', metadata, rules },
    {
      apiVersion: `${api}/v1`,
      kind: 'RoleBinding',
      metadata,
      subjects: [{ kind: 'ServiceAccount', name: NAME, namespace: account }],
      roleRef: { apiGroup: api, kind: 'Role', name: NAME },
    },
  ];
}

function job({
  scenario,
  runbook,
  profile,
  image,
  backup,
  set,
  space,
  roots,
  secrets,
}: Omit<JobOptions, 'runbook'> & { runbook: string; space: string; roots: string[]; secrets: string[] }): object {
  const args = [
    ...['run', `${CONFIG}/${runbook}`, '--profile', `${CONFIG}/profile.yaml`],
    ...['--headless', '--confirm', profile.name, '--backup', backup],
    ...set.flatMap((one) => ['--set', one]),
  ];
  const mounts = [
    { name: 'config', mountPath: CONFIG, readOnly: true },
    { name: 'state', mountPath: STATE },
    { name: 'scratch', mountPath: SCRATCH },
    ...roots.map((mountPath, index) => ({ name: `backups-${index + 1}`, mountPath })),
  ];
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name: `${NAME}-${nameOf(scenario)}`, namespace: space, labels: { 'app.kubernetes.io/name': NAME } },
    spec: {
      // A recovery that has failed is looked at by a person, and never begun again by itself.
      backoffLimit: 0,
      template: {
        metadata: { labels: { 'app.kubernetes.io/name': NAME } },
        spec: {
          restartPolicy: 'Never',
          serviceAccountName: NAME,
          securityContext: { runAsNonRoot: true, runAsUser: USER, runAsGroup: USER, fsGroup: USER },
          containers: [
            {
              name: NAME,
              image,
              command: [NAME],
              args,
              env: [
                { name: 'NOVAMEM_RUNBOOK_HOME', value: STATE },
                { name: 'TMPDIR', value: SCRATCH },
                ...secrets.map((key) => ({ name: key, valueFrom: { secretKeyRef: { name: NAME, key } } })),
              ],
              volumeMounts: mounts,
            },
          ],
          volumes: [
            { name: 'config', configMap: { name: NAME } },
            { name: 'state', persistentVolumeClaim: { claimName: `${NAME}-state` } },
            { name: 'scratch', emptyDir: {} },
            ...roots.map((_, index) => ({
              name: `backups-${index + 1}`,
              persistentVolumeClaim: { claimName: backupClaim(index) },
            })),
          ],
        },
      },
    },
  };
}

const backupClaim = (index: number) => `novamem-backups${index === 0 ? '' : `-${index + 1}`}`;

/** As Kubernetes takes a name. */
const nameOf = (scenario: string) =>
  basename(scenario)
    .replace(/\.ya?ml$/, '')
    .toLowerCase()
    .replaceAll(/[^a-z0-9-]+/g, '-')
    .slice(0, 45)
    .replace(/^-+|-+$/g, '');

/** What no profile says, for whoever applies it. */
function heading(
  { scenario, profile, image }: JobOptions,
  space: string,
  roots: readonly string[],
  secrets: readonly Secret[],
): string[] {
  const literals = secrets.map(({ variable }) => `--from-literal=${variable}=…`).join(' ');
  const { services, hosts, postgres, falkordb } = profile;
  const elsewhere = SERVICES.filter((name) => {
    const driver = services[name]?.driver;
    return driver !== undefined && driver !== 'kubernetes';
  });
  const places = [
    ...(postgres.dataDir && !hosts.postgres ? [`postgres.dataDir ${postgres.dataDir}`] : []),
    ...(falkordb.dataDir && !hosts.falkordb ? [`falkordb.dataDir ${falkordb.dataDir}`] : []),
    ...[profile.postgres, profile.qdrant, profile.falkordb, ...(profile.novamem ? [profile.novamem] : [])]
      .flatMap(({ caFile, certFile, keyFile }) => [caFile, certFile, keyFile])
      .filter((file) => file !== undefined),
  ];
  return [
    `Runs ${scenario} on ${profile.name} without a person, in the namespace ${space}. Read it, then: kubectl create -f FILE`,
    `and follow it: kubectl --namespace ${space} logs --follow job/${NAME}-${nameOf(scenario)}`,
    `- ${image} must have this program, kubectl and the Postgres programs of the server's version.`,
    ...(secrets.length > 0
      ? [`- The secrets, once: kubectl --namespace ${space} create secret generic ${NAME} ${literals}`]
      : []),
    ...roots.map((root, index) => `- ${root} must lie in a volume of the claim ${backupClaim(index)}.`),
    ...elsewhere.map(
      (name) => `- services.${name} is driven by ${services[name]!.driver}: that must work from the pod.`,
    ),
    ...places.map((place) => `- ${place} must be there in the pod as well: mount it.`),
    ...(profile.drill.novamem
      ? ['- drill.novamem of the profile is left out: it may hold keys. Add it by hand.']
      : []),
    '- The URLs of the profile must lead to the stores from inside the cluster.',
  ].map((line) => `# ${line}`);
}
