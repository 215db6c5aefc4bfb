import { useApp } from 'ink';
import { createContext, useContext } from 'react';
import { ReplayContext } from './replaying.js';

/** What a person may do with the terminal in between. Each resolves when they are back. */
export interface Outside {
  shell: () => Promise<void>;
  /** As ctrl-z does elsewhere. */
  stop: () => Promise<void>;
  /** Text as it is, to be marked and copied, until enter is pressed. */
  read: (lines: readonly string[]) => Promise<void>;
  /** Ends this program and what it has started at once; nobody comes back. */
  kill: () => Promise<void>;
}

export const OutsideContext = createContext<Outside | undefined>(undefined);

/** Gives the terminal away and takes it back; the run goes on meanwhile. One at a time. */
export function useOutside(): (where: keyof Outside, lines?: readonly string[]) => void {
  const outside = useContext(OutsideContext);
  const { suspendTerminal } = useApp();
  const replaying = useContext(ReplayContext);
  return (where, lines = []) => {
    // A shell could touch the cluster of which everything on screen is over.
    if (replaying && where === 'shell') return replaying.replay.refuse();
    if (outside) void suspendTerminal(() => outside[where](lines)).catch(() => {});
  };
}
