import { Box, Text, useInput } from 'ink';
import { Select } from './select.js';

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
  useInput((_input, key) => {
    if (key.escape) onAnswer(answers[0]!.value);
  });
  return (
    <Box flexDirection="column" marginLeft={1}>
      <Text bold>{question}</Text>
      {lines.map((line) => (
        <Text key={line} wrap="truncate">
          {line}
        </Text>
      ))}
      <Text> </Text>
      <Select
        items={answers.map((answer) => ({ ...answer, key: answer.label }))}
        onSelect={(item) => onAnswer(item.value)}
      />
    </Box>
  );
}
