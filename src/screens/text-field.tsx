import { Text, usePaste } from 'ink';
import { useRef, useState } from 'react';
import { useIsBehind } from './behind.js';
import { useSpace } from './frame.js';
import { useEveryKey } from './keys.js';
import { Anew, useLinear } from './linear.js';
import { PROMPT } from './linear-output.js';
import { cutStart } from './text.js';

const LONGEST = 200;

/** One line of text: typed or pasted, sent with enter. Control characters are left out, and a pasted line end sends nothing. */
export function TextField({
  label,
  onSubmit,
  onCancel,
}: {
  label: string;
  onSubmit: (text: string) => void;
  onCancel: () => void;
}) {
  const [text, setText] = useState('');
  // Keys can come faster than renders: what was typed so far is kept beside the state.
  const typed = useRef('');
  const set = (next: string) => {
    typed.current = next.replace(/\p{C}/gu, '').slice(0, LONGEST);
    setText(typed.current);
  };
  const submit = () => {
    const whole = typed.current;
    set('');
    onSubmit(whole);
  };
  const isBehind = useIsBehind();
  usePaste((pasted) => set(typed.current + pasted), { isActive: !isBehind });
  useEveryKey((input, key) => {
    if (key.return) submit();
    else if (key.escape) onCancel();
    else if (key.backspace || key.delete) set(typed.current.slice(0, -1));
    else if (key.ctrl && input === 'u') set('');
    else if (!key.ctrl && !key.meta && input) {
      // Over a slow line several keys arrive as one piece, with the enter in it.
      const [first = '', ...rest] = input.split(/\r\n|\r|\n/);
      set(typed.current + first);
      if (rest.length > 0) submit();
    }
  });
  const { columns } = useSpace();
  const linear = useLinear();
  if (linear) {
    return (
      <>
        <Anew />
        <Text>
          {PROMPT}
          {label.trimStart()}
          {text}
        </Text>
      </>
    );
  }
  return (
    <Text wrap="truncate">
      {label}
      <Text bold>{cutStart(text, Math.max(1, columns - label.length - 1))}</Text>
      <Text inverse> </Text>
    </Text>
  );
}
