import { prepareRun } from '../engine/prepare-run.js';
import { prepareBackup } from '../engine/take-backup.js';
import { EXIT } from '../problem.js';
import { loseEverything } from '../sandbox/lose-everything.js';
import { sandboxDown, sandboxProfile, sandboxUp } from '../sandbox/sandbox.js';
import { durationOf } from '../words.js';
import { runHeadless } from './headless.js';
import { print } from './print.js';

/**
 * A whole disaster and its recovery on real servers: a sandbox is started, backed up and really lost, then recovered by the
 * runbook. In a terminal the recovery is the engineer's own; without one it runs by itself.
 */
export async function demoCommand({ keep }: { keep?: boolean }): Promise<number> {
  const name = `demo-${process.pid}`;
  const started = Date.now();
  print(
    '1  Starting a throw-away novamem cluster with real servers (Postgres, Qdrant, FalkorDB, a novamem stand-in)',
  );
  await sandboxUp({ name, lives: keep ? 'on' : 'process', onLine: (line) => print(`   ${line}`) });
  const stop = () => void sandboxDown(name).then(() => process.exit(EXIT.aborted));
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, stop);
  try {
    const profile = sandboxProfile(name);
    print('', '2  Taking a backup of it');
    const taken = await runHeadless(await prepareBackup(profile), { json: false, confirm: undefined });
    if (taken !== EXIT.recovered) return taken;
    print('', '3  Losing everything');
    for (const line of await loseEverything(name)) print(`   ${line}`);
    print('', '4  Recovering it with the runbook whole-cluster-lost');
    // From here on an abort belongs to the run.
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.off(signal, stop);
    const code = await recover(profile);
    print('', `The demo took ${durationOf(Date.now() - started)}; exit code ${code}.`);
    return code;
  } finally {
    if (!keep) await sandboxDown(name);
  }
}

async function recover(profile: ReturnType<typeof sandboxProfile>): Promise<number> {
  const request = { scenario: 'whole-cluster-lost', profile, backup: 'latest', overrides: {} };
  if (process.stdout.isTTY && process.stdin.isTTY) {
    const { openApp } = await import('./app.js');
    return openApp({ ...request, mode: 'train' });
  }
  const run = await prepareRun({ ...request, mode: 'train', onFailure: 'stop' });
  return runHeadless(run, { json: false, confirm: profile.name });
}
