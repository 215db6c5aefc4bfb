// A stand-in for `kubectl`: a pod is one real process. Output in the shapes of Kubernetes 1.32.
import { begin, beginLater, change, end, fail, isAlive, lastLines, readState, record } from './processes.mjs';

const [program, ...given] = process.argv.slice(2);
record(program, given);
const { behaves } = readState();

if (behaves === 'no-server')
  fail('The connection to the server localhost:8080 was refused - did you specify the right host or port?');
let args = given;
if (args[0] === '--context') {
  if (args[1] !== 'prod') fail(`error: context "${args[1]}" does not exist`);
  args = args.slice(2);
}
const [, namespace, verb, ...rest] = args;
const nameIn = (workload) => workload.split('/')[1];

switch (verb) {
  case 'auth':
    if (behaves === 'no-rights') fail('no');
    console.log('yes');
    break;
  case 'get':
    if (behaves === 'garbage') console.log('error: You are using an old version');
    else if (rest[0] === 'pods') console.log(JSON.stringify(podsOf(rest.at(-1).replace('app=', '')), null, 4));
    else if (rest[2]?.startsWith('jsonpath=')) process.stdout.write(at(workload(rest[0]), rest[2]));
    else console.log(JSON.stringify(workload(rest[0]), null, 4));
    break;
  case 'annotate':
    edit(rest[0], ({ annotations }) => {
      const [key, value] = rest[1].split('=');
      if (value === undefined) delete annotations[key.replace(/-$/, '')];
      else annotations[key] = value;
    });
    console.log(`${rest[0]} annotated`);
    break;
  case 'scale':
    if (rest[1] === '--replicas=')
      fail(`error: invalid argument "" for "--replicas" flag: strconv.ParseInt: parsing "": invalid syntax`);
    await scale(rest[0], Number(rest[1].replace('--replicas=', '')), 'kubectl');
    console.log(`${rest[0]} scaled`);
    if (rest[1] === '--replicas=0' && service(rest[0]).behaves === 'comes-back') beginAgain(rest[0]);
    break;
  case 'rollout': {
    const old = service(rest[1]).runs;
    await scale(rest[1], service(rest[1]).replicas, 'kubectl', true);
    await end(nameIn(rest[1]), old);
    console.log(`${rest[1]} restarted`);
    break;
  }
  case 'logs':
    for (const line of lastLines(nameIn(rest[0]), 20)) console.log(line);
    break;
  default:
    fail(`error: unknown command "${verb}" for "kubectl"`);
}

/** Of `jsonpath={.a.b}`; what is not there is nothing. */
function at(object, jsonpath) {
  const keys = /^jsonpath=\{\.(.*)\}$/.exec(jsonpath)[1].split('.');
  return String(keys.reduce((found, key) => found?.[key], object) ?? '');
}

function service(workload) {
  const found = readState().services[nameIn(workload)];
  if (!found || namespace !== 'novamem')
    fail(`Error from server (NotFound): statefulsets.apps "${nameIn(workload)}" not found`);
  return found;
}

function edit(workload, how) {
  service(workload);
  change((state) => {
    const one = state.services[nameIn(workload)];
    one.annotations ??= {};
    how(one);
  });
}

async function scale(workload, replicas, manager, anew = false) {
  const name = nameIn(workload);
  edit(workload, (one) => {
    Object.assign(one, { replicas, manager, scaledAt: new Date().toISOString() });
  });
  const alive = service(workload).runs.filter(({ pid }) => isAlive(pid));
  if (service(workload).behaves !== 'stays') await end(name, alive.slice(replicas));
  for (let missing = anew ? replicas : replicas - alive.length; missing > 0; missing -= 1) begin(name);
}

/** An operator that keeps what it was told. */
function beginAgain(workload) {
  edit(workload, (one) => {
    Object.assign(one, { replicas: 1, manager: 'argocd-application-controller', scaledAt: '2026-05-05T02:00:00Z' });
    one.runs = [];
  });
  // The pods of before are gone for a moment.
  change((state) => {
    state.services[nameIn(workload)].hiddenUntil = Date.now() + 600;
  });
  beginLater(nameIn(workload), 600);
}

function workload(named) {
  const name = nameIn(named);
  const { annotations = {}, labels = {}, owner, scaledAt, manager, ...one } = service(named);
  const hidden = (one.hiddenUntil ?? 0) > Date.now();
  const replicas = hidden ? 0 : one.replicas;
  const ready = one.runs.filter(({ pid }) => isAlive(pid)).length;
  return {
    apiVersion: 'apps/v1',
    kind: named.startsWith('statefulset') ? 'StatefulSet' : 'Deployment',
    metadata: {
      name,
      namespace,
      generation: 3,
      annotations,
      labels,
      ...(owner ? { ownerReferences: [{ apiVersion: 'v1', uid: '1', controller: true, ...owner }] } : {}),
      managedFields: [
        {
          manager: 'helm',
          operation: 'Update',
          time: '2026-01-01T00:00:00Z',
          fieldsType: 'FieldsV1',
          fieldsV1: { 'f:spec': { 'f:template': {} } },
        },
        ...(manager
          ? [
              {
                manager,
                operation: 'Update',
                subresource: 'scale',
                time: scaledAt,
                fieldsType: 'FieldsV1',
                fieldsV1: { 'f:spec': { 'f:replicas': {} } },
              },
            ]
          : []),
      ],
    },
    spec: {
      replicas,
      selector: { matchLabels: { app: name } },
      template: {},
      ...(one.updateStrategy ? { updateStrategy: { type: one.updateStrategy } } : {}),
    },
    // As the real one: a number that is 0 is left out.
    status: { observedGeneration: 3, replicas, ...(ready > 0 && !one.trouble ? { readyReplicas: ready } : {}) },
  };
}

function podsOf(name) {
  const one = readState().services[name];
  const running = one.runs.filter(({ pid }) => isAlive(pid) || one.trouble);
  return {
    apiVersion: 'v1',
    kind: 'List',
    items: [
      // One that was evicted long ago: it stays in the list.
      { metadata: { name: `${name}-old`, uid: 'old' }, spec: {}, status: { phase: 'Failed', reason: 'Evicted' } },
      ...running.map(({ id }, index) => ({
        metadata: {
          name: `${name}-${index}`,
          uid: `uid-${id}`,
          ...(one.replicas === 0 ? { deletionTimestamp: '2026-05-05T02:00:00Z' } : {}),
        },
        spec: { nodeName: 'node-1' },
        status: {
          phase: 'Running',
          containerStatuses: [
            {
              name,
              ready: !one.trouble,
              restartCount: one.trouble ? 4 : 0,
              state: one.trouble ? { waiting: { reason: one.trouble, message: 'back-off 40s' } } : { running: {} },
              lastState: one.trouble ? { terminated: { reason: 'Error', exitCode: 3 } } : {},
            },
          ],
        },
      })),
    ],
  };
}
