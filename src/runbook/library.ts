import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { PACKAGE_ROOT } from '../config/package-root.js';
import { faultLine } from '../config/yaml-file.js';
import { Problem } from '../problem.js';
import { type Overrides, type Runbook, readRunbook } from './runbook.js';

/** The folder of the runbooks that come with the program. */
export const RUNBOOK_FOLDER = join(PACKAGE_ROOT, 'runbooks');

/** Looking whether all is well, taking a backup and proving one: offered behind the disasters, in this order. */
export const ANSWER_NO_DISASTER: readonly string[] = ['cross-check', 'backup', 'drill'];

/** The scenarios that have a runbook, in the order in which they are offered. */
export function scenarios(): string[] {
  const names = readdirSync(RUNBOOK_FOLDER)
    .filter((name) => name.endsWith('.yaml'))
    .map((name) => basename(name, '.yaml'));
  const place = (name: string) => ANSWER_NO_DISASTER.indexOf(name);
  return names.sort((a, b) => place(a) - place(b) || (a < b ? -1 : 1));
}

export const runbookFile = (scenario: string) => join(RUNBOOK_FOLDER, `${scenario}.yaml`);

/** Whether a runbook file is meant, and no scenario of the program. */
export const isRunbookFile = (scenarioOrFile: string): boolean => /\.ya?ml$/.test(scenarioOrFile);

/** What the runs of a scenario, or of a runbook file, are called. */
export const scenarioOf = (scenarioOrFile: string): string =>
  isRunbookFile(scenarioOrFile) ? basename(scenarioOrFile).replace(/\.ya?ml$/, '') : scenarioOrFile;

/** The validated runbook of a scenario, or of a runbook file of the user's own. Faults are a Problem that lists them. */
export function loadRunbook(scenarioOrFile: string, overrides: Overrides = {}): Runbook {
  const isFile = isRunbookFile(scenarioOrFile);
  if (!isFile && !scenarios().includes(scenarioOrFile)) {
    throw new Problem(`There is no scenario "${scenarioOrFile}".`, {
      next: `choose one of: ${scenarios().join(', ')}, or name a runbook file (….yaml)`,
    });
  }
  const file = isFile ? scenarioOrFile : runbookFile(scenarioOrFile);
  const { runbook, faults } = readRunbook(file, scenarioOf(scenarioOrFile), overrides);
  if (runbook) return runbook;
  throw new Problem(`The runbook cannot be used:\n${faults.map((fault) => `  ${faultLine(fault)}`).join('\n')}`, {
    next: `mend it, then: novamem-runbook validate ${file}`,
  });
}
