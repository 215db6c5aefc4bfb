import { EXIT, Problem } from '../problem.js';
import { loadRunbook, scenarios } from '../runbook/library.js';
import { findCluster } from './find-cluster.js';
import { readOverrides } from './overrides.js';

/** Without a command: the terminal app, at the list of scenarios or straight in one. */
export async function openCommand(
  scenario: string | undefined,
  options: { profile?: string; backup: string; set: string[] },
): Promise<number> {
  if (scenario !== undefined) loadRunbook(scenario);
  if (!process.stdout.isTTY || !process.stdin.isTTY) {
    throw new Problem('The terminal app needs a terminal, and there is none here.', {
      next: `novamem-runbook run ${scenario ?? scenarios()[0]} --headless --confirm CLUSTER, or see: novamem-runbook --help`,
      exitCode: EXIT.usage,
    });
  }
  const profile = findCluster(options.profile);
  const { openApp } = await import('./app.js');
  return openApp({
    profile,
    backup: options.backup,
    overrides: readOverrides(options.set),
    ...(scenario === undefined ? {} : { scenario }),
  });
}
