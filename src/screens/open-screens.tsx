import { render, useApp } from 'ink';
import type { ReactNode } from 'react';
import type { Desk, ScenarioCard } from '../engine/desk.js';
import type { Interview } from '../engine/profile-questions/interview.js';
import type { Replay } from '../engine/replay.js';
import type { School } from '../engine/training/school.js';
import type { Lesson } from '../runbook/lesson.js';
import { App } from './app.js';
import { erased, giveWayToScreens } from './first-picture.js';
import { Guarded } from './guarded.js';
import { keyByKey } from './key-by-key.js';
import { TrainApp } from './lessons/train-app.js';
import { LinearOutput } from './linear-output.js';
import { hasOneScreenOnly } from './one-screen.js';
import { type Outside, OutsideContext } from './outside.js';
import { ProfileApp } from './profile/profile-app.js';
import { ReplayAlone } from './replay-screen.js';

/** What stands on the screen moves up to where a person can scroll back to it. */
const scrollUp = () => void process.stdout.write('\n'.repeat(rows()));

const rows = () => process.stdout.rows || 24;

const ALTERNATE_SCREEN = '\u001b[?1049h';

const erase = () => void process.stdout.write(erased());

/**
 * Shows the app until it is left: on the alternate screen, the ordinary one being as it was afterwards; or, with `linear`, as
 * lines on the ordinary screen. Rejects with the error that ended the screens.
 */
export async function openScreens(
  desk: Desk,
  scenario: string | undefined,
  outside: Outside,
  linear: boolean,
): Promise<'left' | 'train'> {
  const first = desk.getSnapshot().scenarios.find((card) => card.scenario === scenario);
  const left = show(<Outage desk={desk} {...(first ? { first } : {})} />, outside, linear);
  desk.look();
  void desk.diagnose();
  // One that restores nothing has no backup set to be chosen first.
  if (first?.restores === 'no') void desk.open(first.scenario, 'latest');
  return (await left.finally(() => desk.leave())) === TRAIN ? 'train' : 'left';
}

const TRAIN = 'train';

/** The app by itself: lessons are somewhere else. */
function Outage({ desk, first }: { desk: Desk; first?: ScenarioCard }) {
  const { exit } = useApp();
  return (
    <App
      desk={desk}
      {...(first ? { first } : {})}
      {...(desk.mode === 'live' ? { onTrain: () => exit(TRAIN) } : {})}
    />
  );
}

/** Shows the lessons, or one of them, until they are left. */
export async function openLessons(
  school: School,
  first: Lesson | undefined,
  outside: Outside,
  linear: boolean,
): Promise<void> {
  await show(<TrainApp school={school} {...(first ? { first } : {})} />, outside, linear);
}

/** Asks for a profile until it is written or left. */
export async function openInterview(interview: Interview, outside: Outside, linear: boolean): Promise<void> {
  await show(<ProfileApp interview={interview} />, outside, linear);
}

/** The same for a recorded run that is replayed. */
export async function openReplay(replay: Replay, outside: Outside, linear: boolean): Promise<void> {
  await show(<ReplayAlone replay={replay} />, outside, linear).finally(() => replay.close());
}

/** Answers what the screens were left with. */
async function show(screens: ReactNode, outside: Outside, linear: boolean): Promise<unknown> {
  const lines = linear ? new LinearOutput(process.stdout) : undefined;
  const isOnlyScreen = !lines && hasOneScreenOnly();
  if (isOnlyScreen) scrollUp();
  let isAway = false;
  const around = {
    before: () => {
      isAway = true;
      if (isOnlyScreen) erase();
    },
    after: () => {
      isAway = false;
      if (isOnlyScreen) scrollUp();
      lines?.forget();
    },
  };
  // Ink would do it after its first frame: until then keys are echoed over it, and enter is another key.
  if (process.stdin.isTTY) process.stdin.setRawMode(true);
  giveWayToScreens();
  const app = render(
    <OutsideContext value={within(outside, around)}>
      <Guarded>{screens}</Guarded>
    </OutsideContext>,
    {
      stdin: keyByKey(process.stdin),
      ...(lines
        ? // What Ink calls debugging is to write whole frames, one after the other.
          { stdout: lines as unknown as NodeJS.WriteStream, isScreenReaderEnabled: true, debug: true }
        : // A key is to be seen at once; without one there is little to draw: snapshots come ten times a second at most.
          { isScreenReaderEnabled: false, alternateScreen: true, incrementalRendering: true, maxFps: 60 }),
      exitOnCtrlC: false,
      // Ink takes CI=true for "no terminal"; whoever opens this has made sure that there is one.
      interactive: true,
    },
  );
  // Ink leaves the alternate screen when it ends, and the cursor goes to where it stood when that was entered: on the ordinary screen what
  // was said last would be drawn over.
  const stay = () => void (isAway && !lines && process.stdout.write(ALTERNATE_SCREEN));
  const leave = (signal: NodeJS.Signals) => {
    // Ctrl-C then means whoever has the terminal.
    if (isAway && signal === 'SIGINT') return;
    stay();
    app.unmount();
  };
  const signals = ['SIGTERM', 'SIGHUP', 'SIGINT'] as const;
  for (const signal of signals) process.on(signal, leave);
  process.on('exit', stay);
  // A terminal moves and wraps what it shows when it is resized, so what was drawn is no longer where Ink believes it to be:
  // before Ink draws for the new size, the screen is emptied and Ink forgets the old frame.
  const wipe = () => {
    app.clear();
    erase();
  };
  if (!lines) process.stdout.prependListener('resize', wipe);
  try {
    return await app.waitUntilExit();
  } finally {
    for (const signal of signals) process.off(signal, leave);
    process.off('exit', stay);
    process.stdout.off('resize', wipe);
    lines?.end();
    if (isOnlyScreen) erase();
  }
}

/** Does something before the terminal is another's, and something once it is the screens' again. */
function within({ shell, stop, read, kill }: Outside, { before, after }: Record<'before' | 'after', () => void>) {
  const around = async (work: () => Promise<void>) => {
    before();
    await work().finally(after);
  };
  return {
    shell: () => around(shell),
    stop: () => around(stop),
    read: (text: readonly string[]) => around(() => read(text)),
    kill: () => around(kill),
  };
}
