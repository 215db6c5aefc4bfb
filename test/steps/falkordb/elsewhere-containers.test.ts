import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Profile } from '../../../src/config/profile.js';
import { falkordbReset } from '../../../src/steps/falkordb/reset.js';
import { falkordbRestore } from '../../../src/steps/falkordb/restore.js';
import { falkordbSurvey } from '../../../src/steps/falkordb/survey.js';
import type { StepContext } from '../../../src/steps/step.js';
import type { BackupSet } from '../../../src/stores/backup-set/backup-set.js';
import { Cluster } from '../../../src/stores/cluster.js';
import { dockerStandIn, kubectlStandIn, type StandIn } from '../../support/container-stand-ins.js';
import { differencesOf, falkordbOf } from '../../support/falkordb.js';
import {
  contextOf,
  findings,
  follow,
  perform,
  type RealCluster,
  realCluster,
  recordingGateway,
  unequal,
} from '../../support/sandbox.js';

// A real FalkorDB whose files are reached by `docker` and `kubectl`, for which there are stand-ins: they run the inner command here.

let real: RealCluster;
let backup: BackupSet;

beforeAll(async () => {
  real = await realCluster();
  backup = await real.backup();
});

beforeEach(async () => {
  const server = falkordbOf(real);
  if (!(await server.answers())) await server.start();
  await server.cypher(`MERGE (:Visitor {id: 'only there'})`);
});

const WORKLOAD = {
  kind: 'StatefulSet',
  metadata: { name: 'falkordb' },
  spec: {
    template: {
      spec: {
        containers: [{ name: 'falkordb', image: 'falkordb', volumeMounts: [{ name: 'data', mountPath: '/data' }] }],
      },
    },
    volumeClaimTemplates: [{ metadata: { name: 'data' } }],
  },
};

/** While the server runs its container does, and no longer: a process that has ended and that nobody has asked for yet does not. */
function alive(standIn: StandIn): StandIn {
  const pidFile = real.places.pidFile('falkordb');
  standIn.runsWhile(`grep -qs '^State:.[^Z]' "/proc/$(sed 's/.*"pid":\\([0-9]*\\).*/\\1/' '${pidFile}')/status"`);
  return standIn;
}

function elsewhere(falkordb: Profile['hosts']['falkordb']) {
  const cluster = new Cluster({ ...real.cluster.profile, hosts: { falkordb } });
  const { gateway, changes } = recordingGateway();
  return { ctx: contextOf(cluster, { backup, gateway }), server: falkordbOf({ ...real, cluster }), changes };
}

const params = falkordbRestore.params.parse({});
const verbs = (standIn: StandIn, among: RegExp) =>
  standIn.calls().flatMap((call) => call.filter((word) => among.test(word)).slice(0, 1));

describe('FalkorDB in a container', () => {
  test('is restored in its volume, and put back, with a stand-in for docker', async () => {
    const docker = alive(dockerStandIn());
    const { ctx, server, changes } = elsewhere({ compose: '/srv/novamem', service: 'falkordb' });
    const before = await server.now();
    const performed = await perform(falkordbRestore, {}, ctx);
    expect(performed.error).toBeUndefined();
    expect(await unequal(falkordbRestore, {}, ctx, performed.facts)).toEqual([]);
    expect(differencesOf(backup.inventory!.falkordb!, await server.now())).toEqual([]);
    const files = changes.filter(({ channel }) => channel === 'file').map(({ text }) => text);
    expect(files.filter((text) => !/^docker compose |^write \S+ on the service falkordb/.test(text))).toEqual([]);
    expect(verbs(docker, /^(exec|run)$/)).toEqual(expect.arrayContaining(['exec', 'run']));
    expect((await follow(falkordbRestore.undo!(params, ctx, performed.facts))).error).toBeUndefined();
    expect(differencesOf(before, await server.now())).toEqual([]);
  });

  test('that was scaled to 0 already is restored all the same, with a stand-in for kubectl', async () => {
    const kubectl = alive(kubectlStandIn(WORKLOAD));
    const { ctx, server } = elsewhere({ kubernetes: 'statefulset/falkordb', namespace: 'novamem' });
    await server.down();
    const found = await findings(falkordbRestore, {}, ctx);
    expect(found.filter((line) => !line.startsWith('info'))).toEqual([
      expect.stringMatching(
        /^warning: FalkorDB does not answer .*statefulset\/falkordb in novamem is stopped: its files are seen only once/,
      ),
    ]);
    expect(await findings(falkordbSurvey, {}, ctx)).toContainEqual(expect.stringMatching(/cannot be seen meanwhile/));
    expect(kubectl.made()).toBeUndefined();
    const performed = await perform(falkordbRestore, {}, ctx);
    expect(performed.error).toBeUndefined();
    expect(differencesOf(backup.inventory!.falkordb!, await server.now())).toEqual([]);
    expect(kubectl.made()).toBeUndefined();
  });

  test('leaves no pod behind when a step fails, and an undo finds its files all the same, with a stand-in for kubectl', async () => {
    const kubectl = alive(kubectlStandIn(WORKLOAD));
    const { ctx, server } = elsewhere({ kubernetes: 'statefulset/falkordb', namespace: 'novamem' });
    const before = await server.now();
    const { gateway } = ctx;
    const breaks: StepContext['gateway'] = {
      change: (what, act) =>
        / mv -T .*incoming-/.test(what.text)
          ? Promise.reject(new Error('the volume is full'))
          : gateway.change(what, act),
    };
    const failed = await perform(falkordbRestore, {}, { ...ctx, gateway: breaks });
    expect(String(failed.error)).toMatch(/the volume is full\. FalkorDB is left stopped/);
    const made = kubectl.calls().filter((call) => call.includes('apply')).length;
    expect([made, kubectl.made()]).toEqual([1, undefined]);
    const undo = falkordbRestore.undo!(params, ctx, failed.facts);
    expect((await follow(undo)).error).toBeUndefined();
    expect(await falkordbRestore.verifyUndo!(params, ctx, failed.facts)).toMatchObject([{ ok: true }, { ok: true }]);
    expect(differencesOf(before, await server.now())).toEqual([]);
    expect(kubectl.made()).toBeUndefined();
  });

  test('begins anew in its volume, by a pod that is gone before it is started, with a stand-in for kubectl', async () => {
    const kubectl = alive(kubectlStandIn(WORKLOAD));
    const { ctx, server } = elsewhere({ kubernetes: 'statefulset/falkordb', namespace: 'novamem' });
    const before = await server.now();
    const performed = await perform(falkordbReset, {}, ctx);
    expect(performed.error).toBeUndefined();
    expect(await unequal(falkordbReset, {}, ctx, performed.facts)).toEqual([]);
    expect(kubectl.made()).toBeUndefined();
    const calls = kubectl.calls().map((call) => call.join(' '));
    const [made, removed] = [/ apply -f -/, / delete pod /].map((what) => calls.findIndex((call) => what.test(call)));
    const through = calls.findIndex((call) => /exec .* pod\/novamem-runbook-files-of-falkordb -- .*mv /s.test(call));
    expect([made! > 0, through > made!, removed! > through]).toEqual([true, true, true]);
    const undo = falkordbReset.undo!(falkordbReset.params.parse({}), ctx, performed.facts);
    expect((await follow(undo)).error).toBeUndefined();
    expect(differencesOf(before, await server.now())).toEqual([]);
    expect(kubectl.made()).toBeUndefined();
  });
});
