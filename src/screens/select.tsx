import { Box, Text } from 'ink';
import SelectInput from 'ink-select-input';
import type { ComponentProps } from 'react';
import { Lines } from './frame.js';
import { Anew, Chosen, useLinear } from './linear.js';

type Props<T> = ComponentProps<typeof SelectInput<T>>;

/** A list to choose from. Told line by line: as much of it as is asked for, then which one is chosen. */
export function Select<T>({ limit, ...props }: Props<T>) {
  const linear = useLinear();
  if (!linear)
    return (
      <SelectInput
        {...props}
        {...(limit === undefined ? {} : { limit })}
        indicatorComponent={Indicator}
        itemComponent={Item}
      />
    );
  const items = (props.items ?? []).map((item, at, all) => ({ ...item, at, of: all.length }));
  return (
    <Box flexDirection="column">
      <Anew />
      <Lines lines={items.slice(0, limit).map((item) => `${item.at + 1}. ${item.label}`)} />
      {limit !== undefined && limit < items.length && <Text>and {items.length - limit} more</Text>}
      <SelectInput {...props} items={items} indicatorComponent={NoIndicator} itemComponent={ChosenItem} />
    </Box>
  );
}

// The terminal's own colours: the component's blue is hard to read on black.
const Indicator = ({ isSelected = false }: { isSelected?: boolean }) => <Text bold>{isSelected ? '❯ ' : '  '}</Text>;
const Item = ({ isSelected = false, label }: { isSelected?: boolean; label: string }) => (
  <Text bold={isSelected} wrap="truncate">
    {label}
  </Text>
);

const NoIndicator = () => null;

/** Ink hands over whatever the item holds. */
function ChosenItem({ isSelected = false, ...item }: { isSelected?: boolean; label: string }) {
  const { label, at, of } = item as { label: string; at: number; of: number };
  return isSelected ? <Chosen label={label} at={at} of={of} /> : null;
}
