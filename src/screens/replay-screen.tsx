import { useApp } from 'ink';
import { useEffect, useState } from 'react';
import type { Replay } from '../engine/replay.js';
import { logTimeOf } from '../words.js';
import { Frame, useSpace } from './frame.js';
import { useEveryKey, useKeys } from './keys.js';
import { useOutside } from './outside.js';
import { ReplayContext } from './replaying.js';
import { RunScreen } from './run-screen.js';
import { Select } from './select.js';
import { cut } from './text.js';
import { TooSmall, useTooSmall } from './too-small.js';

/** A replay that was asked for on the command line: nothing is behind it. */
export function ReplayAlone({ replay }: { replay: Replay }) {
  const { exit } = useApp();
  const leave = useOutside();
  useEveryKey((input, key) => {
    if (key.ctrl && input === 'c') exit();
    if (key.ctrl && input === 'z') leave('stop');
  });
  if (useTooSmall()) return <TooSmall atWork={false} />;
  return <ReplayScreen replay={replay} onLeave={() => exit()} />;
}

/** A recorded run on the screens of a run, marked as a replay at all times. It goes on while it is shown, and is closed when it is left. */
export function ReplayScreen({ replay, onLeave }: { replay: Replay; onLeave: () => void }) {
  const [jumping, setJumping] = useState(false);
  // A window that is too small takes the screen away for a while only.
  useEffect(() => replay.start(), [replay]);
  const quit = () => {
    replay.close();
    onLeave();
  };
  useEveryKey((input, key) => {
    if (key.ctrl && input === 'c' && jumping) quit();
  });
  const jump = (id: string) => {
    setJumping(false);
    replay.jump(id);
  };
  return (
    <ReplayContext value={{ replay, onJump: () => setJumping(true), onLeave: quit }}>
      {jumping ? (
        <Stations replay={replay} onChoose={jump} onBack={() => setJumping(false)} />
      ) : (
        <RunScreen run={replay} onBack={quit} onUndo={() => replay.refuse()} onQuit={quit} />
      )}
    </ReplayContext>
  );
}

/** The steps, to go to one of them. */
function Stations({
  replay,
  onChoose,
  onBack,
}: {
  replay: Replay;
  onChoose: (step: string) => void;
  onBack: () => void;
}) {
  const { columns, bodyRows } = useSpace();
  const { cluster, production, title } = replay.getSnapshot();
  useKeys((_input, key) => {
    if (key.escape) onBack();
  });
  const items = replay.stations().map(({ id, at }) => ({
    key: id,
    label: cut(`${at === undefined ? '--:--:--' : logTimeOf(new Date(at)).slice(0, 8)}  ${id}`, columns - 4),
    value: id,
  }));
  return (
    <Frame
      cluster={cluster}
      production={production}
      title={`${title.toLowerCase()} · to which step?`}
      right=""
      keys={['↑↓ choose', 'enter go there', 'esc back']}
      replayed="none"
    >
      <Select items={items} limit={Math.max(2, bodyRows - 1)} onSelect={({ value }) => onChoose(value)} />
    </Frame>
  );
}
