import { Box, Text } from 'ink';
import type { DeskSnapshot, ScenarioCard } from '../engine/desk.js';
import { agoText, lastText } from '../reports/history-words.js';
import { ANSWER_NO_DISASTER } from '../runbook/library.js';
import { durationOf, plural } from '../words.js';
import { Frame, Lines, useSpace } from './frame.js';
import { useKeys } from './keys.js';
import { lessonClock, useLesson } from './lessons/lesson.js';
import { useLinear } from './linear.js';
import { useNow } from './now.js';
import { useOutside } from './outside.js';
import { Scrolled } from './scrolled.js';
import { Select } from './select.js';
import { SERVICE_ROWS, ServiceLines } from './service-lines.js';
import { cut, wrap } from './text.js';

/** Where somebody has moved to in the list, and in which order it stood then. */
export interface Moved {
  to: string;
  order: string[];
}

interface Props {
  desk: DeskSnapshot;
  /** Undefined until somebody moves: what fits best comes first, and nothing changes its place under their fingers afterwards. */
  moved: Moved | undefined;
  onMoved: (moved: Moved) => void;
  onChoose: (card: ScenarioCard) => void;
  onDryRun: (card: ScenarioCard) => void;
  /** Goes on with the run that was broken off. */
  onResume: () => void;
  /** Shows what the newest run has replaced and can be put back. */
  onUndo: () => void;
  onHistory: () => void;
  onHelp: () => void;
  /** Takes a lesson instead; undefined within one. */
  onTrain: (() => void) | undefined;
  onQuit: () => void;
}

/** What happened? The stores' live state above, what a scenario is for below. */
export function ScenarioPicker({
  desk,
  moved,
  onMoved,
  onChoose,
  onDryRun,
  onResume,
  onUndo,
  onHistory,
  onHelp,
  onTrain,
  onQuit,
}: Props) {
  const lesson = useLesson();
  const leave = useOutside();
  const { columns, bodyRows } = useSpace();
  const now = useNow(!useLinear());
  const order = moved?.order ?? rankedScenarios(desk);
  const cards = order.flatMap((name) => desk.scenarios.filter((card) => card.scenario === name));
  const highlighted = cards.find((card) => card.scenario === moved?.to) ?? cards[0];
  useKeys((input) => {
    if (input === 'q') onQuit();
    if (input === 'd' && highlighted) onDryRun(highlighted);
    if (input === 'h') onHistory();
    if (input === 't') onTrain?.();
    if (input === '?') onHelp();
    if (input === '!') leave('shell');
    if (input === 'r' && desk.unfinished) onResume();
    if (input === 'u' && desk.undoable) onUndo();
  });
  const items = cards.map((card) => ({
    key: card.scenario,
    label: labelOf(card, desk, columns - 4),
    value: card,
  }));
  const brokenOff = desk.unfinished ? [brokenOffText(desk.unfinished)] : [];
  const problem = desk.problem.flatMap((line) => wrap(` ✗ ${line}`, columns - 2, 3));
  const room = bodyRows - SERVICE_ROWS - brokenOff.length - problem.length - 3;
  const tallest = Math.max(...desk.scenarios.map((card) => linesAbout(card, desk, columns).length));
  const listed = Math.max(2, Math.min(items.length, Math.max(LEAST_LISTED, room - tallest)));
  const about = highlighted ? linesAbout(highlighted, desk, columns) : [];
  return (
    <Frame
      cluster={desk.cluster}
      production={desk.production}
      title={lesson?.lesson.title ?? (desk.mode === 'live' ? 'outage' : 'training: a throw-away cluster')}
      right={lesson ? lessonClock(lesson, now) : `${new Date(now).toISOString().slice(11, 19)} UTC`}
      keys={[
        'enter open',
        ...(desk.unfinished ? ['r resume'] : []),
        ...(lesson ? ['^T hint'] : []),
        ...(desk.undoable ? ['u undo…'] : []),
        'd dry run',
        'h history',
        ...(onTrain ? ['t train'] : []),
        // That arrows move is found out without being told.
        '↑↓ choose',
        '? help',
        lesson ? 'q done…' : 'q quit',
      ]}
    >
      <ServiceLines services={desk.services} />
      {brokenOff.map((line) => (
        <Text key="broken-off" bold wrap="truncate">
          {' '}
          {cut(line, columns - 2)}
        </Text>
      ))}
      <Lines lines={problem} />
      <Text> </Text>
      <Text wrap="truncate">
        <Text bold> What happened?</Text> {cut(seenOf(desk), columns - 17)}
      </Text>
      <Box flexDirection="column">
        <Select
          key={listed}
          items={items}
          limit={listed}
          initialIndex={Math.max(
            0,
            cards.findIndex((one) => one.scenario === highlighted?.scenario),
          )}
          onSelect={(item) => onChoose(item.value)}
          onHighlight={(item) => onMoved({ to: item.value.scenario, order })}
        />
      </Box>
      <Scrolled
        key={highlighted?.scenario ?? ''}
        lines={about}
        rows={Math.max(0, room - listed)}
        by="space"
        hint="above"
      />
    </Frame>
  );
}

/** Those that fit what is seen, the best first; then all others. Of a healthy cluster nothing destructive comes first. */
function rankedScenarios({ scenarios, diagnosis }: DeskSnapshot): string[] {
  const names = scenarios.map((card) => card.scenario);
  const fits = diagnosis?.healthy ? ANSWER_NO_DISASTER : (diagnosis?.scenarios ?? []).map((one) => one.scenario);
  const fitting = fits.filter((name) => names.includes(name));
  return [...fitting, ...names.filter((name) => !fitting.includes(name))];
}

const brokenOffText = ({ title, at }: NonNullable<DeskSnapshot['unfinished']>) =>
  `! Broken off ${durationOf(Date.now() - at.getTime())} ago: ${title}. r goes on with it`;

/** How many scenarios are seen at once, however small the window. */
const LEAST_LISTED = 3;
/** How many reasons are shown; all of them are told by `diagnose`. */
const FITS = 3;

/** What speaks for it now comes first: where there is little room the rest is scrolled to. */
function linesAbout(card: ScenarioCard, desk: DeskSnapshot, columns: number): string[] {
  return [
    ...fitOf(card, desk)
      .slice(0, FITS)
      .flatMap((reason, index) => wrap(`${index === 0 ? 'Fits  ' : '      '} ${reason}`, columns - 2, 7)),
    ...(card.last ? wrap(`Last   ${lastText(card.last)}`, columns - 2, 7) : []),
    ...wrap(`Then   ${card.outcome}`, columns - 2, 7),
    ...wrap(`When   ${card.when}`, columns - 2, 7),
  ];
}

/** What speaks for a scenario; empty when nothing does. */
function fitOf({ scenario }: ScenarioCard, { diagnosis }: DeskSnapshot): string[] {
  return diagnosis?.scenarios.find((one) => one.scenario === scenario)?.reasons ?? [];
}

function seenOf({ diagnosis }: DeskSnapshot): string {
  if (!diagnosis) return 'looking for symptoms…';
  if (diagnosis.healthy) return 'Every part is healthy.';
  const [advice] = diagnosis.advice;
  return diagnosis.scenarios.length > 0
    ? `${plural(diagnosis.scenarios.length, 'scenario')} fit${diagnosis.scenarios.length === 1 ? 's' : ''} what is seen.`
    : (advice ?? diagnosis.symptoms[0]!.seen);
}

function labelOf(card: ScenarioCard, { diagnosis }: DeskSnapshot, width: number): string {
  const place = diagnosis?.scenarios.findIndex((one) => one.scenario === card.scenario) ?? -1;
  if (place >= 0) {
    const { confidence } = diagnosis!.scenarios[place]!;
    return cut(`${card.title.padEnd(26)} fits what is seen (${confidence})${place === 0 ? ' ◀' : ''}`, width);
  }
  return cut(`${card.title.padEnd(26)} ${card.last ? agoText(card.last) : 'never done here'}`, width);
}
