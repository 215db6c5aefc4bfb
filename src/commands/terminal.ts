import { enterPressed, stopJob } from '../hosts/shell.js';
import { print, say } from './print.js';

/** Whether a person sits at a terminal, before which screens can be shown. */
export const isAtTerminal = (): boolean => process.stdout.isTTY === true && process.stdin.isTTY === true;

/** A terminal of which nothing is known, or that is known to do nothing but show lines. */
const isDumb = () => ['', 'dumb', undefined].includes(process.env.TERM);

/** Whether the screens are told line by line: asked for, or the terminal can do nothing else. */
export function isLinear(): boolean {
  const asked = [process.env.NOVAMEM_RUNBOOK_SCREEN_READER, process.env.INK_SCREEN_READER];
  return isDumb() || asked.some((value) => value === '1' || value === 'true');
}

/** Loads the screens, for this terminal as it is. */
export async function loadScreens() {
  if (isDumb())
    say(
      'This terminal can show plain lines only (TERM says so): the screens are told line by line, as with --screen-reader.',
    );
  // Ink's colours know FORCE_COLOR only, and read it when they are loaded.
  if (process.env.NO_COLOR) process.env.FORCE_COLOR = '0';
  // React's development build checks a lot at every frame.
  process.env.NODE_ENV ??= 'production';
  return import('../screens/open-screens.js');
}

/** Stops this program as ctrl-z does; resolves once it is continued. `meanwhile`: a sentence on what that means. */
export async function stopHere(meanwhile = ''): Promise<void> {
  print(`novamem-runbook is stopped.${meanwhile} fg goes on with it.`);
  await stopJob();
}

/** Text as it is, until enter is pressed. */
export async function readAlone(lines: readonly string[]): Promise<void> {
  print(...lines, '', 'enter comes back to novamem-runbook.');
  await enterPressed();
}
