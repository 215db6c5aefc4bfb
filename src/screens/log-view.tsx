import { type ComponentProps, useState } from 'react';
import { errorBefore } from '../engine/error-lines.js';
import type { LogLine, RunSnapshot } from '../engine/snapshot.js';
import { logTimeOf, plural } from '../words.js';
import { Frame, Lines, useSpace } from './frame.js';
import { useKeys } from './keys.js';
import { useLinear } from './linear.js';
import { wrap } from './text.js';
import { TextField } from './text-field.js';

interface Props {
  frame: Omit<ComponentProps<typeof Frame>, 'keys' | 'children'>;
  run: RunSnapshot;
  /** The step that was looked at: `tab` shows its lines alone. */
  step: string;
  onBack: () => void;
}

/** What is shown of the log, and how far up. */
interface Held {
  /** All lines at the moment of the pause: what comes meanwhile moves nothing. */
  lines: readonly LogLine[];
  /** The last one shown, counted among those that pass the filter. */
  last: number;
}

/** The newest lines of all steps or of one: followed, or held and scrolled through, filtered, from error to error. */
export function LogView({ frame, run, step, onBack }: Props) {
  const { columns, bodyRows } = useSpace();
  const linear = useLinear();
  const [held, setHeld] = useState<Held | undefined>(undefined);
  const [filter, setFilter] = useState('');
  const [asking, setAsking] = useState(false);
  const [alone, setAlone] = useState(false);
  const [clock, setClock] = useState<'UTC' | 'local'>('UTC');
  const rows = bodyRows - 1;

  const passes = (line: LogLine) =>
    (!alone || line.step === step) && `${line.step} ${line.text}`.toLowerCase().includes(filter.toLowerCase());
  const lines = (held?.lines ?? run.log).filter(passes);
  const last = Math.min(held?.last ?? lines.length - 1, lines.length - 1);
  const width = alone ? 0 : Math.max(...run.steps.map((one) => one.id.length), 1) + 1;
  const shown = rowsUpTo(lines, last, linear && held ? 1 : rows, (line) => {
    const head = ` ${logTimeOf(new Date(line.at), clock)} ${alone ? '' : line.step.padEnd(width)}`;
    return wrap(`${head}${line.text}`, columns - 1, FURTHER);
  });

  const hold = (to: number) =>
    lines.length > 0 && setHeld({ lines: held?.lines ?? run.log, last: clamp(to, lines.length) });
  const show = (change: () => void) => {
    change();
    setHeld(undefined);
  };
  useKeys(
    (input, key) => {
      if (key.escape) filter === '' ? onBack() : show(() => setFilter(''));
      else if (input === 'l' || input === 'q') onBack();
      else if (input === '/') setAsking(true);
      else if (input === 'f' || key.end) setHeld(undefined);
      else if (input === ' ') held ? setHeld(undefined) : hold(last);
      else if (input === 't') setClock(clock === 'UTC' ? 'local' : 'UTC');
      else if (key.tab) show(() => setAlone(!alone));
      else if (key.upArrow) hold(last - 1);
      else if (key.downArrow) hold(last + 1);
      else if (key.pageUp) hold(last - rows);
      else if (key.pageDown) hold(last + rows);
      else if (key.home) hold(0);
      else if (input === 'e') hold(errorBefore(lines, held ? last : lines.length));
    },
    { isActive: !asking },
  );

  const what = [
    alone ? step : 'all steps',
    ...(filter === '' ? [] : [`with "${filter}"`]),
    clock === 'UTC' ? 'UTC' : 'local time',
    held ? `PAUSED at ${last + 1} of ${lines.length}` : `following, ${plural(lines.length, 'line')}`,
  ];
  const keys = [
    '/ filter',
    held ? 'f follow' : 'space pause',
    '↑↓ scroll',
    'e error',
    'tab step',
    't time',
    'esc back',
  ];
  return (
    <Frame {...frame} keys={asking ? ['enter filter', 'esc back'] : keys}>
      {asking ? (
        <TextField
          label=" Lines with: "
          onSubmit={(text) => show(() => [setFilter(text), setAsking(false)])}
          onCancel={() => setAsking(false)}
        />
      ) : (
        <Lines lines={[` Log · ${what.join(' · ')}`]} bold />
      )}
      <Lines
        lines={shown.length > 0 ? shown : [' (no such line among the newest; the files in the run folder have all)']}
      />
    </Frame>
  );
}

/** Where the further rows of a long line begin: behind the time. */
const FURTHER = 14;

const clamp = (at: number, length: number) => Math.max(0, Math.min(length - 1, at));

/** As many rows as there is room for, the last of them being that of the line `last`. */
function rowsUpTo(
  lines: readonly LogLine[],
  last: number,
  room: number,
  rowsOf: (line: LogLine) => string[],
): string[] {
  const rows: string[] = [];
  for (let index = last; index >= 0 && rows.length < room; index -= 1) rows.unshift(...rowsOf(lines[index]!));
  return rows.slice(Math.max(0, rows.length - room));
}
