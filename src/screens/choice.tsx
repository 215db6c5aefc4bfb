import { Box, Text } from 'ink';
import { useSpace } from './frame.js';
import { useEveryKey } from './keys.js';
import { Scrolled } from './scrolled.js';
import { Select } from './select.js';
import { wrap } from './text.js';

/** A question with a few answers; the first is the one that changes nothing. Esc is that answer, too. */
export function Choice<T>({
  question,
  lines,
  answers,
  onAnswer,
}: {
  question: string;
  lines: string[];
  answers: { label: string; value: T }[];
  onAnswer: (value: T) => void;
}) {
  const { columns, bodyRows } = useSpace();
  useEveryKey((_input, key) => {
    if (key.escape) onAnswer(answers[0]!.value);
  });
  return (
    <>
      <Text bold> {question}</Text>
      <Scrolled
        lines={lines.flatMap((line) => wrap(line, columns - 2, 4))}
        rows={Math.max(1, bodyRows - answers.length - 2)}
        by="space"
      />
      <Box flexDirection="column" marginLeft={1}>
        <Select
          items={answers.map((answer) => ({ ...answer, key: answer.label }))}
          onSelect={(item) => onAnswer(item.value)}
        />
      </Box>
    </>
  );
}
