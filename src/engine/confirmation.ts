import { shellWord } from '../hosts/command.js';
import { EXIT, Problem } from '../problem.js';
import type { Runbook } from '../runbook/runbook.js';
import { givenAgainst } from './prepare-run.js';
import type { RunSnapshot } from './snapshot.js';
import { isIdle, undoOrder } from './undo-choice.js';
import { lossRows, wayBackRows } from './undo-words.js';

/** Refuses a headless run whose questions nobody has answered. `profile`: what was given to `--profile`. */
export function requireAnswers(runbook: Runbook, profile: string): void {
  for (const step of chosenIn(runbook)) {
    const answers = step.kind.answers?.(step.params);
    if (!answers || answers.given !== undefined) continue;
    throw new Problem(`${runbook.scenario} asks at ${step.id}, and nobody is there to answer.`, {
      next: `${lookFirst(runbook, profile)}; then add ${givings(answers)
        .map((giving) => `--set ${step.id}.${giving}`)
        .join(', or ')}`,
      exitCode: EXIT.refused,
    });
  }
}

const chosenIn = (runbook: Runbook) => runbook.steps.filter((step) => givenAgainst(step, runbook) === '');

const lookFirst = ({ scenario }: Runbook, profile: string) =>
  `look first: novamem-runbook plan ${shellWord(scenario)} --profile ${shellWord(profile)}`;

/**
 * Refuses a headless run whose questions nobody has answered, or whose destructive steps nobody has confirmed with the cluster's
 * own name. `profile`: what was given to `--profile`.
 */
export function requireConfirmation(
  runbook: Runbook,
  cluster: string,
  confirmed: string | undefined,
  profile = cluster,
): void {
  requireAnswers(runbook, profile);
  const destructive = chosenIn(runbook)
    .filter((step) => step.kind.effect === 'destroy')
    .map((step) => step.id);
  if (destructive.length === 0 || confirmed === cluster) return;
  throw new Problem(
    confirmed === undefined
      ? `${runbook.scenario} replaces what is in the stores of ${cluster} (${destructive.join(', ')}), and nobody has confirmed it.`
      : `--confirm says "${confirmed}", but this cluster is called "${cluster}".`,
    {
      next: `${lookFirst(runbook, profile)}; then add --confirm ${cluster}`,
      exitCode: EXIT.refused,
    },
  );
}

/** How what a step asks is answered beforehand, as `--set <step>.` goes on. */
function givings({ choices, give }: { choices: string[]; give?: string }): string[] {
  return give === undefined ? choices.map((choice) => `answer=${shellWord(choice)}`) : [give];
}

/**
 * The steps that an undo takes, the last first. Refuses one that has nothing to put back, and, saying what it would put back and
 * what would be lost by it, one that nobody has confirmed with the cluster's own name. `profile`: what was given to `--profile`.
 */
export function requireUndoConfirmation(
  { run, cluster, steps }: RunSnapshot,
  { step, confirm, profile = cluster }: { step?: string; confirm: string | undefined; profile?: string },
): string[] {
  const chosen = undoOrder(steps, step === undefined ? undefined : [step]);
  if (chosen.length === 0 || (step !== undefined && !chosen.some((one) => one.id === step)))
    throw new Problem(
      step === undefined
        ? `Run ${run} has nothing that can be put back.`
        : `The step "${step}" of run ${run} has nothing that can be put back.`,
      { next: `novamem-runbook runs show ${run}` },
    );
  if (confirm === cluster) return chosen.map((one) => one.id);
  const changing = chosen.filter((one) => !isIdle(one));
  const lines = changing.flatMap((one) => [
    `  ${one.id} (${one.uses})`,
    ...[...wayBackRows(one), ...lossRows(one)].map(([label, text]) => `    ${label.padEnd(10)} ${text}`),
  ]);
  throw new Problem(
    `${confirm === undefined ? 'Nobody has confirmed it' : `--confirm says "${confirm}", but this cluster is called "${cluster}"`}. This would be put back, in this order:\n${lines.join('\n')}`,
    {
      next: `novamem-runbook undo ${run}${profile === cluster ? '' : ` --profile ${shellWord(profile)}`}${step === undefined ? '' : ` --step ${step}`} --confirm ${cluster}`,
      exitCode: EXIT.refused,
    },
  );
}
