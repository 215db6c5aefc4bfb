import { expect } from 'vitest';
import { endOf } from '../../src/engine/journal.js';
import { findRun, listRuns } from '../../src/engine/runs.js';
import { processesWith } from '../../src/hosts/process-mark.js';
import { RUN_VARIABLE } from '../../src/hosts/run-command.js';
import { eventually, isRunning } from './eventually.js';
import { runProgram } from './program.js';
import type { RealCluster } from './sandbox.js';
import { ProgramInTerminal } from './terminal.js';

const ENTER = '\r';

/** Begins a rescue by keys, as far as the question for the cluster's name: the cluster is locked then. */
export async function rescueThatAsks(
  { places }: RealCluster,
  { environment, through = [] }: { environment: Record<string, string>; through?: string[] },
): Promise<ProgramInTerminal> {
  const program = new ProgramInTerminal(['whole-cluster-lost', '--profile', places.profile], {
    environment,
    through,
  });
  await program.shows(/❯ \S+Z /);
  program.type(ENTER);
  await program.shows(/enter begin/);
  program.type(ENTER);
  await program.shows(/Type the cluster's name/);
  return program;
}

/** Begins a rescue by keys, as far as the restore of a store. */
export async function rescueAtWork(
  real: RealCluster,
  started: { environment: Record<string, string>; through?: string[] },
): Promise<ProgramInTerminal> {
  const last = listRuns()[0];
  const program = await rescueThatAsks(real, started);
  program.type(real.cluster.name);
  program.type(ENTER);
  await eventually('a restore runs', () => {
    const { id, events } = findRun('latest');
    return id !== last && events.some((event) => event.type === 'step.started' && event.step.startsWith('restore-'));
  });
  return program;
}

/** The program that did the newest run ends: nothing that it started is left, its record is whole, and the same run goes on from there to its goal. */
export async function endsAndIsResumed(real: RealCluster, environment: Record<string, string>, pid: number) {
  const runs = listRuns().length;
  await eventually('the program has ended', () => !isRunning(pid));
  const { id, events, fault } = findRun('latest');
  expect(fault).toBe('');
  expect(endOf(events)?.outcome).toBe('aborted');
  expect(processesWith(RUN_VARIABLE, id)).toEqual([]);
  const args = ['resume', '--headless', '--profile', real.places.profile, '--confirm', real.cluster.name];
  const resumed = await runProgram(args, { environment, timeoutMs: 120_000 });
  expect(resumed.exitCode, resumed.stdout + resumed.stderr).toBe(0);
  expect(listRuns()).toHaveLength(runs);
  expect(endOf(findRun(id).events)?.outcome).toBe('recovered');
}
