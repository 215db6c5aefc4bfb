import { Text } from 'ink';
import { timeAtWork } from '../engine/estimates.js';
import type { RunSnapshot, StepSnapshot, StepState } from '../engine/snapshot.js';
import { standingLine } from '../engine/standing.js';
import { isIdle, undoOrder } from '../engine/undo-choice.js';
import { aboutText, expectedText } from '../reports/estimate-words.js';
import { evidenceRows, evidenceTable } from '../reports/evidence.js';
import { durationOf, plural } from '../words.js';
import { useSpace } from './frame.js';
import { useKeys } from './keys.js';
import { lookOf, MARKS } from './marks.js';
import { useOutside } from './outside.js';
import { useReplay } from './replaying.js';
import { Scrolled } from './scrolled.js';
import { cut, labelled, wrap } from './text.js';

const OUTCOMES = {
  recovered: { symbol: '✔', color: 'green' },
  'recovered-with-exceptions': { symbol: '!' },
  failed: { symbol: '✗', color: 'red' },
  aborted: { symbol: '✗' },
  simulated: { symbol: '~' },
} as const;

/** Who left it had begun nothing. */
const isNotBegun = ({ outcome, begun }: RunSnapshot) => outcome === 'aborted' && !begun;

const UNDONE = { symbol: '✔', color: 'green' } as const;

/** An earlier process has begun it. */
const wasBegunBefore = ({ steps }: RunSnapshot) => steps.some((step) => step.startedAt !== undefined);

const LEFT = { symbol: '-' } as const;

/** It was aborted after something was begun, and can be gone on with. */
const isBrokenOff = (run: RunSnapshot) =>
  run.outcome === 'aborted' && !run.undoing && (!isNotBegun(run) || wasBegunBefore(run));

const isUndone = ({ undoing, outcome, steps }: RunSnapshot) =>
  outcome === 'aborted' && undoing?.steps.every((id) => steps.find((step) => step.id === id)?.undone);

interface Props {
  run: RunSnapshot;
  /** Opens the runbook that is needed next; absent where none is. */
  onNext?: () => void;
  onBack: () => void;
  onQuit: () => void;
  onUndo: () => void;
  onLog: () => void;
}

/** Why it is skipped is short; what a failure has left is not. */
const TOLD_WHOLE: StepState[] = ['succeeded', 'failed', 'unknown'];

/** How it ended, the evidence, and where the record is. */
export function ReportView({ run, onNext, onBack, onQuit, onUndo, onLog }: Props) {
  const { columns, bodyRows } = useSpace();
  const leave = useOutside();
  const replay = useReplay();
  useKeys((input, key) => {
    if (key.return) onNext?.();
    else if (key.escape && !replay) onBack();
    else if (input === 'q') onQuit();
    else if (input === 'u') onUndo();
    else if (input === 'l') onLog();
    else if (input === '!') leave('shell');
  });
  const mark = isNotBegun(run) ? LEFT : isUndone(run) ? UNDONE : OUTCOMES[run.outcome ?? 'failed'];
  return (
    <>
      <Text bold wrap="truncate">
        {' '}
        <Text aria-hidden {...lookOf(mark)}>
          {mark.symbol}
        </Text>{' '}
        {cut(headlineOf(run), columns - 4)}
      </Text>
      <Scrolled
        lines={[
          ...nextLines(run, columns - 2, onNext !== undefined),
          ...reportLines(run, columns - 2, replay === undefined),
        ]}
        rows={bodyRows - 2}
        by="arrows and space"
      />
    </>
  );
}

/** Which runbook answers what is damaged beside what this one mends: nothing else is as urgent. */
function nextLines({ next, cluster }: RunSnapshot, width: number, byKey: boolean): string[] {
  const [first, ...further] = next;
  if (!first) return [];
  const how = byKey ? 'enter opens it' : `novamem-runbook ${first.scenario} --profile ${cluster}`;
  return [
    ...labelled('Damaged', `${first.reasons.join('; ')}: this runbook leaves that alone`, width),
    ...labelled('Next', `${first.scenario}: ${how}`, width),
    ...(further.length > 0 ? labelled('Then', further.map(({ scenario }) => scenario).join(', '), width) : []),
    '',
  ];
}

/** How an undo ended, in a sentence. */
function undoHeadline({ steps, undoing, halted }: RunSnapshot, took: string): string {
  const failed = steps.find((step) => step.undoFailed);
  if (failed) return `THE UNDO OF ${failed.id} FAILED after ${took}`;
  if (halted !== '') return 'FAILED';
  const isBack = (id: string) => steps.find((step) => step.id === id)?.undone;
  const back = undoing!.steps.filter(isBack).length;
  if (back < undoing!.steps.length)
    return `Stopped after ${took}: ${back} of ${plural(undoing!.steps.length, 'step')} undone`;
  return `Undone in ${took}: as it was before ${staying(steps).length === 0 ? 'this run' : plural(back, 'step')}`;
}

/** What could be put back, too, and was not asked for. */
const staying = (steps: readonly StepSnapshot[]) =>
  undoOrder(steps)
    .filter((step) => !isIdle(step) && !step.undoFailed)
    .map((step) => step.id);

function headlineOf(run: RunSnapshot): string {
  if (run.undoing) return undoHeadline(run, durationOf((run.finishedAt ?? Date.now()) - run.undoing.since));
  const words = {
    recovered: run.backup ? 'Recovered' : 'Complete',
    'recovered-with-exceptions': 'Recovered with exceptions',
    failed: 'FAILED',
    aborted: 'Aborted',
    simulated: 'Simulated',
  };
  if (isNotBegun(run))
    return wasBegunBefore(run)
      ? 'Left as it was: nothing further was begun or changed'
      : 'Not begun: nothing was changed';
  const skipped = run.steps.filter((step) => step.state === 'skipped' && !step.notChosen).length;
  return [
    `${words[run.outcome ?? 'failed']} in ${durationOf((run.finishedAt ?? Date.now()) - run.startedAt)}`,
    run.rpoMs === null ? '' : `RPO ${durationOf(run.rpoMs)}`,
    skipped > 0 ? `${skipped} skipped` : '',
  ]
    .filter((part) => part !== '')
    .join(' · ');
}

/** Why it was halted, where what was there before is kept, and what to type next: read before anything else. */
function failureLines(run: RunSnapshot, width: number): string[] {
  const failed = run.steps.filter((step) => step.undoFailed);
  const left = run.steps
    .filter((step) => run.undoing?.steps.includes(step.id) && !step.undone && !isIdle(step))
    .map((step) => step.id);
  if (failed.length === 0 && run.halted === '') return [];
  return [
    ...wrap(run.halted, width).filter((line) => line !== ''),
    ...failed.flatMap((step) => wrap(step.reason ?? '', width)),
    ...(left.length > 0 ? labelled('Not yet', `put back: ${left.join(', ')}`, width) : []),
    ...(run.purpose === 'undo' || failed.length > 0
      ? labelled(
          'Next',
          `mend what it says, then u, or: novamem-runbook undo ${run.run} --confirm ${run.cluster}`,
          width,
        )
      : []),
    '',
  ];
}

/** How long a step was expected to take. */
function expectedOf({ plan }: StepSnapshot, { undoing }: RunSnapshot): string {
  const about = aboutText(plan);
  return about === '' || undoing ? '' : `expected ${about}`;
}

/** How long the run was at work, against what was expected. */
function workLines({ expected, steps, undoing }: RunSnapshot, width: number): string[] {
  if (expected.ms === 0 || undoing) return [];
  const work = durationOf(timeAtWork(steps, Date.now()));
  return wrap(`At work ${work}; expected: ${expectedText(expected)}`, width, 2);
}

/** The list of scenarios is one step away there. */
const BY_KEYS = 'esc, then r; or in a shell: ';

function reportLines(run: RunSnapshot, width: number, byKeys: boolean): string[] {
  if (run.lost) return wrap(`STOPPED: ${run.lost}.`, width);
  const record = [`Report   ${run.folder}/report.html`, `Journal  ${run.folder}/journal.jsonl`].map((line) =>
    cut(line, width),
  );
  if (isNotBegun(run) && !wasBegunBefore(run))
    return ['', ...run.standing.flatMap((one) => wrap(standingLine(one), width, 10)), '', ...record];
  const undone = run.steps.filter((step) => run.undoing?.steps.includes(step.id));
  // Of what is put back, other steps prove what is no more.
  const checks = (run.undoing ? undone : run.steps).flatMap((step) => step.checks);
  const failed = checks.filter((check) => !check.ok).length;
  // What is too long for the step's own line is told below, whole.
  const concluded = run.steps.filter((step) => TOLD_WHOLE.includes(step.state) && step.reason && !run.undoing);
  const shown = run.purpose === 'undo' ? undone : run.steps;
  const stays = run.undoing && run.outcome === 'aborted' ? staying(run.steps) : [];
  return [
    ...failureLines(run, width),
    ...(isBrokenOff(run)
      ? labelled(
          run.next.length > 0 ? 'After it' : 'Next',
          `go on with it: ${byKeys ? BY_KEYS : ''}novamem-runbook resume ${run.run}`,
          width,
        )
      : []),
    ...(stays.length > 0
      ? wrap(`Stays as this run left it: ${stays.join(', ')}. u puts it back, too`, width, 2)
      : []),
    ...shown
      .filter((step) => !step.notChosen && !(run.undoing && isIdle(step)))
      .map((step) => {
        const took =
          step.startedAt === undefined ? '' : durationOf((step.finishedAt ?? step.startedAt) - step.startedAt);
        const row = `${MARKS[step.state].symbol} ${step.id.padEnd(20)} ${MARKS[step.state].word.padEnd(9)} ${took.padStart(12)}`;
        if (step.state !== 'succeeded') return cut(`${row}  ${step.reason ?? ''}`, width);
        const more = expectedOf(step, run);
        return cut(row.length + 2 + more.length <= width ? `${row}  ${more}` : row, width);
      }),
    ...workLines(run, width),
    ...(concluded.length > 0 ? [''] : []),
    ...concluded.flatMap((step) => wrap(`${step.id}: ${step.reason}`, width, 2)),
    '',
    ...run.standing.flatMap((one) => wrap(standingLine(one), width, 10)),
    '',
    checks.length === 0
      ? 'Evidence: none, nothing was compared'
      : `Evidence: ${plural(checks.length, 'comparison')}, ${failed === 0 ? 'all equal' : `${failed} DIFFER`}`,
    ...(checks.length === 0 ? [] : evidenceTable(evidenceRows(checks), Math.min(100, width))),
    '',
    ...record,
  ];
}
