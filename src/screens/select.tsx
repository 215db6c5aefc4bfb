import { Box, Text } from 'ink';
import SelectInput from 'ink-select-input';
import { type ComponentProps, useEffect, useRef, useState } from 'react';
import { useIsBehind } from './behind.js';
import { Lines } from './frame.js';
import { Anew, Chosen, useLinear } from './linear.js';

type Props<T> = ComponentProps<typeof SelectInput<T>>;
type Item<T> = NonNullable<Props<T>['items']>[number];

const keyOf = <T,>({ key, value }: Item<T>): string => key ?? String(value);

/**
 * A list to choose from. Told line by line: as much of it as is asked for, then which one is chosen. Whatever becomes of the list and
 * of the room for it, the highlighted item stays highlighted, and only that one is ever selected: a digit goes to an item.
 */
export function Select<T>({ limit, items = [], initialIndex = 0, onSelect, onHighlight }: Props<T>) {
  const linear = useLinear();
  const isBehind = useIsBehind();
  // Keys can come faster than renders: what is highlighted is kept beside the state.
  const highlighted = useRef<string | undefined>(undefined);
  const [turn, setTurn] = useState(0);
  const found = items.findIndex((item) => keyOf(item) === highlighted.current);
  const at = found === -1 ? Math.min(initialIndex, items.length - 1) : found;
  // Of an empty list the component tells of nothing at all.
  const highlight = (item: Item<T> | undefined) => {
    if (!item) return;
    highlighted.current = keyOf(item);
    onHighlight?.(item);
  };
  const isGone = highlighted.current !== undefined && found === -1;
  useEffect(() => {
    if (isGone && items[at]) highlight(items[at]);
  });
  // The component keeps a place in the list, not an item: in another list, or another room, it begins anew at that item.
  const key = [turn, linear ? '' : limit, ...items.map(keyOf)].join('\n');
  const props = {
    initialIndex: at,
    isFocused: !isBehind,
    onHighlight: highlight,
    onSelect: (item: Item<T> | undefined) => {
      if (!item) return;
      if (keyOf(item) === (highlighted.current ?? keyOf(items[at]!))) return onSelect?.(item);
      highlight(item);
      setTurn(turn + 1);
    },
  };
  if (!linear) {
    const isCut = limit !== undefined && limit < items.length;
    const shown = isCut ? Math.max(1, limit - 1) : limit;
    return (
      <>
        <SelectInput
          key={key}
          {...props}
          items={items}
          {...(shown === undefined ? {} : { limit: shown })}
          indicatorComponent={Indicator}
          itemComponent={ItemText}
        />
        {isCut && <Text dimColor>{`  ⋮ ${items.length - shown!} more: ↑ ↓`}</Text>}
      </>
    );
  }
  const numbered = items.map((item, place, all) => ({ ...item, at: place, of: all.length }));
  return (
    <Box flexDirection="column">
      <Anew />
      <Lines lines={numbered.slice(0, limit).map((item) => `${item.at + 1}. ${item.label}`)} />
      {limit !== undefined && limit < items.length && <Text>and {items.length - limit} more</Text>}
      <SelectInput
        key={key}
        {...props}
        items={numbered}
        indicatorComponent={NoIndicator}
        itemComponent={ChosenItem}
      />
    </Box>
  );
}

// The terminal's own colours: the component's blue is hard to read on black.
const Indicator = ({ isSelected = false }: { isSelected?: boolean }) => <Text bold>{isSelected ? '❯ ' : '  '}</Text>;
const ItemText = ({ isSelected = false, label }: { isSelected?: boolean; label: string }) => (
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
