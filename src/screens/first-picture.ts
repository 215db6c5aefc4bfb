import { hasOneScreenOnly } from './one-screen.js';
import { cut } from './text.js';

// What stands in the window until the screens do: they need Ink, the runbooks and the clients of the stores, which takes some tenths of
// a second. It is text and nothing else, so that whoever has typed the command sees at once that it was heard.

const ENTER_ALTERNATE = '\u001b[?1049h\u001b[?25l';
const LEAVE_ALTERNATE = '\u001b[?25h\u001b[?1049l';
/** Terminals that know it show nothing of what follows before Ink has ended its first frame. */
const HOLD = '\u001b[?2026h';
const HOME = '\u001b[H';
const SIGNALS = ['SIGTERM', 'SIGHUP'] as const;

/** The picture that is shown now: the terminal is one. */
let shown: { forget(): void } | undefined;

/**
 * Shows that the program begins, and for which cluster (as it was named; it is not read yet). From then on keys are kept for the screens.
 * Until one of the two below is called, the alternate screen is this picture's.
 */
export function showFirstPicture(cluster: string): void {
  if (hasOneScreenOnly()) return;
  // Nothing reads yet: what is typed waits in the terminal, and the screens get it. A ctrl-c is one of these keys.
  process.stdin.setRawMode(true);
  const end = (_: NodeJS.Signals, number: number) => process.exit(128 + number);
  process.on('exit', takeAwayFirstPicture);
  for (const signal of SIGNALS) process.on(signal, end);
  shown = {
    forget() {
      process.off('exit', takeAwayFirstPicture);
      for (const signal of SIGNALS) process.off(signal, end);
    },
  };
  process.stdout.write(
    `${ENTER_ALTERNATE}${HOME}${pictureOf(cluster, process.stdout.columns || 80, process.stdout.rows || 24).join('\r\n')}`,
  );
}

/** The screens come in its place. */
export function giveWayToScreens(): void {
  if (!shown) return;
  forget();
  process.stdout.write(`${HOLD}${erased()}`);
}

/** No screens come: the terminal is as it was before. */
export function takeAwayFirstPicture(): void {
  if (!shown) return;
  forget();
  process.stdin.setRawMode(false);
  process.stdout.write(LEAVE_ALTERNATE);
}

function forget(): void {
  shown?.forget();
  shown = undefined;
}

/** Row by row: of a screen that is erased as a whole some terminals keep the picture, for scrolling back. */
export function erased(): string {
  return `${HOME}${Array(process.stdout.rows || 24)
    .fill('\u001b[2K')
    .join('\n')}${HOME}`;
}

/** The rows of the picture, each as wide as the window at most. The frame is that of every screen; there are no colours, whoever wants none. */
function pictureOf(cluster: string, columns: number, rows: number): string[] {
  const rule = '─'.repeat(columns);
  const body = [
    ' ◌ Reading the profile, the runbooks and the record of earlier runs…',
    '   No server is asked yet, and nothing is changed.',
  ];
  const room = Math.max(body.length, rows - 4);
  return [
    ` ${cut(cluster, columns - 12)} · opening`,
    rule,
    ...Array.from({ length: room }, (_, row) => cut(body[row] ?? '', columns)),
    rule,
    cut(' What is typed now counts as soon as the screen is there.  ^C quit', columns),
  ].slice(0, rows);
}
