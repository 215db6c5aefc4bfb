import { SERVICE_TITLES, STORES } from '../config/profile.js';
import { shellWord } from '../hosts/command.js';
import { Problem } from '../problem.js';
import type { Runbook } from '../runbook/runbook.js';
import { serviceStart } from '../steps/service-kinds.js';
import { requireAnswers } from './confirmation.js';
import { givenAgainst } from './prepare-run.js';

/**
 * Refuses a runbook that cannot put a backup set to the proof: a drill begins with an empty cluster, and nobody is there to answer.
 * One may restore a part of a set, as long as it does not start novamem on that. `profile`: what was given to `--profile`.
 */
export function requireDrillable(runbook: Runbook, profile: string): void {
  const { scenario, steps } = runbook;
  const chosen = steps.filter((step) => givenAgainst(step, runbook) === '');
  const restored = chosen
    .filter(({ kind }) => kind.backupSet === 'reads')
    .map(({ kind }) => kind.kind.split('.')[0]!);
  const missing = STORES.filter((store) => !restored.includes(store));
  const startsNovamem = chosen.some(
    ({ kind, params }) => kind.kind === serviceStart.kind && (params as { service: string }).service === 'novamem',
  );
  if (missing.length === STORES.length || (missing.length > 0 && startsNovamem)) {
    const drill = `novamem-runbook drill --profile ${shellWord(profile)}`;
    throw new Problem(
      `${scenario} cannot be drilled: a drill begins with an empty cluster, and this runbook restores no ${missing.map((store) => SERVICE_TITLES[store]).join(' and no ')}.`,
      {
        safe: 'Nothing was begun.',
        next: `${drill} puts the whole set to the proof; to rehearse ${scenario} on what came back: ${drill} --keep, then novamem-runbook sandbox break --list`,
      },
    );
  }
  requireAnswers(runbook, profile);
}
