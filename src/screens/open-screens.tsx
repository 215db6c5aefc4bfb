import { render } from 'ink';
import type { Desk } from '../engine/desk.js';
import { App } from './app.js';
import { type Outside, OutsideContext } from './outside.js';

const ERASE_SCREEN = '\u001b[2J\u001b[H';

/** Shows the app on the alternate screen until it is left; the ordinary screen is then as it was. */
export async function openScreens(desk: Desk, scenario: string | undefined, outside: Outside): Promise<void> {
  const first = desk.getSnapshot().scenarios.find((card) => card.scenario === scenario);
  const app = render(
    <OutsideContext value={outside}>
      <App desk={desk} {...(first ? { first } : {})} />
    </OutsideContext>,
    {
      alternateScreen: true,
      incrementalRendering: true,
      exitOnCtrlC: false,
      // Ink takes CI=true for "no terminal"; whoever opens this has made sure that there is one.
      interactive: true,
      // A key is to be seen at once; without one there is little to draw: snapshots come ten times a second at most.
      maxFps: 60,
    },
  );
  const leave = () => app.unmount();
  const signals = ['SIGTERM', 'SIGHUP', 'SIGINT'] as const;
  for (const signal of signals) process.once(signal, leave);
  // A terminal moves and wraps what it shows when it is resized, so what was drawn is no longer where Ink believes it to be:
  // before Ink draws for the new size, the screen is emptied and Ink forgets the old frame.
  const wipe = () => {
    app.clear();
    process.stdout.write(ERASE_SCREEN);
  };
  process.stdout.prependListener('resize', wipe);
  desk.look();
  void desk.diagnose();
  // One that restores nothing has no backup set to be chosen first.
  if (first?.restores === 'no') void desk.open(first.scenario, 'latest');
  try {
    await app.waitUntilExit();
  } finally {
    for (const signal of signals) process.off(signal, leave);
    process.stdout.off('resize', wipe);
    desk.stopLooking();
  }
}
