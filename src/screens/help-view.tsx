import { useInput } from 'ink';
import { Lines, useSpace } from './frame.js';

const HELP = [
  'Every step is looked at, explained, asked for where it destroys, done, proved',
  'against the backup, and recorded. Nothing destructive happens on a single key:',
  "it asks for the cluster's name in full.",
  '',
  '↑ ↓        choose            enter   open, use, begin',
  'tab        next step         esc     back; never starts or stops anything',
  'l          the log alone     n       write a note into the journal',
  '!          a shell           Ctrl-Z  stops this program, and its run, until fg',
  'r s u a    after a failure:  retry · skip · undo… · abort the run',
  "u          what can be put back, after a run too; asks for the cluster's name",
  'Ctrl-C     asks what you want; it signals nothing by itself',
  'q          quit (asks while something runs)',
  '',
  'space      more of the plan    c       answer what is asked    h  history',
  '',
  '✔ done  ◐ runs  ◑ proves  ? asks you  ✗ failed  - skipped  · waits  ! warning',
  '',
  'Every line of output is in the run folder, whatever the screen shows.',
];

export function HelpView({ onClose }: { onClose: () => void }) {
  const { bodyRows } = useSpace();
  useInput(() => onClose());
  return <Lines lines={HELP.slice(0, bodyRows).map((line) => ` ${line}`)} />;
}
