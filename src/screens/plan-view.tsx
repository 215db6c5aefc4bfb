import { Box, Text, useInput } from 'ink';
import { useState } from 'react';
import { heldText } from '../engine/cluster-lock.js';
import type { RunSnapshot, StepSnapshot } from '../engine/snapshot.js';
import { durationOf, plural } from '../words.js';
import { Frame, Lines, useSpace } from './frame.js';
import { FINDING_MARKS } from './marks.js';
import { planLines } from './step-lines.js';
import { cut, windowAround, wrap } from './text.js';

interface Props {
  run: RunSnapshot;
  /** `takeOver`: past the lock of a run that has not been heard of for a while. */
  onBegin: (takeOver: boolean) => void;
  /** Look at every step again. */
  onLook: () => void;
  onBack: () => void;
  onHelp: () => void;
}

/** What will be done, step by step, with everything that was found: nothing has been touched yet. */
export function PlanView({ run, onBegin, onLook, onBack, onHelp }: Props) {
  const { columns, bodyRows } = useSpace();
  const [selected, setSelected] = useState(0);
  const [scrolled, setScrolled] = useState(0);
  const looking = run.phase !== 'planned';
  const blocked = run.steps.filter(
    (one) => !one.only && one.findings.some((finding) => finding.level === 'blocking'),
  ).length;
  useInput((input, key) => {
    if (key.upArrow || key.downArrow) {
      setSelected((at) => Math.max(0, Math.min(run.steps.length - 1, at + (key.upArrow ? -1 : 1))));
      setScrolled(0);
    } else if (key.pageDown || input === ' ') setScrolled((at) => at + 5);
    else if (key.pageUp) setScrolled((at) => Math.max(0, at - 5));
    else if (key.return && !looking && blocked === 0) onBegin(false);
    else if (input === 'b' && !looking && blocked > 0) onBegin(false);
    else if (input === 't' && run.held?.state === 'silent') onBegin(true);
    else if (input === 'r' && !looking) onLook();
    else if (key.escape) onBack();
    else if (input === '?') onHelp();
  });
  const step = run.steps[selected]!;
  const held = run.held ? wrap(`! ${heldText(run.held)}`, columns - 2, 2).map((line) => ` ${line}`) : [];
  const listRows = Math.min(run.steps.length, Math.max(3, bodyRows - held.length - 3 - 7));
  const { from, to } = windowAround(selected, run.steps.length, listRows);
  const detail = planLines(step, columns - 3);
  const detailRows = Math.max(1, bodyRows - held.length - listRows - 3);
  const at = Math.min(scrolled, Math.max(0, detail.length - detailRows));
  return (
    <Frame
      cluster={run.cluster}
      production={run.production}
      title={`${run.title.toLowerCase()} · the plan`}
      right={run.backup ? ageOf(run.backup) : ''}
      keys={[...beginKeys(looking, blocked, run.held), '↑↓ step', 'space more', 'esc back', '? help']}
    >
      <Text bold wrap="truncate">
        {' '}
        {headline(looking, blocked, run)}
      </Text>
      {held.map((line) => (
        <Text key={line} color="yellow" wrap="truncate">
          {line}
        </Text>
      ))}
      {run.steps.slice(from, to).map((one, index) => {
        const worst =
          one.findings.find((finding) => finding.level === 'blocking') ??
          one.findings.find((finding) => finding.level === 'warning');
        const mark = worst ? FINDING_MARKS[worst.level] : undefined;
        return (
          <Text key={one.id} wrap="truncate" inverse={from + index === selected}>
            {' '}
            {String(from + index + 1).padStart(2)}{' '}
            {mark ? <Text {...('color' in mark ? { color: mark.color } : {})}>{mark.symbol}</Text> : ' '}{' '}
            {rowOf(one, columns - 10)}
          </Text>
        );
      })}
      <Text dimColor>{'─'.repeat(columns)}</Text>
      <Box flexDirection="column" marginLeft={1} height={detailRows} overflow="hidden">
        <Lines lines={detail.slice(at, at + detailRows)} />
      </Box>
      <Text dimColor wrap="truncate">
        {' '}
        {detail.length > at + detailRows ? `${detail.length - at - detailRows} more lines: space` : ' '}
      </Text>
    </Frame>
  );
}

function ageOf({ id, takenAt }: NonNullable<RunSnapshot['backup']>): string {
  return takenAt ? `backup ${durationOf(Date.now() - takenAt.getTime())} old` : cut(`backup ${id}`, 30);
}

function beginKeys(looking: boolean, blocked: number, held: RunSnapshot['held']): string[] {
  if (looking) return ['looking…'];
  if (held) return ['enter try again', ...(held.state === 'silent' ? ['t take over'] : [])];
  return blocked > 0 ? ['r look again', 'b begin all the same'] : ['enter begin (what destroys asks first)'];
}

/** What a step does, and at the right end whether it destroys something that is there now. */
function rowOf(step: StepSnapshot, width: number): string {
  const right =
    step.state === 'succeeded'
      ? 'done'
      : step.plan?.notApplicable
        ? 'skipped'
        : step.plan?.notAskedFor
          ? 'left out'
          : (step.plan?.destroys.length ?? 0) > 0
            ? 'DESTROYS'
            : '';
  const room = width - right.length - 1;
  return `${cut(step.plan?.summary ?? step.id, room).padEnd(room)} ${right}`;
}

function headline(looking: boolean, blocked: number, run: RunSnapshot): string {
  if (run.phase === 'beginning') return 'Locking the cluster, so that nobody else changes it meanwhile…';
  if (looking) return 'Looking at every step; nothing is touched…';
  if (run.held) return 'Not begun: somebody else works on this cluster. Nothing has been touched.';
  if (blocked > 0) return `${plural(blocked, 'step')} would be blocked (✗). Nothing has been touched yet.`;
  return `${plural(run.steps.length, 'step')}, roughly ${durationOf(run.estimateMs)}. Nothing has been touched yet.`;
}
