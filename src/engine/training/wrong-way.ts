import type { Lesson, LossCounts, Move } from '../../runbook/lesson.js';
import { scenarioOf } from '../../runbook/library.js';
import type { Choices } from './choices.js';
import { lossWords } from './score.js';

/**
 * Whether somebody has gone the wrong way that a lesson warns of: its runs are among those that were begun, and what is lost is what it
 * loses. What was done in a shell is on no record; what came of it is.
 */
export function tookWrongWay({ wrong }: Pick<Lesson, 'wrong'>, runs: readonly Choices[], loss: LossCounts): boolean {
  return (
    lossWords(loss) === lossWords(wrong.loses) &&
    wrong.path.every((move) => 'shell' in move || runs.some((choices) => isThat(move, choices)))
  );
}

function isThat({ run, backup, set, accept }: Extract<Move, { run: string }>, choices: Choices): boolean {
  return (
    scenarioOf(run) === choices.scenario &&
    // A runbook that needs no backup has none, whatever there is.
    [backup, 'none'].includes(choices.backup) &&
    accept.every((one) => choices.accepted.has(one)) &&
    Object.entries(set).every(
      ([step, { answer }]) => answer === undefined || choices.answers.get(step)?.given === answer,
    )
  );
}
