import type { RunSnapshot } from '../engine/snapshot.js';

/** What kind of run it is and what becomes of it, where that is not an outage that goes on: it must not be taken for one. */
export const marksOf = ({ mode, purpose, undoing, aborting }: RunSnapshot): string[] => [
  ...(mode === 'live' ? [] : [mode.toUpperCase()]),
  ...(purpose === 'undo' || undoing ? ['UNDO'] : []),
  ...(aborting ? ['STOPPING'] : []),
];
