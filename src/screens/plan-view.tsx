import { Text } from 'ink';
import { useState } from 'react';
import { heldText } from '../engine/cluster-lock.js';
import type { Difference } from '../engine/differences.js';
import { expectedOf } from '../engine/estimates.js';
import type { RunSnapshot, StepSnapshot } from '../engine/snapshot.js';
import { expectedText } from '../reports/estimate-words.js';
import { durationOf, plural } from '../words.js';
import { Frame, Lines, useSpace } from './frame.js';
import { useKeys } from './keys.js';
import { Chosen, useLinear } from './linear.js';
import { FINDING_MARKS, lookOf } from './marks.js';
import { useOutside } from './outside.js';
import { useReplay } from './replaying.js';
import { marksOf } from './run-marks.js';
import { Scrolled } from './scrolled.js';
import { planLines } from './step-lines.js';
import { cut, windowAround, wrap } from './text.js';
import { closedQuestions } from './ways.js';

interface Props {
  run: RunSnapshot;
  /** `takeOver`: past the lock of a run that has not been heard of for a while. */
  onBegin: (takeOver: boolean) => void;
  onAccept: (difference: Difference) => void;
  /** Look at every step again. */
  onLook: () => void;
  onBack: () => void;
  onQuit: () => void;
  onHelp: () => void;
}

/** What will be done, step by step, with everything that was found: nothing has been touched yet. */
export function PlanView({ run, onBegin, onAccept, onLook, onBack, onQuit, onHelp }: Props) {
  const leave = useOutside();
  const { columns, bodyRows } = useSpace();
  const linear = useLinear();
  const [selected, setSelected] = useState(0);
  const now = useReplay()?.status.at ?? Date.now();
  const looking = run.phase !== 'planned';
  const closed = looking ? [] : closedQuestions(run);
  const blocked =
    run.steps.filter((one) => !one.only && one.findings.some((finding) => finding.level === 'blocking')).length +
    closed.length;
  const [guard] = run.guards;
  useKeys((input, key) => {
    if (key.upArrow || key.downArrow)
      setSelected((at) => Math.max(0, Math.min(run.steps.length - 1, at + (key.upArrow ? -1 : 1))));
    else if (guard && input === 'a') onAccept(guard.difference);
    else if (key.return && !looking && !guard && (blocked === 0 || run.held)) onBegin(false);
    else if (input === 'b' && !looking && !guard && blocked > 0) onBegin(false);
    else if (input === 't' && run.held?.state === 'silent') onBegin(true);
    else if (input === 'r' && !looking) onLook();
    else if (key.escape) onBack();
    else if (input === 'q') onQuit();
    else if (input === 'v') leave('read', planText(run));
    else if (input === '?') onHelp();
    else if (input === '!') leave('shell');
  });
  const step = run.steps[selected]!;
  const said = guard?.said ?? (run.held && heldText(run.held));
  const warning = [
    ...(said ? wrap(`! ${said}`, columns - 2, 2) : []),
    ...(said ? [] : closed.flatMap((one) => closedLines(one, columns - 2))),
  ].map((line) => ` ${line}`);
  const identity = bodyRows >= ROOMY_ROWS ? [run.identity] : [];
  const above = warning.length + identity.length;
  const listRows = Math.min(run.steps.length, Math.max(3, bodyRows - above - 3 - 7));
  const frame = {
    cluster: run.cluster,
    production: run.production,
    title: `${run.title.toLowerCase()} · the plan`,
    marks: marksOf(run),
    right: run.backup ? ageOf(run.backup, now) : '',
    keys: [
      ...beginKeys(looking, blocked, run, columns),
      '↑↓ step',
      'space more',
      'r look again',
      'v to a pager',
      'esc back',
      '? help',
    ],
  };
  // Read aloud, a plan is told when it is whole.
  if (linear && looking) {
    return (
      <Frame {...frame}>
        <Text>{headline(looking, blocked, run, columns)}</Text>
      </Frame>
    );
  }
  const timeWidth = timeWidthOf(run.steps, columns);
  const { from, to } = windowAround(selected, run.steps.length, listRows);
  const detailRows = Math.max(1, bodyRows - above - listRows - 3);
  return (
    <Frame {...frame}>
      <Text bold wrap="truncate">
        {' '}
        {headline(looking, blocked, run, columns - 2)}
      </Text>
      {identity.map((line) => (
        <Text key="identity" wrap="truncate">
          {' '}
          {cut(line, columns - 2)}
        </Text>
      ))}
      <Lines lines={warning} bold />
      {run.steps.slice(from, to).map((one, index) => {
        const worst =
          one.findings.find((finding) => finding.level === 'blocking') ??
          one.findings.find((finding) => finding.level === 'warning');
        const mark = worst ? FINDING_MARKS[worst.level] : undefined;
        return (
          <Text key={one.id} wrap="truncate" inverse={from + index === selected}>
            {from + index === selected ? '>' : ' '}
            {String(from + index + 1).padStart(2)}{' '}
            {mark ? (
              <Text aria-label={`${mark.word}:`} {...lookOf(mark)}>
                {mark.symbol}
              </Text>
            ) : (
              ' '
            )}{' '}
            {rowOf(one, columns - 10, timeWidth)}
          </Text>
        );
      })}
      <Text dimColor>{'─'.repeat(columns)}</Text>
      <Chosen label={step.plan?.summary ?? step.id} at={selected} of={run.steps.length} />
      <Scrolled key={step.id} lines={planLines(step, columns - 3)} rows={detailRows} by="space" />
    </Frame>
  );
}

/** From this many rows on there is room to say which cluster it is. */
const ROOMY_ROWS = 18;

/** From this many columns on there is room for how long each step takes. */
const WIDE_COLUMNS = 80;

/** How much of what stands in the way is told before anything else; all of it stands with its step. */
const OBSTACLES_TOLD = 2;

/** That a question has no way left, why, and what to do: known before anything is begun. */
function closedLines({ step, obstacles }: ReturnType<typeof closedQuestions>[number], width: number): string[] {
  const told = obstacles.slice(0, OBSTACLES_TOLD);
  return [
    ...wrap(`✗ ${step.id}: none of its ways is possible now.`, width, 2),
    ...told.flatMap(({ message, next }) => [
      ...wrap(`  ${message}`, width, 2).slice(0, 2),
      ...(next ? wrap(`  next: ${next}`, width, 8).slice(0, 2) : []),
    ]),
  ];
}

function ageOf({ id, takenAt }: NonNullable<RunSnapshot['backup']>, now: number): string {
  return takenAt ? `backup ${durationOf(now - takenAt.getTime())} old` : cut(`backup ${id}`, 30);
}

function beginKeys(looking: boolean, blocked: number, { guards, held }: RunSnapshot, columns: number): string[] {
  if (looking) return ['looking…'];
  if (guards.length > 0) return [`a it is meant so: accept this ${guards[0]!.difference}`];
  if (held) return ['enter try again', ...(held.state === 'silent' ? ['t take over'] : [])];
  return blocked > 0
    ? ['r look again', 'b begin all the same']
    : [columns < WIDE_COLUMNS ? 'enter begin' : 'enter begin (what destroys asks first)'];
}

/** `~12 s`, or `~2.0 s?` where it is a guess; empty where it is not known. */
function timeOf({ state, effect, plan }: StepSnapshot): string {
  const isNone = state === 'succeeded' || effect === 'ask' || (plan?.notApplicable ?? plan?.notAskedFor);
  if (plan?.estimateMs === undefined || isNone) return '';
  return `~${durationOf(plan.estimateMs)}${plan.measured ? '' : '?'}`;
}

/** How many columns the times of the steps take; 0 where there is no room for them. */
export const timeWidthOf = (steps: readonly StepSnapshot[], columns: number) =>
  columns < WIDE_COLUMNS ? 0 : Math.max(...steps.map((one) => timeOf(one).length));

/** What a step does, and at the right end whether it destroys something that is there now, and how long it takes. */
export function rowOf(step: StepSnapshot, width: number, timeWidth: number): string {
  const flag =
    step.state === 'succeeded'
      ? 'done'
      : step.plan?.notApplicable
        ? 'skipped'
        : step.plan?.notAskedFor
          ? 'left out'
          : (step.plan?.destroys.length ?? 0) > 0
            ? 'DESTROYS'
            : step.plan?.uncounted
              ? 'not counted'
              : '';
  const right = timeWidth === 0 ? flag : `${flag} ${timeOf(step).padStart(timeWidth)}`;
  const room = width - right.length - 1;
  const condition = step.only && !step.notChosen ? `if ${step.only.choices.join('/')}: ` : '';
  return `${cut(condition + (step.plan?.summary ?? step.id), room).padEnd(room)} ${right}`;
}

/** The whole plan, every line of it whole: to be copied. */
export function planText(run: RunSnapshot): string[] {
  return run.steps.flatMap((step, index) => [
    '',
    `${index + 1}  ${step.id}: ${step.plan?.summary ?? step.uses}`,
    ...planLines(step, Number.POSITIVE_INFINITY).map((line) => `   ${line}`),
  ]);
}

function headline(looking: boolean, blocked: number, run: RunSnapshot, width: number): string {
  if (run.phase === 'beginning') return 'Locking the cluster, so that nobody else changes it meanwhile…';
  if (looking) return 'Looking at every step; nothing is touched…';
  if (run.guards.length > 0) return 'Is this the right one? Nothing begins before that is accepted.';
  if (run.held) return 'Not begun: somebody else works on this cluster. Nothing has been touched.';
  if (blocked > 0) return `${plural(blocked, 'step')} would be blocked (✗). Nothing has been touched yet.`;
  const done = run.steps.filter((step) => step.state === 'succeeded').length;
  if (done > 0) {
    const { ms } = expectedOf(
      run.steps.map((step) => ({ ...step, plan: step.plan, leftOut: step.notChosen || step.state === 'succeeded' })),
    );
    const left = ms > 0 ? `, about ${durationOf(ms)} to go` : '';
    return `${done} of ${plural(run.steps.length, 'step')} done before${left}. Nothing further is touched yet.`;
  }
  const untouched = 'Nothing has been touched yet.';
  const steps = plural(run.steps.length, 'step');
  if (run.expected.ms === 0) return `${steps}. ${untouched}`;
  const whole = `${steps}, ${expectedText(run.expected)}. ${untouched}`;
  return whole.length <= width ? whole : `${steps}, about ${durationOf(run.expected.ms)}. ${untouched}`;
}
