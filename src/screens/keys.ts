import { type Key, useInput } from 'ink';

/** Keys as they are named on the screen. With ctrl or alt they are other keys: ctrl-s is no `s`. */
export function useKeys(onKey: (input: string, key: Key) => void, options: { isActive?: boolean } = {}): void {
  useInput((input, key) => {
    // Ink calls escape a meta key, too.
    if (!key.ctrl && (!key.meta || key.escape)) onKey(input, key);
  }, options);
}
