import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { type Profile, profileSchema } from '../../src/config/profile.js';
import { readProfile } from '../../src/config/profiles.js';
import { jobManifest } from '../../src/engine/job-manifest.js';
import { loadRunbook, runbookFile } from '../../src/runbook/library.js';
import { tempFolder } from '../support/temp.js';

const kubernetes = (workload: string) => ({ driver: 'kubernetes', context: 'prod', namespace: 'novamem', workload });

const profile = profileSchema.parse({
  name: 'acme-prod',
  production: true,
  postgres: { url: 'postgres://novamem@postgres:5432/novamem', passwordFrom: 'file:/run/secrets/postgres' },
  qdrant: { url: 'http://qdrant:6333', apiKeyFrom: 'env:NOVAMEM_COLD_API_KEY', nodes: ['http://qdrant-1:6333'] },
  falkordb: { url: 'redis://falkordb:6379', dataDir: '/data' },
  novamem: { url: 'http://novamem:7778', tokenFrom: 'command:pass novamem' },
  services: {
    novamem: kubernetes('deploy/novamem'),
    qdrant: kubernetes('statefulset/qdrant'),
    falkordb: kubernetes('statefulset/falkordb'),
  },
  hosts: { falkordb: { kubernetes: 'statefulset/falkordb', context: 'prod', namespace: 'novamem' } },
  backups: ['/backups/novamem', 's3://acme-backups/novamem'],
});

const SCENARIO = 'whole-cluster-lost';

function manifest(file = runbookFile(SCENARIO), given: Profile = profile) {
  const text = jobManifest({
    scenario: SCENARIO,
    runbook: loadRunbook(file),
    runbookFile: file,
    profile: given,
    image: 'registry.example/novamem-runbook:1',
    backup: 'latest',
    set: ['restore-postgres.strategy=swap'],
  });
  const documents = parseAllDocuments(text);
  expect(documents.flatMap(({ errors, warnings }) => [...errors, ...warnings])).toEqual([]);
  const all = documents.map((document) => document.toJS() as Record<string, never>);
  // biome-ignore lint/suspicious/noExplicitAny: whatever a manifest holds is looked at.
  const one = (kind: string): any => all.find((document) => document.kind === kind);
  return { text, all, one };
}

describe('the manifest of a Job', () => {
  test('runs the same scenario once, without a person, confirmed by the name of the cluster', () => {
    const { one } = manifest();
    const { spec } = one('Job');
    expect([spec.backoffLimit, spec.template.spec.restartPolicy]).toEqual([0, 'Never']);
    const [container] = spec.template.spec.containers;
    expect([...container.command, ...container.args].join(' ')).toBe(
      'novamem-runbook run /etc/novamem-runbook/whole-cluster-lost.yaml --profile /etc/novamem-runbook/profile.yaml --headless --confirm acme-prod --backup latest --set restore-postgres.strategy=swap',
    );
    expect(container.image).toBe('registry.example/novamem-runbook:1');
  });

  test('holds the runbook and a profile that can be read, with the pod’s own account for kubectl', () => {
    const { one } = manifest();
    const { data } = one('ConfigMap');
    const folder = tempFolder('config');
    for (const [name, text] of Object.entries(data)) writeFileSync(join(folder, name), text as string);
    expect(loadRunbook(join(folder, 'whole-cluster-lost.yaml')).hash).toBe(loadRunbook(SCENARIO).hash);
    const read = readProfile(join(folder, 'profile.yaml'));
    expect([read.name, read.production, read.qdrant.nodes]).toEqual(['acme-prod', true, ['http://qdrant-1:6333']]);
    expect(read.services.qdrant).toEqual({
      driver: 'kubernetes',
      namespace: 'novamem',
      workload: 'statefulset/qdrant',
    });
    expect(read.hosts.falkordb).toEqual({ kubernetes: 'statefulset/falkordb', namespace: 'novamem' });
  });

  test('names every secret by one reference, that of the profile and that of the pod', () => {
    const { text, one } = manifest();
    const variables = one('Job').spec.template.spec.containers[0].env.filter(
      (variable: { valueFrom?: object }) => variable.valueFrom,
    );
    expect(variables).toEqual(
      ['POSTGRES_PASSWORD', 'NOVAMEM_COLD_API_KEY', 'NOVAMEM_TOKEN'].map((name) => ({
        name,
        valueFrom: { secretKeyRef: { name: 'novamem-runbook', key: name } },
      })),
    );
    for (const { name } of variables) expect(one('ConfigMap').data['profile.yaml']).toContain(`env:${name}`);
    expect(text).not.toMatch(/\/run\/secrets|pass novamem/);
    expect(text).toMatch(/^# - The secrets, once: kubectl .* --from-literal=POSTGRES_PASSWORD=… /m);
  });

  test('keeps the journal and finds the backups in volumes', () => {
    const { one } = manifest();
    const { volumes, containers } = one('Job').spec.template.spec;
    const claimOf = (path: string) => {
      const { name } = containers[0].volumeMounts.find((mount: { mountPath: string }) => mount.mountPath === path);
      return volumes.find((volume: { name: string }) => volume.name === name).persistentVolumeClaim.claimName;
    };
    expect(containers[0].env).toContainEqual({ name: 'NOVAMEM_RUNBOOK_HOME', value: '/state' });
    expect(claimOf('/state')).toBe(one('PersistentVolumeClaim').metadata.name);
    expect(claimOf('/backups/novamem')).toBe('novamem-backups');
  });

  test('gives its account no more rights than the profile’s drivers and hosts ask for', () => {
    const { one } = manifest();
    expect(one('Job').spec.template.spec.serviceAccountName).toBe(one('ServiceAccount').metadata.name);
    expect(one('RoleBinding')).toMatchObject({
      subjects: [{ kind: 'ServiceAccount', name: 'novamem-runbook', namespace: 'novamem' }],
      roleRef: { kind: 'Role', name: one('Role').metadata.name },
    });
    expect(one('Role').rules).toEqual([
      {
        apiGroups: ['apps'],
        resources: ['deployments', 'deployments/scale'],
        resourceNames: ['novamem'],
        verbs: ['get', 'patch'],
      },
      {
        apiGroups: ['apps'],
        resources: ['statefulsets', 'statefulsets/scale'],
        resourceNames: ['falkordb', 'qdrant'],
        verbs: ['get', 'patch'],
      },
      { apiGroups: ['apps'], resources: ['statefulsets'], resourceNames: ['falkordb'], verbs: ['get'] },
      {
        apiGroups: [''],
        resources: ['pods'],
        verbs: ['get', 'list', 'watch', 'create', 'patch', 'delete'],
      },
      { apiGroups: [''], resources: ['pods/log'], verbs: ['get'] },
      { apiGroups: [''], resources: ['pods/exec'], verbs: ['create', 'get'] },
    ]);
  });

  test('may end pods where a step restarts a StatefulSet: with OnDelete they are replaced only so', () => {
    const podsOf = (steps: string) => {
      const file = join(tempFolder('own'), 'own.yaml');
      writeFileSync(file, `title: T\nwhen: w\noutcome: o\nsteps:\n${steps}`);
      const { one } = manifest(file, { ...profile, hosts: {} });
      return one('Role').rules.find(({ resources }: { resources: string[] }) => resources.includes('pods')).verbs;
    };
    const step = (uses: string, service: string) =>
      `  - { id: ${service}, uses: ${uses}, with: { service: ${service} }, why: because }\n`;
    expect(podsOf(step('service.restart', 'qdrant'))).toEqual(['get', 'list', 'watch', 'delete']);
    expect(podsOf(step('service.restart', 'novamem') + step('service.stop', 'qdrant'))).toEqual(['get', 'list']);
  });

  test('needs none where nothing is driven in Kubernetes', () => {
    const text = jobManifest({
      scenario: 'qdrant-lost',
      runbook: loadRunbook('qdrant-lost'),
      runbookFile: runbookFile('qdrant-lost'),
      profile: { ...profile, services: {}, hosts: {} },
      image: 'novamem-runbook',
      backup: 'latest',
      set: [],
    });
    expect(parseAllDocuments(text).map((document) => (document.toJS() as { kind: string }).kind)).toEqual([
      'ServiceAccount',
      'ConfigMap',
      'PersistentVolumeClaim',
      'Job',
    ]);
    expect(text).toMatch(/^# - falkordb\.dataDir \/data must be there in the pod as well: mount it\.$/m);
  });
});
