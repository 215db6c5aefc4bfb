import { Box, useWindowSize } from 'ink';
import { Lines } from './frame.js';
import { useLinear } from './linear.js';
import { wrap } from './text.js';

/** From this size on every screen tells all that it has to; on a slightly smaller one it tells less. */
const WHOLE = { columns: 60, rows: 16 };
/** On a smaller one than this a question could be answered that is not to be read. */
const LEAST = { columns: 50, rows: 15 };

/** Whether the window is too small for any screen; lines that are read aloud have no size. */
export function useTooSmall(): boolean {
  const { columns, rows } = useWindowSize();
  return !useLinear() && (columns < LEAST.columns || rows < LEAST.rows);
}

/** In the place of a screen for which there is no room: nothing can be answered here. */
export function TooSmall({ atWork }: { atWork: boolean }) {
  const { columns, rows } = useWindowSize();
  const lines = wrap(
    `This window is too small: ${columns}×${rows}. Make it ${WHOLE.columns}×${WHOLE.rows} or larger.${atWork ? ' What runs goes on; what is asked waits.' : ''}`,
    columns,
  );
  return (
    <Box flexDirection="column" height={rows} width={columns} overflow="hidden">
      <Lines lines={lines} />
    </Box>
  );
}
