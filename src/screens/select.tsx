import { Box, Text } from 'ink';
import SelectInput from 'ink-select-input';
import { type ComponentProps, useEffect, useReducer, useRef } from 'react';
import { Lines } from './frame.js';
import { useEveryKey } from './keys.js';
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
  // Keys can come faster than renders: what is highlighted is kept beside the state.
  const highlighted = useRef<string | undefined>(undefined);
  const top = useRef(0);
  const [, draw] = useReducer((turn: number) => turn + 1, 0);
  const placeNow = () => {
    const found = items.findIndex((item) => keyOf(item) === highlighted.current);
    return found === -1 ? Math.min(initialIndex, items.length - 1) : found;
  };
  const at = placeNow();
  const highlight = (item: Item<T> | undefined) => {
    if (!item) return;
    highlighted.current = keyOf(item);
    draw();
    onHighlight?.(item);
  };
  const isGone = highlighted.current !== undefined && items[at] && keyOf(items[at]) !== highlighted.current;
  useEffect(() => {
    if (isGone) highlight(items[at]);
  });
  const isCut = limit !== undefined && limit < items.length;
  const shown = isCut && !linear ? Math.max(1, limit - 1) : items.length;
  top.current = Math.max(0, Math.min(at, Math.max(top.current, at - shown + 1), items.length - shown));
  useEveryKey((input, key) => {
    const now = placeNow();
    const letter = key.ctrl || key.meta ? '' : input;
    const move = (by: number) => highlight(items[(now + by + items.length) % items.length]);
    if (key.upArrow || letter === 'k') move(-1);
    else if (key.downArrow || letter === 'j') move(1);
    else if (key.return && items[now]) onSelect?.(items[now]);
    else if (/^[1-9]$/.test(letter) && Number(letter) <= shown) {
      const item = items[top.current + Number(letter) - 1];
      if (item && item === items[now]) onSelect?.(item);
      else highlight(item);
    }
  });
  // The component's own keys are those of its last drawing, and it begins anew where a value has changed: it only draws, items that are
  // their keys, and another list for each that is highlighted.
  const drawing = `${at} ${top.current} ${shown} ${items.map(keyOf).join('\n')}`;
  const drawn = items.map((item, place, { length: of }) => ({
    key: keyOf(item),
    value: keyOf(item),
    label: item.label,
    at: place,
    of,
  }));
  if (!linear) {
    return (
      <>
        <SelectInput
          key={drawing}
          isFocused={false}
          items={drawn.slice(top.current, top.current + shown)}
          initialIndex={at - top.current}
          indicatorComponent={Indicator}
          itemComponent={ItemText}
        />
        {isCut && <Text dimColor>{`  ⋮ ${items.length - shown} more: ↑ ↓`}</Text>}
      </>
    );
  }
  return (
    <Box flexDirection="column">
      <Anew />
      <Lines lines={drawn.slice(0, limit).map((item) => `${item.at + 1}. ${item.label}`)} />
      {isCut && <Text>and {items.length - limit} more</Text>}
      <SelectInput
        key={drawing}
        isFocused={false}
        items={drawn}
        initialIndex={at}
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
