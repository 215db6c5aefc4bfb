import { Text, useApp } from 'ink';
import { type ReactNode, useState, useSyncExternalStore } from 'react';
import type { Desk, ScenarioCard } from '../engine/desk.js';
import { Replay } from '../engine/replay.js';
import { BackupPicker } from './backup-picker.js';
import { Behind } from './behind.js';
import { DryRunView } from './dry-run-view.js';
import { Frame, Lines, useSpace } from './frame.js';
import { HelpView } from './help-view.js';
import { HistoryView } from './history-view.js';
import { useEveryKey } from './keys.js';
import { useOutside } from './outside.js';
import { ReplayScreen } from './replay-screen.js';
import { RunScreen } from './run-screen.js';
import { type Moved, ScenarioPicker } from './scenario-picker.js';
import { wrap } from './text.js';
import { TooSmall, useTooSmall } from './too-small.js';

interface Props {
  desk: Desk;
  /** A scenario that was named on the command line. */
  first?: ScenarioCard;
  /** Leaves for the lessons; absent where one is taken. */
  onTrain?: () => void;
  onQuit?: () => void;
}

/** From the question what happened to the report. */
export function App({ desk, first, onTrain, onQuit }: Props) {
  const { exit } = useApp();
  const snapshot = useSyncExternalStore(desk.subscribe, desk.getSnapshot);
  const [card, setCard] = useState(first);
  const [moved, setMoved] = useState<Moved | undefined>(undefined);
  /** What was chosen is only to be looked at. */
  const [dry, setDry] = useState(false);
  /** The backup set whose plan was looked at last. */
  const [tried, setTried] = useState<string | undefined>(undefined);
  const [help, setHelp] = useState(false);
  const [past, setPast] = useState(false);
  const [replay, setReplay] = useState<Replay | undefined>(undefined);
  /** A run of before was asked for: there is no list behind it. */
  const [direct, setDirect] = useState(false);
  const quit = onQuit ?? (() => exit());
  const leave = useOutside();
  useEveryKey((input, key) => {
    if (key.ctrl && input === 'c' && !snapshot.run && !replay) quit();
    if (key.ctrl && input === 'z') leave('stop');
  });

  const tooSmall = useTooSmall();
  const resume = (id: string) => {
    setDirect(true);
    void desk.resume(id);
  };
  const undo = (id: string) => {
    setDirect(true);
    void desk.undo(id);
  };
  const choose = (chosen: ScenarioCard, toLook: boolean) => {
    setCard(chosen);
    setDry(toLook);
    if (chosen.restores === 'no') void desk.open(chosen.scenario, 'latest', toLook ? 'dry-run' : desk.mode);
  };
  const withHelp = (view: ReactNode) => (
    <>
      <Behind covered={help}>{view}</Behind>
      {help && (
        <Frame
          cluster={snapshot.cluster}
          production={snapshot.production}
          title="help"
          right=""
          keys={['↑↓ scroll', 'any key: back']}
        >
          <HelpView onClose={() => setHelp(false)} />
        </Frame>
      )}
    </>
  );
  if (tooSmall) return <TooSmall atWork={snapshot.run?.getSnapshot().phase === 'running'} />;
  if (snapshot.run) {
    const { run } = snapshot;
    const { purpose, mode, run: id } = run.getSnapshot();
    const back = () => {
      const { begun, backup } = run.getSnapshot();
      desk.close();
      setDirect(false);
      // From a plan it is one step back: to the backup sets, where there was one to be chosen.
      if (begun || direct || card?.restores === 'no') setCard(undefined);
      setTried(backup?.id);
      // The cluster is another one now.
      if (begun) setMoved(undefined);
    };
    if (mode === 'dry-run') return <DryRunView run={run} onBack={back} onQuit={quit} />;
    const next = (scenario: string) => {
      const found = snapshot.scenarios.find((one) => one.scenario === scenario);
      back();
      if (found) choose(found, false);
    };
    return <RunScreen key={purpose} run={run} onBack={back} onUndo={() => undo(id)} onNext={next} onQuit={quit} />;
  }
  if (replay) return <ReplayScreen replay={replay} onLeave={() => setReplay(undefined)} />;
  if (snapshot.opening || ((direct || card?.restores === 'no') && snapshot.problem.length > 0)) {
    const back = () => {
      desk.dismiss();
      setCard(undefined);
      setDirect(false);
    };
    return <Opening desk={desk} onBack={back} />;
  }
  if (past) {
    const back = () => (snapshot.looked ? desk.lookAt() : setPast(false));
    return (
      <HistoryView
        desk={snapshot}
        onLook={(id) => desk.lookAt(id)}
        onReplay={(recorded) => setReplay(new Replay(recorded))}
        onResume={resume}
        onUndo={undo}
        onBack={back}
      />
    );
  }
  if (card && card.restores !== 'no') {
    return withHelp(
      <BackupPicker
        desk={snapshot}
        card={card}
        dry={dry}
        from={tried}
        onHelp={() => setHelp(true)}
        onChoose={(folder) => void desk.open(card.scenario, folder, dry ? 'dry-run' : desk.mode)}
        onBack={() => {
          desk.dismiss();
          setCard(undefined);
        }}
      />,
    );
  }
  return withHelp(
    <ScenarioPicker
      desk={snapshot}
      moved={moved}
      onMoved={setMoved}
      onChoose={(chosen) => choose(chosen, false)}
      onDryRun={(chosen) => choose(chosen, true)}
      onResume={() => snapshot.unfinished && resume(snapshot.unfinished.id)}
      onUndo={() => snapshot.undoable && undo(snapshot.undoable.id)}
      onHistory={() => setPast(true)}
      onHelp={() => setHelp(true)}
      onTrain={onTrain}
      onQuit={quit}
    />,
  );
}

function Opening({ desk, onBack }: { desk: Desk; onBack: () => void }) {
  const { columns } = useSpace();
  const { cluster, production, problem, opening } = desk.getSnapshot();
  useEveryKey((_input, key) => {
    if (key.escape) onBack();
  });
  return (
    <Frame cluster={cluster} production={production} title="opening" right="" keys={['esc back']}>
      {opening && <Text> Reading the runbook and what belongs to it…</Text>}
      <Lines lines={problem.flatMap((line) => wrap(` ✗ ${line}`, columns - 2, 3))} />
    </Frame>
  );
}
