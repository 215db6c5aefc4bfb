import { createContext, useContext, useSyncExternalStore } from 'react';
import type { Replay, ReplayStatus } from '../engine/replay.js';
import { logTimeOf } from '../words.js';
import { useKeys } from './keys.js';

/** A replay, and what its keys do beside moving through it. */
export interface Replaying {
  replay: Replay;
  /** Shows the list of steps, to go to one of them. */
  onJump: () => void;
  onLeave: () => void;
}

export const ReplayContext = createContext<Replaying | undefined>(undefined);

/** The replay that is on screen, and where it stands; undefined while a run itself is. */
export function useReplay(): (Replaying & { status: ReplayStatus }) | undefined {
  const replaying = useContext(ReplayContext);
  const status = useSyncExternalStore(
    replaying?.replay.subscribeStatus ?? never,
    replaying?.replay.getStatus ?? nothing,
  );
  return replaying && status ? { ...replaying, status } : undefined;
}

const never = () => () => {};
const nothing = () => undefined;

/** `asked`: letters are answers to what is asked. `moves`: where text is typed only the arrows are free. */
export type ReplayKeys = 'all' | 'asked' | 'moves' | 'none';

/** The keys of a replay. That of everything a run would take something is asked in vain is said. */
export function useReplayKeys(which: ReplayKeys): void {
  const replaying = useContext(ReplayContext);
  useKeys(
    (input, key) => {
      const { replay, onJump, onLeave } = replaying!;
      if (key.rightArrow) replay.next();
      else if (key.leftArrow) replay.previous();
      else if (which === 'moves') return;
      else if (input === 'p' || (input === ' ' && isAtRun(replay))) replay.toggle();
      else if (input === '+' || input === '=') replay.faster(1);
      else if (input === '-') replay.faster(-1);
      else if (input === 'e') replay.nextError();
      else if (input === 'w') replay.watch();
      else if (input === 'j') onJump();
      else if (input === 'q') onLeave();
      else if (/^[1-9]$/.test(input)) replay.jump(replay.stations()[Number(input) - 1]?.id ?? input);
      else if (which === 'all' && ACTING.includes(input)) replay.refuse();
    },
    { isActive: replaying !== undefined && which !== 'none' },
  );
}

/** What these letters do in a run. */
const ACTING = ['r', 'u', 's', 'a', 'n'];

/** Elsewhere space goes through what is too long for the screen. */
const isAtRun = (replay: Replay) => replay.getSnapshot().phase === 'running';

/** The keys of a replay, as they are named on the screen. */
export function replayKeys(replay: Replay, which: ReplayKeys): string[] {
  if (which === 'none') return [];
  const moves = '→← event';
  if (which === 'moves') return [moves];
  const { playing, over } = replay.getStatus();
  const pause = over ? [] : [`${isAtRun(replay) ? 'space' : 'p'} ${playing ? 'pause' : 'play'}`];
  return [...pause, moves, 'q leave', 'e error', 'j step', '+- speed'];
}

/** How a replay stands: `▶ ×10 03:14:15 62 %`. */
export function standingOf({ playing, over, held, speed, at, taken, of, damage }: ReplayStatus): string {
  const state = over ? '■' : held ? '?' : playing ? '▶' : '‖';
  return `${damage === '' ? '' : 'NOT WHOLE '}${state} ×${speed} ${logTimeOf(new Date(at)).slice(0, 8)} ${Math.floor((taken / of) * 100)} %`;
}

/** The same in words, for those who hear it: what passes all the time is left out. */
export function standingAloud({ playing, over, held, speed, watching, damage }: ReplayStatus): string {
  const state = over
    ? 'at its end'
    : held
      ? 'waits for you'
      : playing
        ? `plays at ${speed} times the pace`
        : 'paused';
  return `Replay: ${state}${watching ? ', only watched' : ''}${damage === '' ? '' : ', of a record that is not whole'}`;
}
