import { useInput } from 'ink';
import { useState } from 'react';

interface Scrolled {
  shown: readonly string[];
  /** How many lines are further down. */
  below: number;
  /** All of it is shown: there is nothing to scroll. */
  fits: boolean;
}

/**
 * What of a long text is shown, moved with page up and down, and, where they mean nothing else (`arrows`, `space`), with the arrows
 * and space.
 */
export function useScroll(
  lines: readonly string[],
  room: number,
  { arrows = true, space = true }: { arrows?: boolean; space?: boolean } = {},
): Scrolled {
  const [scrolled, setScrolled] = useState(0);
  const last = Math.max(0, lines.length - room);
  useInput((input, key) => {
    const move = (by: number) => setScrolled((at) => Math.max(0, Math.min(last, at + by)));
    if (arrows && key.downArrow) move(1);
    else if (arrows && key.upArrow) move(-1);
    else if (key.pageDown || (space && input === ' ')) move(room);
    else if (key.pageUp) move(-room);
  });
  const at = Math.min(scrolled, last);
  return { shown: lines.slice(at, at + room), below: last - at, fits: last === 0 };
}
