import { Text } from 'ink';
import { useState, useSyncExternalStore } from 'react';
import type { DeskSnapshot } from '../../engine/desk.js';
import type { Training } from '../../engine/training/training.js';
import { durationOf, plural } from '../../words.js';
import { Frame, useSpace } from '../frame.js';
import { useEveryKey, useKeys } from '../keys.js';
import { useOutside } from '../outside.js';
import { Scrolled } from '../scrolled.js';
import { SERVICE_ROWS, ServiceLines } from '../service-lines.js';
import { labelled, wrap } from '../text.js';
import { useTraining } from './lesson.js';

interface Props {
  training: Training;
  frame: { cluster: string; production: boolean; title: string; right: string };
  onPredict: () => void;
  onLeave: () => void;
}

/** The pager has gone: what is said, what the stores say, and no word on what it means. */
export function PageView({ training, frame, onPredict, onLeave }: Props) {
  const { columns, bodyRows } = useSpace();
  const leave = useOutside();
  const snapshot = useTraining(training);
  const desk = training.desk!;
  const seen = useSyncExternalStore(desk.subscribe, desk.getSnapshot);
  const [probed, setProbed] = useState(false);
  const probing = probed || seen.diagnosis !== undefined;
  useEveryKey((_input, key) => {
    if (key.return) onPredict();
  });
  useKeys((input) => {
    if (input === '!') leave('shell');
    if (input === 'q') onLeave();
    if (input === 'd' && !probing) {
      setProbed(true);
      void desk.diagnose();
    }
  });
  const { lesson, pager, users } = snapshot;
  const width = columns - 2;
  const lines = [
    ...wrap(lesson.scene, width),
    '',
    ...labelled('The pager', pager, width),
    ...labelled('Users', users, width),
    ...labelled('Backups', backupsText(seen), width),
    ...(probing ? ['', ...probedLines(seen, width)] : []),
  ];
  return (
    <Frame
      {...frame}
      keys={['enter predict', ...(probing ? [] : ['d look closer']), '! shell', '^T hint', '? help', '^C leave']}
    >
      <ServiceLines services={seen.services} />
      <Text> </Text>
      <Scrolled lines={lines} rows={Math.max(1, bodyRows - SERVICE_ROWS - 2)} by="arrows and space" />
    </Frame>
  );
}

function backupsText({ backups }: DeskSnapshot): string {
  if (backups === undefined) return 'looking for them…';
  if (backups.length === 0) return 'there is none';
  return backups
    .map((one) =>
      'set' in one && one.set.takenAt
        ? `${one.id}, ${durationOf(Date.now() - one.set.takenAt.getTime())} old`
        : one.id,
    )
    .join('; ');
}

/** What the program's own probes see, without what follows from it. */
function probedLines({ diagnosis }: DeskSnapshot, width: number): string[] {
  if (!diagnosis) return ['looking closer (at most 10 s)…'];
  const { symptoms, well } = diagnosis;
  return [
    ...(symptoms.length === 0 ? ['Nothing that can be seen from outside is wrong.'] : []),
    ...symptoms.flatMap(({ seen }) => wrap(`! ${seen}`, width, 2)),
    ...well.flatMap((line) => wrap(`● ${line}`, width, 2)),
    '',
    `${plural(symptoms.length, 'symptom')}; what they mean is for you to say.`,
  ];
}
