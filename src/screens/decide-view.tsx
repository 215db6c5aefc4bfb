import { Text } from 'ink';
import type { RunSnapshot, StepSnapshot } from '../engine/snapshot.js';
import { dependentsOf, undoOrder } from '../engine/undo-choice.js';
import { durationOf } from '../words.js';
import { Lines, useSpace } from './frame.js';
import { useKeys } from './keys.js';
import { useOutside } from './outside.js';
import { Scrolled } from './scrolled.js';
import { findingLines } from './step-lines.js';
import { cut, labelled } from './text.js';

interface Props {
  run: RunSnapshot;
  step: StepSnapshot;
  onRetry: () => void;
  onUndo: () => void;
  onSkip: () => void;
  onAbort: () => void;
  onLater: () => void;
}

/** A step that failed or was blocked: what happened, what is safe now, and what can be done. */
export function DecideView({ run, step, onRetry, onUndo, onSkip, onAbort, onLater }: Props) {
  const leave = useOutside();
  const { columns, bodyRows } = useSpace();
  const others = undoOrder(run.steps).filter((one) => one.id !== step.id);
  useKeys((input, key) => {
    if (input === 'r') onRetry();
    else if (input === 'u' && others.length + Number(step.canUndo) > 0) onUndo();
    else if (input === 's') onSkip();
    else if (input === 'a') onAbort();
    else if (input === '!') leave('shell');
    else if (key.escape || key.tab) onLater();
  });
  const width = columns - 2;
  const started = step.startedAt !== undefined;
  const took = started ? ` after ${durationOf((step.finishedAt ?? step.startedAt!) - step.startedAt!)}` : '';
  const next = [
    ['r', 'retry: look again, ask again, do it again'],
    ['u', undoText(step, others)],
    ['s', `skip it: ${dependents(run, step)}`],
    ['a', 'abort the run: nothing further is started'],
    ['!', 'a shell, to look or to mend; `exit` comes back here'],
    ['esc', 'look at the run first'],
  ];
  const said = run.log
    .filter((line) => line.step === step.id)
    .slice(-5)
    .map((line) => cut(`  ${line.text}`, width));
  const lines = [
    // Where there is room for a few lines only, what is safe now is among them.
    ...labelled('Now', stateNow(step), width),
    ...labelled('Tried', step.plan?.summary ?? step.uses, width),
    ...labelled('Saw', step.reason ?? '', width),
    ...findingLines({ ...step, findings: worthReading(step) }, width),
    ...nextOfReason(step).flatMap((next) => labelled('Mend', next, width)),
    ...labelled('Log', step.logFile, width),
    ...said,
  ];
  return (
    <>
      <Text bold wrap="truncate">
        {' '}
        <Text aria-hidden color="red">
          ✗
        </Text>{' '}
        {cut(
          step.undoFailed
            ? `THE UNDO OF ${step.id} FAILED`
            : `${step.id} ${started ? `stopped${took}` : 'cannot begin'}`,
          columns - 4,
        )}
      </Text>
      <Scrolled key={step.id} lines={lines} rows={Math.max(1, bodyRows - next.length - 3)} by="arrows" />
      <Text bold> Next</Text>
      <Lines lines={next.map(([key, what]) => cut(`   ${key!.padEnd(4)} ${what}`, columns))} />
    </>
  );
}

/** What was found and is not what it failed for: that is said above. */
const worthReading = ({ findings, reason }: StepSnapshot) =>
  findings.filter((finding) => finding.level !== 'info' && finding.message !== reason);

/** What mends that for which it failed. */
const nextOfReason = ({ findings, reason }: StepSnapshot): string[] =>
  findings.flatMap(({ message, next }) => (next !== undefined && message === reason ? [next] : []));

/** What `u` offers: this step, what was done before it, or both. */
function undoText(step: StepSnapshot, others: readonly StepSnapshot[]): string {
  const replacing = others.filter((one) => one.effect === 'destroy').map((one) => one.id);
  const own = step.canUndo
    ? step.safetyCopies.length > 0
      ? 'put the safety copies of this step back'
      : 'take away what this step has made'
    : '';
  if (own === '' && others.length === 0) return 'not possible: nothing was kept to put back';
  if (own === '' && replacing.length === 0) return `undo…: ${others.map((one) => one.id).join(', ')}`;
  return ['undo…:', own, own !== '' && replacing.length > 0 ? 'or also' : '', replacing.join(', ')]
    .filter((part) => part !== '')
    .join(' ');
}

function dependents(run: RunSnapshot, step: StepSnapshot): string {
  const after = dependentsOf(run.steps, step.id).map((one) => one.id);
  return after.length > 0 ? `these will not run: ${after.join(', ')}` : 'nothing else needs it';
}

function stateNow(step: StepSnapshot): string {
  if (step.undoFailed)
    return 'put back in part, or not at all: the safety copies named above hold what was there before';
  if (step.undone) return 'as it was before this step';
  return step.startedAt === undefined
    ? 'nothing was changed by this step: it did not begin'
    : (step.tried?.onAbort ?? 'unknown');
}
