import { Text } from 'ink';
import { useState } from 'react';
import type { TrainingSnapshot } from '../../engine/training/training.js';
import { useSpace } from '../frame.js';
import { useEveryKey } from '../keys.js';
import { Scrolled } from '../scrolled.js';
import { wrap } from '../text.js';

const STRENGTHS = ['A nudge', 'A direction', 'The answer'];

/** The hints that were given, and what the next one costs. */
export function HintView({
  snapshot: { record, nextHint },
  onTake,
  onBack,
}: {
  snapshot: TrainingSnapshot;
  onTake: () => void;
  onBack: () => void;
}) {
  const { columns, bodyRows } = useSpace();
  const given = record?.hints ?? [];
  /** One at a time: the next is asked for anew. */
  const [taken, setTaken] = useState(false);
  useEveryKey((_input, key) => {
    if (key.escape) onBack();
    if (key.return && (taken || nextHint === undefined)) onBack();
    else if (key.return) {
      setTaken(true);
      onTake();
    }
  });
  const lines = given.flatMap(({ text, costs }, index) => [
    `${STRENGTHS[index]} (-${costs})`,
    ...wrap(`  ${text}`, columns - 2, 2),
    '',
  ]);
  const next =
    taken || nextHint === undefined
      ? nextHint === undefined
        ? 'There is no further hint.'
        : 'enter goes back; there ctrl-t asks for the next one.'
      : `${STRENGTHS[given.length]} costs ${nextHint} of your 100 marks. enter takes it, esc does not.`;
  const asks = wrap(next, columns - 2);
  return (
    <>
      <Scrolled lines={lines} rows={Math.max(1, bodyRows - asks.length - 1)} by="arrows and space" />
      {asks.map((line) => (
        <Text key={line} bold>
          {' '}
          {line}
        </Text>
      ))}
    </>
  );
}
