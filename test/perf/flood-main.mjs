// The terminal app with a run whose only step prints as fast as it is told to: the real engine, screens and child process.
import { join } from 'node:path';
import { profileSchema } from '../../dist/config/profile.js';
import { Desk } from '../../dist/engine/desk.js';
import { Run } from '../../dist/engine/run.js';
import { makeRunFolder } from '../../dist/engine/runs.js';
import { runCommand } from '../../dist/hosts/run-command.js';
import { openScreens } from '../../dist/screens/open-screens.js';
import { readingPlan } from '../../dist/steps/step.js';
import { stepEvents } from '../../dist/steps/step-events.js';
import { equal } from '../../dist/stores/check.js';
import { Cluster } from '../../dist/stores/cluster.js';

const [, , runs, perSecond, seconds] = process.argv;
const profile = profileSchema.parse({
  name: 'flood',
  postgres: { url: 'postgres://novamem@127.0.0.1:1/novamem' },
  qdrant: { url: 'http://127.0.0.1:1' },
  falkordb: { url: 'redis://127.0.0.1:1' },
});
const child = join(import.meta.dirname, 'flood-child.cjs');
const kind = {
  kind: 'flood',
  effect: 'write',
  plan: async () => readingPlan('print lines', []),
  check: async () => [],
  run: (_p, { gateway }, signal) =>
    stepEvents(async (emit) => {
      const command = { file: process.execPath, args: [child, perSecond, seconds] };
      const { exitCode } = await runCommand(gateway, command, { signal, onLine: (line) => emit.output(line) });
      emit.facts({ exitCode });
    }),
  verify: async (_p, _ctx, { exitCode }) => [equal('flood', 'exit code', '0', String(exitCode))],
  probe: async () => 'unknown',
};
const steps = [{ id: 'flood', kind, needs: [], params: {}, why: 'to see whether the keys still work' }];
const run = new Run({
  id: 'flood',
  folder: makeRunFolder(runs, 'flood'),
  mode: 'live',
  runbook: { scenario: 'flood', title: 'Flood', when: 'now', outcome: 'done', steps, hash: '0' },
  cluster: new Cluster(profile),
  onFailure: 'ask',
  versions: {},
});
const desk = new Desk(profile, {}, 'live', 'latest');
void desk.show(async () => run);
const nothing = async () => {};
await openScreens(desk, undefined, { shell: nothing, stop: nothing, read: nothing, kill: nothing }, false);
process.exit(0);
