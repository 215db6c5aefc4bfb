// A run whose only step runs a program and keeps every line of it: the real engine, gateway and step log, without screens.
import { basename } from 'node:path';
import { profileSchema } from '../../dist/config/profile.js';
import { keepSecret } from '../../dist/config/redact.js';
import { Run } from '../../dist/engine/run.js';
import { makeRunFolder } from '../../dist/engine/runs.js';
import { runCommand } from '../../dist/hosts/run-command.js';
import { readingPlan } from '../../dist/steps/step.js';
import { stepEvents } from '../../dist/steps/step-events.js';
import { equal } from '../../dist/stores/check.js';
import { Cluster } from '../../dist/stores/cluster.js';
import { onGo } from '../program.js';

const [, , runs, id, file, ...args] = process.argv;
const profile = profileSchema.parse({
  name: 'bench-lines',
  postgres: { url: 'postgres://novamem@127.0.0.1:1/novamem' },
  qdrant: { url: 'http://127.0.0.1:1' },
  falkordb: { url: 'redis://127.0.0.1:1' },
});
for (const secret of ['the-password-of-postgres', 'the-key-of-qdrant', 'the-password-of-falkordb'])
  keepSecret(secret);
const kind = {
  kind: 'command',
  effect: 'write',
  plan: async () => readingPlan(`run ${basename(file)}`, []),
  check: async () => [],
  run: (_params, { gateway }, signal) =>
    stepEvents(async (emit) => {
      const { exitCode } = await runCommand(gateway, { file, args }, { signal, onText: (text) => emit.output(text) });
      emit.facts({ exitCode });
    }),
  verify: async (_params, _ctx, { exitCode }) => [equal('command', 'exit code', '0', String(exitCode))],
  probe: async () => 'unknown',
};
const run = new Run({
  id,
  folder: makeRunFolder(runs, id),
  mode: 'live',
  runbook: {
    scenario: 'bench',
    title: 'Bench',
    when: 'now',
    outcome: 'done',
    steps: [{ id: 'command', kind, needs: [], params: {}, why: 'to see how fast its lines are kept' }],
    hash: '0',
  },
  cluster: new Cluster(profile),
  onFailure: 'stop',
  versions: {},
});
run.subscribe(() => {
  for (const step of run.getSnapshot().attention)
    queueMicrotask(() => run.intend({ type: 'confirm', step, typed: 'bench-lines', by: 'bench' }));
});
await run.preflight();
onGo(async () => {
  run.intend({ type: 'begin' });
  await run.finished;
  return { outcome: run.getSnapshot().outcome };
});
