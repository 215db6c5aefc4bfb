import { Text } from 'ink';
import { plural } from '../words.js';
import { Lines, useSpace } from './frame.js';
import { useKeys } from './keys.js';
import { useScroll } from './scroll.js';
import { wrap } from './text.js';

const ABOUT =
  "Every step is looked at, explained, asked for where it destroys, done, proved against the backup, and recorded. Nothing destructive happens on a single key: it asks for the cluster's name in full.";

const KEYS = [
  '↑ ↓        choose            enter   open, use, begin',
  'tab        next step         esc     back; never starts or stops anything',
  'l          the log alone     n       write a note into the journal',
  '!          a shell           Ctrl-Z  stops this program, and its run, until fg',
  'r s u a    after a failure:  retry · skip · undo… · abort the run',
  "u          what can be put back, after a run too; asks for the cluster's name",
  'Ctrl-C     asks what you want; it signals nothing by itself',
  'q          quit (asks while something runs)',
  '',
  'space      more of the plan  v       the plan as text, to be copied',
  'c          answer a question, that of the chosen step first',
  'h          what was done here before',
  '',
  '✔ done  ◐ runs  ◑ proves  ? asks you  ✗ failed  - skipped  · waits  ! warning',
  '',
  'Every line of output is in the run folder, whatever the screen shows.',
];

export function HelpView({ onClose }: { onClose: () => void }) {
  const { columns, bodyRows } = useSpace();
  const lines = [...wrap(ABOUT, columns - 2), '', ...KEYS.flatMap((line) => wrap(line, columns - 2, 11))];
  const { shown, below, fits } = useScroll(lines, bodyRows - 1);
  useKeys((input, key) => {
    const scrolls = key.upArrow || key.downArrow || key.pageUp || key.pageDown || input === ' ';
    if (fits || !scrolls) onClose();
  });
  return (
    <>
      <Lines lines={shown.map((line) => ` ${line}`)} />
      <Text dimColor> {below > 0 ? `${plural(below, 'more line')}: ↓ or space` : ' '}</Text>
    </>
  );
}
