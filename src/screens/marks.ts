import type { StepState } from '../engine/snapshot.js';

/** A state is always a symbol and a word, never a colour alone. Only a symbol is coloured, and the banner of a production cluster: text in the
 * colour of the terminal can be read on a light one, too. Only the 16 colours of the terminal's own palette are used. */
export interface Mark {
  symbol: string;
  word: string;
  color?: 'green' | 'red' | 'yellow' | 'cyan';
}

export const MARKS: Record<StepState, Mark> = {
  waiting: { symbol: '·', word: 'waits' },
  checking: { symbol: '◌', word: 'looks', color: 'cyan' },
  asking: { symbol: '?', word: 'asks you', color: 'yellow' },
  running: { symbol: '◐', word: 'runs', color: 'cyan' },
  verifying: { symbol: '◑', word: 'proves', color: 'cyan' },
  undoing: { symbol: '◐', word: 'undoes', color: 'yellow' },
  deciding: { symbol: '✗', word: 'failed', color: 'red' },
  succeeded: { symbol: '✔', word: 'done', color: 'green' },
  failed: { symbol: '✗', word: 'failed', color: 'red' },
  skipped: { symbol: '-', word: 'skipped', color: 'yellow' },
  simulated: { symbol: '~', word: 'simulated' },
  unknown: { symbol: '?', word: 'unknown', color: 'red' },
  undone: { symbol: '↶', word: 'undone', color: 'yellow' },
};

export const FINDING_MARKS = {
  blocking: { symbol: '✗', word: 'blocking', color: 'red' },
  warning: { symbol: '!', word: 'warning', color: 'yellow' },
  info: { symbol: '·', word: '' },
} as const satisfies Record<string, Mark>;
