import { Text } from 'ink';
import { useMemo, useState, useSyncExternalStore } from 'react';
import { bringsBack, rtoClock } from '../engine/rto-clock.js';
import { AT_WORK, type Intent, type RunSnapshot, type ShownRun, type StepSnapshot } from '../engine/snapshot.js';
import { BUSY } from '../engine/turn.js';
import { clockOf, durationOf } from '../words.js';
import { AcknowledgeView } from './acknowledge-view.js';
import { AskView } from './ask-view.js';
import { Behind } from './behind.js';
import { Choice } from './choice.js';
import { ChooseView } from './choose-view.js';
import { ConfirmView } from './confirm-view.js';
import { DecideView } from './decide-view.js';
import { Frame } from './frame.js';
import { HelpView } from './help-view.js';
import { useEveryKey, useKeys } from './keys.js';
import { useLesson } from './lessons/lesson.js';
import { PredictView, Revealed } from './lessons/predict-view.js';
import { useLinear } from './linear.js';
import { LogView } from './log-view.js';
import { useNow } from './now.js';
import { useOutside } from './outside.js';
import { paced } from './paced.js';
import { PlanView } from './plan-view.js';
import { type ReplayKeys, useReplay, useReplayKeys } from './replaying.js';
import { ReportView } from './report-view.js';
import { marksOf } from './run-marks.js';
import { RunView } from './run-view.js';
import { shortWords } from './step-lines.js';
import { TextField } from './text-field.js';
import { UndoView } from './undo-view.js';

interface Props {
  run: ShownRun;
  onBack: () => void;
  /** Shows what can be put back of this run, which is over. */
  onUndo: () => void;
  /** Puts this run away and opens another runbook; absent where there is none to be opened. */
  onNext?: (scenario: string) => void;
  onQuit: () => void;
}

/** How often progress is read aloud. */
const TOLD_EVERY_MS = 10_000;

/** One run from its plan to its report, over which its help may lie. */
export function RunScreen(props: Props) {
  const { cluster, production } = props.run.getSnapshot();
  const [help, setHelp] = useState(false);
  return (
    <>
      <Behind covered={help}>
        <RunViews {...props} onHelp={() => setHelp(true)} />
      </Behind>
      {help && (
        <Frame cluster={cluster} production={production} title="help" right="" keys={['↑↓ scroll', 'any key: back']}>
          <HelpView onClose={() => setHelp(false)} />
        </Frame>
      )}
    </>
  );
}

/** It reads snapshots and sends intents; what runs, runs elsewhere. */
function RunViews({ run, onBack, onUndo, onNext, onQuit, onHelp }: Props & { onHelp: () => void }) {
  const leave = useOutside();
  const linear = useLinear();
  const subscribe = useMemo(() => (linear ? paced(run, TOLD_EVERY_MS) : run.subscribe), [run, linear]);
  const snapshot = useSyncExternalStore(subscribe, run.getSnapshot);
  const replay = useReplay();
  const ticking = useNow(snapshot.phase === 'running' && !linear && !replay);
  const now = replay?.status.at ?? ticking;
  const [overlay, setOverlay] = useState<'none' | 'stop' | 'note' | 'undo' | 'log'>('none');
  const [looking, setLooking] = useState(false);
  const [chosen, setChosen] = useState<string | undefined>(undefined);
  /** Whose question is shown, or was: it stays, whatever else is asked meanwhile. */
  const [preferred, setPreferred] = useState<string | undefined>(undefined);
  const lesson = useLesson();
  /** The prediction whose answer is told just now. */
  const [revealing, setRevealing] = useState<string | undefined>(undefined);
  const intend = (intent: Intent) => run.intend(intent);
  const later = () => setLooking(true);
  const close = () => setOverlay('none');

  const selected = selectedStep(snapshot, chosen);
  const { attention } = snapshot;
  const asked = attention.find((id) => id === preferred) ?? attention[0];
  const question = looking ? undefined : snapshot.steps.find((step) => step.id === asked);
  if (question && question.id !== preferred) setPreferred(question.id);
  const atRun = snapshot.phase === 'running' && overlay === 'none' && !question;
  const replayed = overlay !== 'none' ? 'none' : replayKeysAt(snapshot, question);
  useReplayKeys(replayed);

  useEveryKey((input, key) => {
    if (key.ctrl && input === 'c') {
      if (snapshot.phase === 'finished' || replay) onQuit();
      else if (snapshot.purpose === 'undo' && !snapshot.undoing) onBack();
      else setOverlay('stop');
    }
  });
  useKeys(
    (input, key) => {
      const { steps } = snapshot;
      // Keys can come faster than renders.
      const move = (by: number) =>
        setChosen((from) => steps[(selectedStep(snapshot, from) + by + steps.length) % steps.length]?.id);
      if (key.downArrow || key.tab) move(1);
      else if (key.upArrow) move(-1);
      else if (key.escape) setChosen(undefined);
      else if (input === 'l') setOverlay('log');
      else if (input === '?') onHelp();
      else if (input === '!') leave('shell');
      else if (input === 'c') {
        setPreferred(attention.find((id) => id === snapshot.steps[selected]?.id) ?? attention[0]);
        setLooking(false);
      } else if (replay) return;
      else if (input === 'n') setOverlay('note');
      else if (input === 'q') setOverlay('stop');
    },
    { isActive: atRun },
  );

  const predictionOf = (step: StepSnapshot) =>
    step.state === 'asking' ? lesson?.predictionAt(snapshot.scenario, step) : undefined;
  /** A prediction is shown in the place of the question, or what came of it. */
  const isPredicted = (step: StepSnapshot) => {
    const asked = predictionOf(step);
    return asked !== undefined && (asked.given === null || revealing === asked.id);
  };
  // Where text is typed it is a character.
  const typed = question?.state === 'asking' && question.plan?.asks?.type !== 'choose' && !isPredicted(question);
  useKeys((input) => input === '?' && onHelp(), {
    isActive: overlay === 'none' && (snapshot.phase === 'finished' || (question !== undefined && !typed)),
  });

  const frame = {
    cluster: snapshot.cluster,
    production: snapshot.production,
    title: snapshot.title.toLowerCase(),
    marks: marksOf(snapshot),
    right: rightOf(snapshot, now),
    replayed,
  } as const;
  const stop = replay ? '^C leave' : '^C stop…';
  const askingFrame = { ...frame, asked: question ? askedWords(snapshot, question.id, linear) : '' };
  const isBefore = overlay === 'none' && ['preflight', 'planned', 'beginning'].includes(snapshot.phase);
  const [guard] = snapshot.guards;
  const isUndo = isBefore && snapshot.purpose === 'undo';
  if (overlay === 'undo' || isUndo) {
    const undo = (steps: string[], typed: string) => {
      intend({ type: 'undo', steps, typed });
      close();
    };
    return (
      <UndoView
        frame={frame}
        run={snapshot}
        {...(question ? { first: question.id } : {})}
        obstacle={(steps) => obstacleTo(steps, snapshot)}
        onUndo={undo}
        onAccept={() => guard && intend({ type: 'accept', difference: guard.difference })}
        onBack={isUndo ? onBack : close}
      />
    );
  }
  if (isBefore) {
    return (
      <PlanView
        run={snapshot}
        onBegin={(takeOver) => intend({ type: 'begin', takeOver })}
        onAccept={(difference) => intend({ type: 'accept', difference })}
        onLook={() => intend({ type: 'look' })}
        onBack={onBack}
        onQuit={onQuit}
        onHelp={onHelp}
      />
    );
  }
  if (overlay === 'log') {
    return <LogView frame={frame} run={snapshot} step={snapshot.steps[selected]!.id} onBack={close} />;
  }
  if (overlay === 'note') {
    const keep = (text: string) => {
      if (text !== '') intend({ type: 'note', text });
      close();
    };
    const over = snapshot.phase === 'finished';
    return (
      <Frame {...frame} keys={over ? ['esc back'] : ['enter keep it', 'esc back']}>
        {over && <Text bold> The run has ended meanwhile: its journal is closed, and takes no note any more.</Text>}
        <TextField label=" Note for the journal: " onSubmit={over ? close : keep} onCancel={close} />
      </Frame>
    );
  }
  // What has ended meanwhile cannot be stopped: its report is shown.
  if (overlay === 'stop' && snapshot.phase !== 'finished') {
    const answer = (what: 'go on' | 'stop' | 'kill') => {
      if (what === 'kill') return leave('kill');
      if (what === 'stop') intend({ type: 'abort' });
      close();
    };
    const isPlan = ['preflight', 'planned'].includes(snapshot.phase);
    return (
      <Frame {...frame} keys={['↑↓ choose', 'enter', isPlan ? 'esc stay' : 'esc keep running']}>
        <Choice
          question={isPlan ? 'Leave this plan?' : 'Stop this run?'}
          lines={stopLines(snapshot)}
          answers={
            isPlan
              ? [
                  { label: 'stay', value: 'go on' as const },
                  { label: 'leave: nothing is begun', value: 'stop' as const },
                ]
              : [
                  { label: 'keep running', value: 'go on' as const },
                  { label: 'stop: end what runs, start nothing further', value: 'stop' as const },
                  { label: 'kill: end this program and all that it started, now', value: 'kill' as const },
                ]
          }
          onAnswer={answer}
        />
      </Frame>
    );
  }
  const canUndo = snapshot.steps.some((step) => step.canUndo) && snapshot.mode !== 'dry-run' && snapshot.lost === '';
  if (snapshot.phase === 'finished') {
    const [next] = onNext && !replay ? snapshot.next : [];
    return (
      <Frame
        {...frame}
        keys={[
          ...(next ? [`enter ${next.scenario}`] : []),
          '↑↓ scroll',
          ...(canUndo && !replay ? ['u undo…'] : []),
          'l log',
          ...(replay ? [] : ['esc runbooks']),
          '? help',
          lesson ? 'q done…' : 'q quit',
        ]}
      >
        <ReportView
          run={snapshot}
          {...(next ? { onNext: () => onNext!(next.scenario) } : {})}
          onBack={onBack}
          onQuit={onQuit}
          onUndo={() => canUndo && !replay && onUndo()}
          onLog={() => setOverlay('log')}
        />
      </Frame>
    );
  }
  const predicted = question && predictionOf(question);
  if (predicted && question && isPredicted(question)) {
    const { id, ask, given } = predicted;
    const predict = (option: string) => {
      setRevealing(id);
      lesson!.predictAt(snapshot.scenario, question, option);
    };
    return (
      <Frame
        {...askingFrame}
        keys={[...(given === null ? ['↑↓ choose', 'enter predict'] : ['enter go on']), '^T hint', '? help', stop]}
      >
        {given === null ? (
          <PredictView ask={ask} options={predicted.options} onAnswer={predict} onBack={later} />
        ) : (
          <Revealed {...predicted} given={given} onGoOn={() => setRevealing(undefined)} />
        )}
      </Frame>
    );
  }
  const asks = question?.plan?.asks;
  if (question?.state === 'asking' && asks) {
    const { id: step } = question;
    const onAnswer = (answer: string) => intend({ type: 'answer', step, answer });
    const onLater = later;
    return (
      <Frame
        {...askingFrame}
        keys={['enter answer', 'esc look at the run', ...(asks.type === 'choose' ? ['? help'] : []), stop]}
      >
        {asks.type === 'choose' ? (
          <ChooseView key={step} run={snapshot} step={question} asks={asks} onAnswer={onAnswer} onLater={onLater} />
        ) : asks.type === 'text' ? (
          <AskView key={step} step={question} asks={asks} onAnswer={onAnswer} onLater={onLater} />
        ) : (
          <AcknowledgeView key={step} step={question} asks={asks} onAnswer={onAnswer} onLater={onLater} />
        )}
      </Frame>
    );
  }
  if (question?.state === 'asking') {
    return (
      <Frame {...askingFrame} keys={['enter confirm', 'esc look at the run', stop]}>
        <ConfirmView
          key={question.id}
          run={snapshot}
          step={question}
          onConfirm={(typed) => intend({ type: 'confirm', step: question.id, typed })}
          onLater={later}
        />
      </Frame>
    );
  }
  if (question?.state === 'deciding') {
    const { id: step } = question;
    return (
      <Frame
        {...askingFrame}
        keys={[
          'r retry',
          ...(canUndo ? ['u undo…'] : []),
          's skip',
          'a abort',
          '! shell',
          'esc look at the run',
          '? help',
          stop,
        ]}
      >
        <DecideView
          run={snapshot}
          step={question}
          onRetry={() => intend({ type: 'retry', step })}
          onUndo={() => {
            if (replay) return intend({ type: 'undo', steps: [step], typed: '' });
            intend({ type: 'plan-undo' });
            setOverlay('undo');
          }}
          onSkip={() => intend({ type: 'skip', step })}
          onAbort={() => (replay ? intend({ type: 'abort' }) : setOverlay('stop'))}
          onLater={later}
        />
      </Frame>
    );
  }
  const answer = attention.length > 0 ? [`c answer (${attention.length})`] : [];
  const back = chosen === undefined ? [] : ['esc all that runs'];
  return (
    <Frame
      {...frame}
      keys={[...answer, '↑↓ step', 'l log', ...(replay ? [] : ['n note', '! shell', stop]), '? help', ...back]}
    >
      <RunView run={snapshot} selected={selected} isChosen={chosen !== undefined} now={now} />
    </Frame>
  );
}

function replayKeysAt({ phase }: RunSnapshot, question: StepSnapshot | undefined): ReplayKeys {
  if (question?.state === 'asking') return 'moves';
  return question !== undefined || phase === 'planned' ? 'asked' : 'all';
}

/** Which question this is, of how many, and who asks it: `question 1 of 3: restore-postgres · meanwhile restore-qdrant 36 %`. */
function askedWords({ attention, answered, steps }: RunSnapshot, asks: string, linear: boolean): string {
  const many = answered + attention.length;
  const busy = steps.filter(({ state }) => AT_WORK.has(state));
  return [
    `${many > 1 ? `question ${answered + attention.indexOf(asks) + 1} of ${many}: ` : 'asked by '}${asks}`,
    // Read aloud, how far it is would be a new line all the time.
    ...(busy.length > 0 ? [`meanwhile ${busy.map((step) => (linear ? step.id : shortWords(step))).join(', ')}`] : []),
  ].join(' · ');
}

/** The step that a person chose, else the first that runs, else the first that waits for a person, else the last that ended. */
function selectedStep({ steps, attention }: RunSnapshot, chosen: string | undefined): number {
  const at = steps.findIndex((step) => step.id === chosen);
  if (at !== -1) return at;
  const busy = steps.findIndex(({ state }) => AT_WORK.has(state));
  if (busy !== -1) return busy;
  const asking = steps.findIndex((step) => step.id === attention[0]);
  if (asking !== -1) return asking;
  const waiting = steps.findIndex((step) => step.state === 'waiting');
  return waiting === -1 ? steps.length - 1 : Math.max(0, waiting - 1);
}

/** How long it takes: nothing before it has begun. */
function rightOf(snapshot: RunSnapshot, now: number): string {
  if (snapshot.undoing) return `undo ${clockOf((snapshot.finishedAt ?? now) - snapshot.undoing.since)}`;
  if (snapshot.purpose === 'undo') return '';
  const { phase, begun, steps } = snapshot;
  const isOver = phase === 'finished';
  if (isOver ? !begun && steps.every((step) => step.startedAt === undefined) : phase !== 'running') return '';
  const clock = bringsBack(snapshot) ? 'RTO' : 'time';
  const { elapsed, expected, guessed, late } = rtoClock(snapshot, now);
  if (isOver) return `${clock} ${durationOf(elapsed)}`;
  if (expected === undefined) return `${clock} ${clockOf(elapsed)}`;
  const isLate = late >= 1_000 ? ` · ${clockOf(late)} LATE` : '';
  return `${clock} ${clockOf(elapsed)} of ${guessed ? 'guessed ' : '~'}${clockOf(expected)}${isLate}`;
}

/** Why these steps may not be undone now; empty when they may. */
function obstacleTo(
  chosen: readonly StepSnapshot[],
  { phase, purpose, guards, steps, cluster }: RunSnapshot,
): string {
  if (phase === 'beginning') return 'ending what an earlier process may have left at work…';
  if (phase === 'preflight' || chosen.some((step) => !step.undoPlan))
    return 'looking at what can be put back; nothing is touched…';
  if (purpose === 'undo') return guards[0]?.said ?? '';
  if (chosen.length === 1 && chosen[0]!.state === 'deciding') return '';
  const busy = steps.filter(({ state }) => BUSY.has(state)).map((step) => step.id);
  return busy.length === 0
    ? ''
    : `${busy.join(', ')} still runs on ${cluster}: wait for it, or stop the run with ctrl-c, then undo`;
}

function stopLines({ steps, begun }: RunSnapshot): string[] {
  if (!begun) return ['Nothing was begun yet, and nothing was changed.'];
  const busy = steps.filter(({ state }) => AT_WORK.has(state));
  if (busy.length === 0) return ['Nothing runs just now. What is done stays done.'];
  return [
    'These run now; ended half-way they leave:',
    ...busy.map((step) =>
      step.state === 'undoing'
        ? `  ${step.id}: it is put back to its end, and nothing after it`
        : `  ${step.id}: ${step.plan?.onAbort ?? 'unknown'}`,
    ),
  ];
}
