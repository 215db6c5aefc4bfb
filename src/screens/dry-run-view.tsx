import { useState, useSyncExternalStore } from 'react';
import type { Run } from '../engine/run.js';
import type { RunSnapshot, StepSnapshot } from '../engine/snapshot.js';
import { expectedText } from '../reports/estimate-words.js';
import { durationOf, plural } from '../words.js';
import { Frame, useSpace } from './frame.js';
import { HelpView } from './help-view.js';
import { useEveryKey, useKeys } from './keys.js';
import { useLesson } from './lessons/lesson.js';
import { FINDING_MARKS } from './marks.js';
import { useOutside } from './outside.js';
import { planText, rowOf, timeWidthOf } from './plan-view.js';
import { Scrolled } from './scrolled.js';
import { planLines, teachLines } from './step-lines.js';
import { labelled, wrap } from './text.js';

interface Props {
  run: Run;
  onBack: () => void;
  onQuit: () => void;
}

/** A dry run, walked through: the whole of it first, then a page a step. Nothing can be begun from here. */
export function DryRunView({ run, onBack, onQuit }: Props) {
  const leave = useOutside();
  const snapshot = useSyncExternalStore(run.subscribe, run.getSnapshot);
  const { columns, bodyRows } = useSpace();
  const lesson = useLesson();
  /** 0 is the whole, 1 the first step. */
  const [page, setPage] = useState(0);
  const [help, setHelp] = useState(false);
  const { steps, phase, backup } = snapshot;
  const looking = phase !== 'finished';
  useKeys(
    (input, key) => {
      if (key.escape) onBack();
      else if (!looking && (key.rightArrow || input === 'n')) setPage((at) => Math.min(steps.length, at + 1));
      else if (key.leftArrow || input === 'p') setPage((at) => Math.max(0, at - 1));
      else if (input === 'v' && !looking) leave('read', planText(snapshot));
      else if (input === '?') setHelp(true);
      else if (input === '!') leave('shell');
    },
    { isActive: !help },
  );
  useEveryKey((input, key) => {
    if (key.ctrl && input === 'c') onQuit();
  });
  const step = steps[page - 1];
  const frame = {
    cluster: snapshot.cluster,
    production: snapshot.production,
    title: `DRY RUN · ${step ? `step ${page} of ${steps.length} · ` : ''}${snapshot.title.toLowerCase()}`,
    right: backup?.takenAt ? `backup ${durationOf(Date.now() - backup.takenAt.getTime())} old` : '',
  };
  if (help) {
    return (
      <Frame {...frame} keys={['↑↓ scroll', 'any key: back']}>
        <HelpView of="dry-run" onClose={() => setHelp(false)} />
      </Frame>
    );
  }
  const keys = [
    ...(looking ? ['looking…'] : []),
    ...(!looking && page < steps.length ? ['n next'] : []),
    ...(page > 0 ? ['p before'] : []),
    ...(looking ? [] : ['↑↓ scroll', 'v as text']),
    'esc back',
    '? help',
  ];
  const lines = looking
    ? ['Looking at every step; nothing is touched…']
    : step
      ? pageOf(step, columns - 2, lesson !== undefined)
      : wholeOf(snapshot, columns - 2);
  return (
    <Frame {...frame} keys={keys}>
      <Scrolled key={page} lines={lines} rows={bodyRows - 1} by="arrows and space" />
    </Frame>
  );
}

const isBlocking = ({ level }: StepSnapshot['findings'][number]) => level === 'blocking';

/** What it is for, what is missing for it, and its steps in a line each. */
function wholeOf(
  { title, outcomeText, identity, backup, expected, guards, steps }: RunSnapshot,
  width: number,
): string[] {
  const missing = steps.flatMap(({ id, findings }) =>
    findings.filter(isBlocking).map((finding) => ({ id, finding })),
  );
  const takes = expectedText(expected);
  const timeWidth = timeWidthOf(steps, width);
  return [
    ...wrap(`${title}: ${plural(steps.length, 'step')}${takes ? `, ${takes}` : ''}.`, width),
    ...wrap('Nothing was touched, and nothing can be begun from here.', width),
    ...labelled('Then', outcomeText, width),
    ...labelled('On', identity, width),
    ...(backup ? labelled('From', `backup ${backup.id}`, width) : []),
    ...guards.flatMap(({ said }) => wrap(`! ${said}`, width, 2)),
    '',
    ...steps.map((step, index) => numbered(step, index, width, timeWidth)),
    '',
    ...(missing.length === 0 ? ['Nothing is missing: no step would be blocked.'] : ['What is missing']),
    ...missing.flatMap(({ id, finding }) => [
      ...wrap(`✗ ${id}: ${finding.message}`, width, 2),
      ...(finding.next ? wrap(`  next: ${finding.next}`, width, 8) : []),
    ]),
  ];
}

function numbered(step: StepSnapshot, index: number, width: number, timeWidth: number): string {
  const worst = step.findings.find(isBlocking) ?? step.findings.find(({ level }) => level === 'warning');
  return `${String(index + 1).padStart(2)} ${worst ? FINDING_MARKS[worst.level].symbol : ' '} ${rowOf(step, width - 5, timeWidth)}`;
}

function pageOf(step: StepSnapshot, width: number, inLesson: boolean): string[] {
  const { id, uses, plan, needs } = step;
  return [
    ...wrap(plan?.summary ?? `${id} could not be planned`, width),
    ...wrap(`${id} (${uses})${needs.length > 0 ? `, after ${needs.join(', ')}` : ''}`, width),
    '',
    ...planLines(step, width, true),
    // In a lesson it is asked, and costs something.
    ...(inLesson ? [] : teachLines(step, width)),
  ];
}
