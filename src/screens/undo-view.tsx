import { Text } from 'ink';
import { type ComponentProps, useState } from 'react';
import type { RunSnapshot, StepSnapshot } from '../engine/snapshot.js';
import { isIdle, undoOrder } from '../engine/undo-choice.js';
import { lossRows, wayBackRows } from '../engine/undo-words.js';
import { durationOf, plural } from '../words.js';
import { Frame, useSpace } from './frame.js';
import { useKeys } from './keys.js';
import { Chosen } from './linear.js';
import { Scrolled } from './scrolled.js';
import { cut, labelled, nameLabel, windowAround, wrap } from './text.js';
import { TextField } from './text-field.js';

interface Props {
  frame: Omit<ComponentProps<typeof Frame>, 'keys' | 'children'>;
  run: RunSnapshot;
  /** The step that is offered first; all of them without one. */
  first?: string;
  onUndo: (steps: string[], typed: string) => void;
  /** Why these steps may not be undone yet: it then asks for nothing. Empty when they may. */
  obstacle: (steps: readonly StepSnapshot[]) => string;
  /** What stands in the way was read, and is meant so. */
  onAccept: () => void;
  onBack: () => void;
}

/** What can be put back: all of it, or one step and what builds on it; what that brings and what is lost by it; and the cluster's name. */
export function UndoView({ frame, run, first, obstacle, onUndo, onAccept, onBack }: Props) {
  const { columns, bodyRows } = useSpace();
  const all = undoOrder(run.steps).filter((step) => !isIdle(step));
  // By its name: which steps have anything to put back is known only after a look at each.
  const [selected, setSelected] = useState(first);
  const [refused, setRefused] = useState('');
  const width = columns - 2;
  const at = all.findIndex((step) => step.id === selected) + 1;
  const taken = at === 0 ? undoOrder(run.steps) : undoOrder(run.steps, [all[at - 1]!.id]);
  const chosen = taken.filter((step) => !isIdle(step));
  const held = obstacle(taken);
  const warning = held === '' ? [] : wrap(`! ${held}`, width, 2).slice(0, 5);
  const listRows = Math.min(all.length + 1, Math.max(3, Math.floor((bodyRows - warning.length - 5) * 0.45)));
  const rows = Math.max(1, bodyRows - warning.length - listRows - 5);
  useKeys((input, key) => {
    if (key.upArrow || key.downArrow) setSelected(all[Math.min(all.length, at + (key.upArrow ? -1 : 1)) - 1]?.id);
    else if (input === 'a' && held !== '') onAccept();
    else if (key.escape && (held !== '' || all.length === 0)) onBack();
  });
  const keys = keysOf(run, all, held);
  if (all.length === 0) {
    return (
      <Frame {...frame} keys={keys}>
        <Text> This run has nothing that can be put back.</Text>
      </Frame>
    );
  }
  const window = windowAround(at, all.length + 1, listRows);
  return (
    <Frame {...frame} keys={keys}>
      <Text bold wrap="truncate">
        {' '}
        {cut(`Put back what this run replaced? ${runText(run, chosen)}`, width)}
      </Text>
      {warning.map((line) => (
        <Text key={line} bold wrap="truncate">
          {' '}
          {line}
        </Text>
      ))}
      {[undefined, ...all].slice(window.from, window.to).map((step, index) => {
        const isTaken = step === undefined ? at === 0 : chosen.includes(step);
        return (
          <Text key={step?.id ?? ''} wrap="truncate" inverse={window.from + index === at}>
            {`${window.from + index === at ? '>' : ' '}${isTaken ? '↶' : ' '} ${cut(step ? rowOf(step) : `all of it: ${plural(all.length, 'step')}, the last first`, width - 4)}`}
          </Text>
        );
      })}
      <Chosen label={at === 0 ? 'all of it' : all[at - 1]!.id} at={at} of={all.length + 1} />
      <Text dimColor>{'─'.repeat(columns)}</Text>
      <Scrolled key={at} lines={linesOf(chosen, all, width)} rows={rows} by="pages" />
      <Text wrap="truncate" bold>
        {refused === '' ? ' ' : ` "${refused}" is not this cluster's name; nothing was put back.`}
      </Text>
      {held === '' && (
        <TextField
          label={nameLabel(run.cluster, 'put it back', columns)}
          onSubmit={(typed) => {
            if (typed !== run.cluster) return setRefused(typed);
            onUndo(
              taken.map((step) => step.id),
              typed,
            );
          }}
          onCancel={onBack}
        />
      )}
    </Frame>
  );
}

function keysOf({ phase, purpose, guards }: RunSnapshot, all: readonly StepSnapshot[], held: string): string[] {
  if (phase === 'preflight' || phase === 'beginning') return ['looking…', 'esc back'];
  if (all.length === 0) return ['esc back'];
  const [guard] = purpose === 'undo' ? guards : [];
  if (guard) return [`a it is meant so: accept this ${guard.difference}`, 'esc back'];
  return ['↑↓ choose', 'page down more', ...(held === '' ? ['enter put back'] : []), 'esc back'];
}

const rowOf = (step: StepSnapshot) => `${step.id.padEnd(20)} ${step.undoPlan?.putsBack ?? 'looking…'}`;

function runText({ startedAt, purpose }: RunSnapshot, chosen: readonly StepSnapshot[]): string {
  if (purpose === 'undo') return `It began ${durationOf(Date.now() - startedAt)} ago.`;
  return chosen.length === 1 && chosen[0]!.state === 'deciding' ? '' : 'The run ends with it.';
}

/** What is lost is said first; then what is taken along, and what is not; then what comes back, and from where. */
function linesOf(chosen: readonly StepSnapshot[], all: readonly StepSnapshot[], width: number): string[] {
  const stays = all.filter((step) => !chosen.includes(step));
  const several = chosen.length > 1;
  return [
    ...chosen
      .flatMap((step) =>
        lossRows(step).map(([label, text]) => ({ label, text: several ? `${step.id}: ${text}` : text })),
      )
      .sort((a, b) => Number(b.label === 'LOSES') - Number(a.label === 'LOSES'))
      .flatMap(({ label, text }) => labelled(label, text, width)),
    ...(several
      ? wrap(`In this order, each proved before the next: ${chosen.map((step) => step.id).join(', ')}`, width, 2)
      : []),
    ...(stays.length > 0
      ? wrap(`Stays as this run left it: ${stays.map((step) => step.id).join(', ')}`, width, 2)
      : []),
    ...chosen
      .filter((step) => step.safetyCopies.length > 0 || !several)
      .flatMap((step) => [
        ...(several ? [`${step.id}:`] : []),
        ...wayBackRows(step).flatMap(([label, text]) => labelled(label, text, width)),
      ]),
  ];
}
