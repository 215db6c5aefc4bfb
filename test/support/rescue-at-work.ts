import { findRun, listRuns } from '../../src/engine/runs.js';
import { eventually } from './eventually.js';
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
