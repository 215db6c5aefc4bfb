import type { StepState } from '../engine/snapshot.js';

/**
 * A state is always a symbol and a word, never a colour alone. Only a symbol is coloured, and the banner of a production cluster: text in the
 * colour of the terminal can be read on a light one, too. Green and red of the terminal's own palette are all that is used: yellow and cyan
 * cannot be seen on white, nor blue on black.
 */
export interface Mark {
  symbol: string;
  word: string;
  color?: 'green' | 'red';
}

/** How a symbol is drawn: one without a colour is bold. */
export const lookOf = ({ color }: Pick<Mark, 'symbol' | 'color'>) => (color ? { color } : { bold: true });

export const MARKS: Record<StepState, Mark> = {
  waiting: { symbol: '·', word: 'waits' },
  checking: { symbol: '◌', word: 'looks' },
  asking: { symbol: '?', word: 'asks you' },
  running: { symbol: '◐', word: 'runs' },
  verifying: { symbol: '◑', word: 'proves' },
  undoing: { symbol: '◐', word: 'undoes' },
  deciding: { symbol: '✗', word: 'failed', color: 'red' },
  succeeded: { symbol: '✔', word: 'done', color: 'green' },
  failed: { symbol: '✗', word: 'failed', color: 'red' },
  skipped: { symbol: '-', word: 'skipped' },
  simulated: { symbol: '~', word: 'simulated' },
  unknown: { symbol: '?', word: 'unknown', color: 'red' },
  undone: { symbol: '↶', word: 'undone' },
};

export const FINDING_MARKS = {
  blocking: { symbol: '✗', word: 'blocking', color: 'red' },
  warning: { symbol: '!', word: 'warning' },
  info: { symbol: '·', word: '' },
} as const satisfies Record<string, Mark>;
