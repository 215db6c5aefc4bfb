// Plans, checks, restores and proves so many collections: a run whose only step is qdrant.restore.
import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import { profileSchema } from '../../dist/config/profile.js';
import { Run } from '../../dist/engine/run.js';
import { makeRunFolder } from '../../dist/engine/runs.js';
import { stableJson } from '../../dist/stable-json.js';
import { qdrantRestore } from '../../dist/steps/qdrant/restore.js';
import { Cluster } from '../../dist/stores/cluster.js';
import { onGo } from '../program.js';

const [, , url, runs, file, sha256, count] = process.argv;
const profile = profileSchema.parse({
  name: 'bench-collections',
  postgres: { url: 'postgres://novamem@127.0.0.1:1/novamem' },
  qdrant: { url },
  falkordb: { url: 'redis://127.0.0.1:1' },
});
const names = Array.from({ length: Number(count) }, (_, number) => `novamem_u_bench_${number}`);
const { size } = statSync(file);
// As the stand-in answers it (counting-qdrant.js).
const [payload, vector] = [{ entryId: '01JA0000000000000000000000' }, [0.6, 0.8]];
const one = {
  points: 1,
  config: '{"shards":1,"vectors":{"distance":"Cosine","size":2}}',
  payloadIndexes: {},
  samples: [{ id: 1, hash: createHash('sha256').update(stableJson({ vector, payload })).digest('hex') }],
  nearest: [1],
};
const id = `${count}-${process.pid}`;
const run = new Run({
  id,
  folder: makeRunFolder(runs, id),
  mode: 'live',
  runbook: {
    scenario: 'bench',
    title: 'Bench',
    when: 'now',
    outcome: 'done',
    steps: [
      {
        id: 'restore-qdrant',
        kind: qdrantRestore,
        needs: [],
        params: qdrantRestore.params.parse({}),
        why: 'to see how long each takes',
      },
    ],
    hash: '0',
  },
  cluster: new Cluster(profile),
  backup: {
    id: 'bench',
    folder: runs,
    kind: 'manifest',
    takenAt: new Date(),
    bytes: size * names.length,
    qdrant: names.map((collection) => ({ collection, file, bytes: size, sha256 })),
    unnamed: [],
    otherFalkordb: [],
    inventory: {
      qdrant: {
        serverVersion: '1.16.3',
        aliases: {},
        collections: Object.fromEntries(names.map((name) => [name, one])),
      },
    },
    goldenSearches: [],
    unproven: [],
  },
  onFailure: 'stop',
  versions: {},
});
run.subscribe(() => {
  for (const step of run.getSnapshot().attention)
    queueMicrotask(() => run.intend({ type: 'confirm', step, typed: 'bench-collections', by: 'bench' }));
});
onGo(async () => {
  await run.preflight();
  run.intend({ type: 'begin' });
  await run.finished;
  const { outcome, steps } = run.getSnapshot();
  return {
    outcome,
    reason: steps[0].reason,
    findings: steps[0].findings.filter(({ level }) => level === 'blocking'),
    checks: steps[0].checks.length,
  };
});
