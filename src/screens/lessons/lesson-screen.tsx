import { Text, useApp } from 'ink';
import { useState } from 'react';
import type { Training, TrainingSnapshot } from '../../engine/training/training.js';
import { debriefLines } from '../../reports/debrief.js';
import { clockOf } from '../../words.js';
import { App } from '../app.js';
import { Behind } from '../behind.js';
import { Choice } from '../choice.js';
import { Frame, Lines, useSpace } from '../frame.js';
import { HelpView } from '../help-view.js';
import { useEveryKey, useKeys } from '../keys.js';
import { useNow } from '../now.js';
import { Scrolled } from '../scrolled.js';
import { wrap } from '../text.js';
import { HintView } from './hint-view.js';
import { lessonClock, useTraining } from './lesson.js';
import { PageView } from './page-view.js';
import { PredictView } from './predict-view.js';

interface Props {
  training: Training;
  onLeave: () => void;
}

/** One lesson: told what it is, paged, asked, at work with the same screens as in an outage, debriefed. */
export function LessonScreen({ training, onLeave }: Props) {
  const snapshot = useTraining(training);
  const { lesson, phase, record } = snapshot;
  const [overlay, setOverlay] = useState<'none' | 'hint' | 'leave' | 'done'>('none');
  const [help, setHelp] = useState(false);
  const close = () => setOverlay('none');
  const now = useNow(phase !== 'over' && phase !== 'recovering');
  const inLesson = phase === 'paged' || phase === 'recovering';
  /** The tools take their keys themselves, ctrl-c too: something may be running. */
  const atTools = phase === 'recovering' && overlay === 'none';
  useEveryKey(
    (input, key) => {
      if (key.ctrl && input === 't' && inLesson) setOverlay('hint');
      if (key.ctrl && input === 'c' && !atTools)
        phase === 'briefing' || phase === 'failed' || phase === 'over' ? onLeave() : setOverlay('leave');
    },
    { isActive: !help },
  );
  useKeys((input) => input === '?' && setHelp(true), { isActive: !help && !atTools });
  const frame = {
    cluster: record?.cluster ?? 'a throw-away cluster',
    production: false,
    title: lesson.title,
    right: lessonClock(training, now),
  };
  return (
    <>
      <Behind covered={help}>
        <Behind covered={overlay !== 'none'}>
          <PhaseView training={training} frame={frame} onOverlay={setOverlay} onLeave={onLeave} />
        </Behind>
        {overlay === 'leave' && (
          <Frame {...frame} keys={['↑↓ choose', 'enter', '? help', 'esc stay']}>
            <Choice
              question="Leave this lesson?"
              lines={['The throw-away cluster is taken down, and the lesson does not count.']}
              answers={[
                { label: 'stay', value: false },
                { label: 'leave it', value: true },
              ]}
              onAnswer={(leaves) => (leaves ? onLeave() : close())}
            />
          </Frame>
        )}
        {overlay === 'hint' && (
          <Frame {...frame} keys={['enter', '? help', 'esc back']}>
            <HintView snapshot={snapshot} onTake={() => training.hint()} onBack={close} />
          </Frame>
        )}
        {overlay === 'done' && (
          <Done
            frame={frame}
            problem={snapshot.problem}
            onFinish={(how) => {
              close();
              void training.finish(how);
            }}
            onGoOn={close}
            onLeave={onLeave}
          />
        )}
      </Behind>
      {help && (
        <Frame {...frame} keys={['↑↓ scroll', 'any key: back']}>
          <HelpView of="lesson" onClose={() => setHelp(false)} />
        </Frame>
      )}
    </>
  );
}

/** What is seen of a lesson in its phase, whatever lies over it. */
function PhaseView({
  training,
  frame,
  onOverlay,
  onLeave,
}: Props & { frame: LessonFrame; onOverlay: (overlay: 'leave' | 'done') => void }) {
  const snapshot = useTraining(training);
  const { lesson, phase, asked, record } = snapshot;
  const [predicting, setPredicting] = useState(false);
  const [begunAt] = useState(Date.now());
  const now = useNow(phase === 'preparing');
  const leaveKeys = ['? help', '^C leave'];
  switch (phase) {
    case 'briefing':
      return <Briefing snapshot={snapshot} onStart={() => void training.start()} onLeave={onLeave} />;
    case 'preparing':
      return (
        <Frame {...frame} title={`${frame.title} · being prepared`} right={clockOf(now - begunAt)} keys={leaveKeys}>
          <Preparing lines={snapshot.lines} />
        </Frame>
      );
    case 'failed':
      return <Failed snapshot={snapshot} onLeave={onLeave} />;
    case 'paged':
      if (predicting && asked) {
        const of = lesson.predict.length;
        const number = lesson.predict.findIndex((one) => one.id === asked.id) + 1;
        return (
          <Frame
            {...frame}
            asked={`prediction ${number} of ${of}`}
            keys={['↑↓ choose', 'enter answer', '^T hint', '? help', 'esc look again']}
          >
            <PredictView
              key={asked.id}
              ask={asked.ask}
              options={asked.options}
              onAnswer={(given) => training.predict(asked.id, given)}
              onBack={() => setPredicting(false)}
            />
          </Frame>
        );
      }
      return (
        <PageView
          training={training}
          frame={frame}
          onPredict={() => setPredicting(true)}
          onLeave={() => onOverlay('leave')}
        />
      );
    case 'recovering':
      return <App desk={training.desk!} onQuit={() => onOverlay('done')} />;
    case 'proving':
      return (
        <Frame {...frame} title={`${frame.title} · counting`} keys={leaveKeys}>
          <Text>
            {' '}
            Every memory, vector, node and relationship is counted and compared with what was there before…
          </Text>
        </Frame>
      );
    case 'over':
      return <Debrief lines={debriefLines(record!)} frame={frame} onLeave={onLeave} />;
  }
}

interface LessonFrame {
  cluster: string;
  production: boolean;
  title: string;
  right: string;
}

function Done({
  frame,
  problem,
  onFinish,
  onGoOn,
  onLeave,
}: {
  frame: LessonFrame;
  problem: string[];
  onFinish: (how: 'recovered' | 'given up') => void;
  onGoOn: () => void;
  onLeave: () => void;
}) {
  return (
    <Frame {...frame} keys={['↑↓ choose', 'enter', '^T hint', '? help', 'esc go on']}>
      <Choice
        question={`Is ${frame.cluster} recovered?`}
        lines={[
          ...problem.map((line) => `✗ ${line}`),
          'What came back is counted then, memory by memory, and your marks are given.',
        ]}
        answers={[
          { label: 'not yet: go on', value: 'go on' as const },
          { label: 'it is: count what came back', value: 'recovered' as const },
          { label: 'I give up: show me the way', value: 'given up' as const },
          { label: 'leave the lesson: it does not count', value: 'leave' as const },
        ]}
        onAnswer={(what) => {
          if (what === 'go on') onGoOn();
          else if (what === 'leave') onLeave();
          else onFinish(what);
        }}
      />
    </Frame>
  );
}

function Briefing({
  snapshot: { lesson },
  onStart,
  onLeave,
}: {
  snapshot: TrainingSnapshot;
  onStart: () => void;
  onLeave: () => void;
}) {
  const { columns, bodyRows } = useSpace();
  useEveryKey((_input, key) => {
    if (key.return) onStart();
    if (key.escape) onLeave();
  });
  const lines = [
    'A cluster with real servers is started on this machine for you alone, filled, backed up, and broken. Then the pager goes, and the clock runs.',
    '',
    '1  Find out what is wrong. Look at what the stores say; a shell is there, too.',
    `2  Predict, before anything is revealed: ${lesson.predict.length} questions. Some steps of a runbook ask one, too.`,
    '3  Choose a runbook and a backup, and recover the cluster, as in an outage.',
    '4  Say when you are done. What came back is counted, and you are told what the better path was.',
    '',
    `Marks: 100 at most; 70 pass, unless something was lost that could be kept, or is still broken. 20 for time (predict soon, then begin, and recover within ${lesson.minutes} minutes), 30 for predictions, 20 for a whole cluster, 30 for losing nothing that could be kept. Hints cost 3, 7 and 15; an unsafe choice costs 10. Wrong choices are allowed, and hurt.`,
  ];
  return (
    <Frame
      cluster="a throw-away cluster"
      production={false}
      title={lesson.title}
      right=""
      keys={['enter start (about 20 s)', '? help', 'esc back']}
    >
      <Scrolled
        lines={lines.flatMap((line) => wrap(line, columns - 2, /^\d/.test(line) ? 3 : 0))}
        rows={bodyRows - 1}
        by="arrows and space"
      />
    </Frame>
  );
}

function Preparing({ lines }: { lines: string[] }) {
  const { columns, bodyRows } = useSpace();
  return (
    <>
      <Text> About 20 seconds; nothing of yours is touched.</Text>
      <Lines lines={lines.slice(-(bodyRows - 1)).flatMap((line) => wrap(`   ${line}`, columns - 2, 3))} />
    </>
  );
}

function Failed({ snapshot, onLeave }: { snapshot: TrainingSnapshot; onLeave: () => void }) {
  const { columns } = useSpace();
  useEveryKey((_input, key) => {
    if (key.escape || key.return) onLeave();
  });
  return (
    <Frame
      cluster="no cluster"
      production={false}
      title={`${snapshot.lesson.title} · could not be prepared`}
      right=""
      keys={['? help', 'esc back']}
    >
      <Lines lines={snapshot.problem.flatMap((line) => wrap(` ✗ ${line}`, columns - 2, 3))} />
    </Frame>
  );
}

/** A heading of Markdown as one of a screen. */
const headingOf = (line: string) => line.replace(/^#+ (.*)$/, (_, heading: string) => heading.toUpperCase());

function Debrief({ lines, frame, onLeave }: { lines: string[]; frame: LessonFrame; onLeave: () => void }) {
  const { columns, bodyRows } = useSpace();
  const { exit } = useApp();
  useKeys((input, key) => {
    if (key.escape) onLeave();
    if (input === 'q') exit();
  });
  return (
    <Frame
      {...frame}
      title={`${frame.title} · debrief`}
      keys={['↑↓ scroll', 'esc other lessons', '? help', 'q quit']}
    >
      <Scrolled
        lines={lines.flatMap((line) => wrap(headingOf(line), columns - 2, 4))}
        rows={bodyRows - 1}
        by="arrows and space"
      />
    </Frame>
  );
}
