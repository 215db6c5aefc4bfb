import { Box, Text } from 'ink';
import { plural } from '../words.js';
import { Lines } from './frame.js';
import { useScroll } from './scroll.js';

interface Props {
  lines: readonly string[];
  /** For the lines; the row that says how many are further down is one more. */
  rows: number;
  /** `arrows` where they move nothing else, `space` where it means nothing else: page up and down work in any case. */
  by: 'arrows' | 'space';
  /** Where the row stands that says how many lines are further down. */
  hint?: 'above' | 'below';
}

/** Lines in no more than so many rows, and the rest of them further down. To begin another text at its top, give it a `key`. */
export function Scrolled({ lines, rows, by, hint = 'below' }: Props) {
  const { shown, below } = useScroll(lines, rows, { arrows: by === 'arrows', space: by === 'space' });
  const more = (
    <Text dimColor wrap="truncate">
      {' '}
      {below > 0 ? `${plural(below, 'more line')}: ${by === 'arrows' ? '↓' : 'space'} or page down` : ''}
    </Text>
  );
  return (
    <>
      {hint === 'above' && more}
      <Box flexDirection="column" marginLeft={1} flexShrink={0}>
        <Lines lines={shown} />
      </Box>
      {hint === 'below' && more}
    </>
  );
}
