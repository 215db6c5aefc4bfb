import { Box, Text } from 'ink';
import { useMemo } from 'react';
import type { DeskSnapshot } from '../engine/desk.js';
import { type HistoryEntry, outcomeWord } from '../engine/history.js';
import { JOURNAL_FILE } from '../engine/journal.js';
import { pastOf } from '../engine/past.js';
import { isResumable } from '../engine/prepare-resume.js';
import type { RecordedRun } from '../engine/runs.js';
import { plainSummary } from '../reports/plain.js';
import { reportOf } from '../reports/run-report.js';
import { durationOf, instantOf } from '../words.js';
import { Frame, useSpace } from './frame.js';
import { useKeys } from './keys.js';
import { Scrolled } from './scrolled.js';
import { Select } from './select.js';
import { cut, wrap } from './text.js';

interface Props {
  desk: DeskSnapshot;
  onLook: (id: string) => void;
  /** Walks through a run again. */
  onReplay: (recorded: RecordedRun) => void;
  /** Goes on with a run that was broken off. */
  onResume: (id: string) => void;
  onUndo: (id: string) => void;
  onBack: () => void;
}

/** What was done to this cluster, the newest first; each run can be looked at to its evidence. */
export function HistoryView({ desk, onLook, onReplay, onResume, onUndo, onBack }: Props) {
  const { columns, bodyRows } = useSpace();
  useKeys((_input, key) => {
    if (key.escape && !desk.looked) onBack();
  });
  if (desk.looked)
    return (
      <PastRunView
        desk={desk}
        recorded={desk.looked}
        onReplay={onReplay}
        onResume={onResume}
        onUndo={onUndo}
        onBack={onBack}
      />
    );
  return (
    <Frame {...headOf(desk)} title="history" keys={['↑↓ choose', 'enter look', 'esc back']}>
      <Text bold wrap="truncate">
        {' '}
        {desk.history.length === 0 ? `No run on ${desk.cluster} is recorded yet.` : 'What was done here:'}
      </Text>
      <Text dimColor wrap="truncate">
        {desk.history.length === 0 ? ' ' : `  ${HEADINGS}`}
      </Text>
      <Box flexDirection="column">
        <Select
          items={desk.history.map((one) => ({ key: one.id, label: cut(labelOf(one), columns - 4), value: one.id }))}
          limit={Math.max(2, bodyRows - 2)}
          onSelect={({ value }) => onLook(value)}
        />
      </Box>
    </Frame>
  );
}

function PastRunView({
  desk,
  recorded,
  onReplay,
  onResume,
  onUndo,
  onBack,
}: Pick<Props, 'desk' | 'onReplay' | 'onResume' | 'onUndo' | 'onBack'> & { recorded: RecordedRun }) {
  const { columns, bodyRows } = useSpace();
  const { id, folder, events, fault } = recorded;
  const lines = useMemo(() => {
    const paths = {
      journal: `${folder}/${JOURNAL_FILE}`,
      markdown: `${folder}/report.md`,
      html: `${folder}/report.html`,
    };
    const summary =
      events[0]?.type === 'run.started'
        ? plainSummary(reportOf(events), paths, fault, columns - 2)
        : [`The journal of ${id} cannot be read: ${fault}`];
    return summary.flatMap((line) => wrap(line, columns - 2, 4));
  }, [id, folder, events, fault, columns]);
  const canUndo = desk.undoable?.id === id;
  const isTold = events[0]?.type === 'run.started';
  // The cluster of a drill is gone with it.
  const isDrill = Boolean(events[0]?.type === 'run.started' && events[0].drillOf);
  const canResume = useMemo(() => isTold && !isDrill && isResumable(pastOf(events)), [isTold, isDrill, events]);
  useKeys((input, key) => {
    if (key.escape) onBack();
    else if (input === 'p' && isTold) onReplay(recorded);
    else if (input === 'r' && canResume) onResume(id);
    else if (input === 'u' && canUndo) onUndo(id);
  });
  return (
    <Frame
      {...headOf(desk)}
      title={`run ${id}`}
      keys={[
        '↑↓ scroll',
        ...(isTold ? ['p replay'] : []),
        ...(canResume ? ['r resume'] : []),
        ...(canUndo ? ['u undo…'] : []),
        'esc back',
      ]}
    >
      <Scrolled lines={lines} rows={bodyRows - 1} by="arrows and space" />
    </Frame>
  );
}

const headOf = ({ cluster, production }: DeskSnapshot) => ({ cluster, production, right: '' });

const WIDEST_TITLE = 26;
const HEADINGS = `${'began (UTC)'.padEnd(16)}  ${'what'.padEnd(WIDEST_TITLE)} outcome`;

function labelOf(entry: HistoryEntry): string {
  const { startedAt, title, scenario, mode, begun, tookMs } = entry;
  const at = startedAt ? instantOf(startedAt).slice(0, 16) : 'at an unknown time';
  const what = `${title ?? scenario ?? 'unknown'}${mode === 'live' || mode === null ? '' : ` (${mode})`}`;
  return `${at}  ${what.padEnd(WIDEST_TITLE)} ${outcomeWord(entry)}${tookMs === null || !begun ? '' : ` in ${durationOf(tookMs)}`}`;
}
