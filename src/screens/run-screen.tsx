import { useInput } from 'ink';
import { useEffect, useState, useSyncExternalStore } from 'react';
import type { Run } from '../engine/run.js';
import type { Intent, RunSnapshot } from '../engine/snapshot.js';
import { clockOf } from '../words.js';
import { AcknowledgeView } from './acknowledge-view.js';
import { AskView } from './ask-view.js';
import { Choice } from './choice.js';
import { ChooseView } from './choose-view.js';
import { ConfirmView } from './confirm-view.js';
import { DecideView } from './decide-view.js';
import { Frame } from './frame.js';
import { HelpView } from './help-view.js';
import { PlanView } from './plan-view.js';
import { ReportView } from './report-view.js';
import { RunView } from './run-view.js';
import { TextField } from './text-field.js';

interface Props {
  run: Run;
  onBack: () => void;
  onQuit: () => void;
}

/** One run from its plan to its report. It reads snapshots and sends intents; what runs, runs elsewhere. */
export function RunScreen({ run, onBack, onQuit }: Props) {
  const snapshot = useSyncExternalStore(run.subscribe, run.getSnapshot);
  const now = useNow(snapshot.phase === 'running');
  const [overlay, setOverlay] = useState<'none' | 'stop' | 'help' | 'note'>('none');
  const [showLog, setShowLog] = useState(false);
  const [looking, setLooking] = useState(false);
  const [chosen, setChosen] = useState<string | undefined>(undefined);
  const intend = (intent: Intent) => run.intend(intent);
  const close = () => setOverlay('none');

  const selected = selectedStep(snapshot, chosen);
  const question = looking ? undefined : snapshot.steps.find((step) => step.id === snapshot.attention[0]);
  const atRun = snapshot.phase === 'running' && overlay === 'none' && !question;

  useInput((input, key) => {
    if (key.ctrl && input === 'c') {
      if (snapshot.phase === 'finished') onQuit();
      else setOverlay('stop');
    }
  });
  useInput(
    (input, key) => {
      const move = (by: number) =>
        setChosen(snapshot.steps[(selected + by + snapshot.steps.length) % snapshot.steps.length]?.id);
      if (key.downArrow || key.tab) move(1);
      else if (key.upArrow) move(-1);
      else if (input === 'l') setShowLog((shown) => !shown);
      else if (input === 'n') setOverlay('note');
      else if (input === '?') setOverlay('help');
      else if (input === 'q') setOverlay('stop');
      else if (input === 'c') setLooking(false);
      else if (key.escape) setShowLog(false);
    },
    { isActive: atRun },
  );

  if (overlay === 'none' && ['preflight', 'planned', 'beginning'].includes(snapshot.phase)) {
    return (
      <PlanView
        run={snapshot}
        onBegin={(takeOver) => intend({ type: 'begin', takeOver })}
        onAccept={(difference) => intend({ type: 'accept', difference })}
        onLook={() => intend({ type: 'look' })}
        onBack={onBack}
        onHelp={() => setOverlay('help')}
      />
    );
  }
  const frame = {
    cluster: snapshot.cluster,
    production: snapshot.production,
    title: `${snapshot.title.toLowerCase()}${snapshot.mode === 'live' ? '' : ` · ${snapshot.mode.toUpperCase()}`}${snapshot.aborting ? ' · STOPPING' : ''}`,
    right: rightOf(snapshot, now),
  };
  if (overlay === 'help') {
    return (
      <Frame {...frame} keys={['any key: back']}>
        <HelpView onClose={close} />
      </Frame>
    );
  }
  if (overlay === 'note') {
    const keep = (text: string) => {
      if (text !== '') intend({ type: 'note', text });
      close();
    };
    return (
      <Frame {...frame} keys={['enter keep it', 'esc back']}>
        <TextField label=" Note for the journal: " onSubmit={keep} onCancel={close} />
      </Frame>
    );
  }
  if (overlay === 'stop') {
    const answer = (what: 'go on' | 'stop') => {
      if (what === 'stop') intend({ type: 'abort' });
      close();
    };
    return (
      <Frame {...frame} keys={['↑↓ choose', 'enter', 'esc keep running']}>
        <Choice
          question="Stop this run?"
          lines={stopLines(snapshot)}
          answers={[
            { label: 'keep running', value: 'go on' as const },
            { label: 'stop: end what runs, start nothing further', value: 'stop' as const },
          ]}
          onAnswer={answer}
        />
      </Frame>
    );
  }
  if (snapshot.phase === 'finished') {
    return (
      <Frame {...frame} keys={['↑↓ scroll', 'q quit']}>
        <ReportView run={snapshot} onQuit={onQuit} />
      </Frame>
    );
  }
  const asks = question?.plan?.asks;
  if (question?.state === 'asking' && asks) {
    const { id: step } = question;
    const onAnswer = (answer: string) => intend({ type: 'answer', step, answer });
    const onLater = () => setLooking(true);
    return (
      <Frame {...frame} keys={['enter answer', 'esc look at the run', '^C stop…']}>
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
      <Frame {...frame} keys={['enter confirm', 'esc look at the run', '^C stop…']}>
        <ConfirmView
          key={question.id}
          run={snapshot}
          step={question}
          onConfirm={(typed) => intend({ type: 'confirm', step: question.id, typed })}
          onLater={() => setLooking(true)}
        />
      </Frame>
    );
  }
  if (question?.state === 'deciding') {
    const { id: step } = question;
    return (
      <Frame {...frame} keys={['r retry', 'u undo', 's skip', 'a abort', 'esc look at the run', '^C stop…']}>
        <DecideView
          run={snapshot}
          step={question}
          onRetry={() => intend({ type: 'retry', step })}
          onUndo={() => intend({ type: 'undo', step })}
          onSkip={() => intend({ type: 'skip', step })}
          onAbort={() => setOverlay('stop')}
          onLater={() => setLooking(true)}
        />
      </Frame>
    );
  }
  const asked = snapshot.attention.length > 0 ? [`c answer (${snapshot.attention.length})`] : [];
  return (
    <Frame {...frame} keys={[...asked, '↑↓ step', 'l log', 'n note', '^C stop…', '? help']}>
      <RunView run={snapshot} selected={selected} showLog={showLog} now={now} />
    </Frame>
  );
}

/** The step that a person chose, else the first that runs, else the last that ended. */
function selectedStep({ steps }: RunSnapshot, chosen: string | undefined): number {
  const at = steps.findIndex((step) => step.id === chosen);
  if (at !== -1) return at;
  const busy = steps.findIndex((step) => step.state === 'running' || step.state === 'verifying');
  if (busy !== -1) return busy;
  const waiting = steps.findIndex((step) => step.state === 'waiting');
  return waiting === -1 ? steps.length - 1 : Math.max(0, waiting - 1);
}

function rightOf(snapshot: RunSnapshot, now: number): string {
  const elapsed = (snapshot.finishedAt ?? now) - snapshot.startedAt;
  return snapshot.phase === 'finished'
    ? `RTO ${clockOf(elapsed)}`
    : `RTO ${clockOf(elapsed)} of ~${clockOf(snapshot.estimateMs)}`;
}

function stopLines({ steps }: RunSnapshot): string[] {
  const busy = steps.filter((step) => ['running', 'verifying', 'undoing'].includes(step.state));
  if (busy.length === 0) return ['Nothing runs just now. What is done stays done.'];
  return [
    'These run now; ended half-way they leave:',
    ...busy.map((step) => `  ${step.id}: ${step.plan?.onAbort ?? 'unknown'}`),
  ];
}

/** The time, once a second while something runs. */
function useNow(ticking: boolean): number {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    if (!ticking) return;
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, [ticking]);
  return now;
}
