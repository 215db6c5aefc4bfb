import { Box, Text } from 'ink';
import { useState } from 'react';
import { plural } from '../words.js';
import { Lines } from './frame.js';
import { useEveryKey } from './keys.js';

interface Props {
  lines: readonly string[];
  /** For the lines; the row that says how many are further down is one more. */
  rows: number;
  /** What moves them beside page up and down: arrows and space where they mean nothing else. */
  by: 'arrows and space' | 'arrows' | 'space' | 'pages';
  /** Where the row stands that says how many lines are further down. */
  hint?: 'above' | 'below';
}

const HINTS = {
  'arrows and space': '↓ or space',
  arrows: '↓ or page down',
  space: 'space or page down',
  pages: 'page down',
} as const;

/** Lines in no more than so many rows, and the rest of them further down. To begin another text at its top, give it a `key`. */
export function Scrolled({ lines, rows, by, hint = 'below' }: Props) {
  const [scrolled, setScrolled] = useState(0);
  const last = Math.max(0, lines.length - rows);
  useEveryKey((input, key) => {
    const move = (rows: number) => setScrolled((at) => Math.max(0, Math.min(last, at + rows)));
    if (by.includes('arrows') && key.downArrow) move(1);
    else if (by.includes('arrows') && key.upArrow) move(-1);
    else if (key.pageDown || (by.includes('space') && input === ' ')) move(rows);
    else if (key.pageUp) move(-rows);
  });
  const at = Math.min(scrolled, last);
  const more = (
    <Text dimColor wrap="truncate">
      {' '}
      {at < last ? `${plural(last - at, 'more line')}: ${HINTS[by]}` : ''}
    </Text>
  );
  return (
    <>
      {hint === 'above' && more}
      <Box flexDirection="column" marginLeft={1} flexShrink={0}>
        <Lines lines={lines.slice(at, at + rows)} />
      </Box>
      {hint === 'below' && more}
    </>
  );
}
