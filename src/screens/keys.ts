import { type Key, useInput } from 'ink';
import { useIsBehind } from './behind.js';

type OnKey = (input: string, key: Key) => void;

/** Every key, whatever is held with it. None while another view lies over this one. */
export function useEveryKey(onKey: OnKey, { isActive = true }: { isActive?: boolean } = {}): void {
  const isBehind = useIsBehind();
  useInput(onKey, { isActive: isActive && !isBehind });
}

/** Keys as they are named on the screen. With ctrl or alt they are other keys: ctrl-s is no `s`. */
export function useKeys(onKey: OnKey, options: { isActive?: boolean } = {}): void {
  useEveryKey((input, key) => {
    // Ink calls escape a meta key, too.
    if (!key.ctrl && (!key.meta || key.escape)) onKey(input, key);
  }, options);
}
