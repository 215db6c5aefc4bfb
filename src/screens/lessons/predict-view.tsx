import { Box, Text } from 'ink';
import { loadRunbook, scenarios } from '../../runbook/library.js';
import { Lines, useSpace } from '../frame.js';
import { useEveryKey } from '../keys.js';
import { Select } from '../select.js';
import { cut, wrap } from '../text.js';

interface Props {
  ask: string;
  options: readonly string[];
  onAnswer: (given: string) => void;
  onBack: () => void;
}

/** One prediction: nothing says yet whether it is right. */
export function PredictView({ ask, options, onAnswer, onBack }: Props) {
  const { columns } = useSpace();
  useEveryKey((_input, key) => {
    if (key.escape) onBack();
  });
  return (
    <>
      {wrap(ask, columns - 2).map((line) => (
        <Text bold key={line}>
          {' '}
          {line}
        </Text>
      ))}
      <Text> </Text>
      <Box flexDirection="column" marginLeft={1}>
        <Select
          items={options.map((option) => ({ key: option, label: cut(named(option), columns - 5), value: option }))}
          onSelect={({ value }) => onAnswer(value)}
        />
      </Box>
      <Text> </Text>
      <Text dimColor> The first answer counts; esc looks again before.</Text>
    </>
  );
}

/** A scenario by the name that the list gives it, too. */
export const named = (option: string): string =>
  scenarios().includes(option) ? `${loadRunbook(option).title} (${option})` : option;

/** What came of a prediction at a step, before the step itself is asked for. */
export function Revealed({
  ask,
  given,
  answer,
  because,
  onGoOn,
}: {
  ask: string;
  given: string;
  answer: string;
  because: string;
  onGoOn: () => void;
}) {
  const { columns } = useSpace();
  useEveryKey((_input, key) => {
    if (key.return || key.escape) onGoOn();
  });
  const lines = [
    ask,
    '',
    ...(given === answer ? [`✔ right: ${given}`] : [`✗ you said: ${given}`, `  it is: ${answer}`]),
    '',
    because,
  ];
  return <Lines lines={lines.flatMap((line) => wrap(` ${line}`, columns - 2, 1))} />;
}
