import { Text, useIsScreenReaderEnabled } from 'ink';
import { useId } from 'react';
import { SCREEN } from './linear-output.js';

/** Whether the screens are told line by line, for a screen reader or a terminal that cannot be drawn on. */
export const useLinear = useIsScreenReaderEnabled;

/** Where this appears anew, everything on the screen is told anew. */
export function Anew() {
  const id = useId();
  return useLinear() ? (
    <Text>
      {SCREEN}
      {id}
    </Text>
  ) : null;
}

/** Which of a list is chosen, in words; on a screen it is seen. */
export function Chosen({ label, at, of }: { label: string; at: number; of: number }) {
  return useLinear() ? (
    <Text>
      chosen: {label}, {at + 1} of {of}
    </Text>
  ) : null;
}
