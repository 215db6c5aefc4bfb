import { EXIT, Problem } from '../problem.js';
import { loadRunbook, scenarios } from '../runbook/library.js';
import { openApp } from './app.js';
import { findCluster } from './find-cluster.js';
import { readOverrides } from './overrides.js';
import { isAtTerminal } from './terminal.js';

export interface ScenarioOptions {
  profile?: string;
  backup: string;
  set: string[];
}

/** The terminal app at the list of scenarios, or straight in one. Off a terminal there is none. */
export async function openScenarios(scenario: string | undefined, options: ScenarioOptions): Promise<number> {
  if (scenario !== undefined) loadRunbook(scenario);
  if (!isAtTerminal()) {
    throw new Problem('The terminal app needs a terminal, and there is none here.', {
      next: `novamem-runbook run ${scenario ?? scenarios()[0]} --headless --confirm CLUSTER, or see: novamem-runbook --help`,
      exitCode: EXIT.usage,
    });
  }
  return openApp({
    profile: findCluster(options.profile),
    backup: options.backup,
    overrides: readOverrides(options.set),
    ...(scenario === undefined ? {} : { scenario }),
  });
}
