import { Box } from 'ink';
import { useState } from 'react';
import type { School } from '../../engine/training/school.js';
import type { Lesson } from '../../runbook/lesson.js';
import { Frame, Lines, useSpace } from '../frame.js';
import { HelpView } from '../help-view.js';
import { useEveryKey, useKeys } from '../keys.js';
import { Scrolled } from '../scrolled.js';
import { Select } from '../select.js';
import { cut, wrap } from '../text.js';

interface Props {
  school: School;
  /** The id of the lesson that was taken last. */
  from: string | undefined;
  onTake: (lesson: Lesson) => void;
  onQuit: () => void;
}

const ABOUT =
  'Each lesson starts a throw-away cluster with real servers on this machine, breaks it for real, and lets you find out what happened and recover it with the same runbooks as in an outage. Nothing of yours is touched.';

/** Which lesson? And how one has done so far. */
export function LessonList({ school, from, onTake, onQuit }: Props) {
  const { columns, bodyRows } = useSpace();
  const [charted, setCharted] = useState(false);
  const [helped, setHelped] = useState(false);
  useEveryKey((input, key) => {
    if (key.ctrl && input === 'c') onQuit();
    // In the help any key is the way back; from the list nothing leads back but q, so that one esc too many ends nothing.
    if (key.escape && !helped) setCharted(false);
  });
  useKeys((input) => {
    if (helped) return;
    if (input === 'q') onQuit();
    if (input === 'h') setCharted(!charted);
    if (input === '?') setHelped(true);
  });
  const frame = { cluster: 'training', production: false, right: school.trainee };
  if (helped) {
    return (
      <Frame {...frame} title="help" keys={['↑↓ scroll', 'any key: back']}>
        <HelpView of="lesson" onClose={() => setHelped(false)} />
      </Frame>
    );
  }
  if (charted) {
    return (
      <Frame {...frame} title="what you have done so far" keys={['↑↓ scroll', 'esc back', 'q quit']}>
        <Scrolled
          lines={school.progress().flatMap((line) => wrap(line, columns - 2, 18))}
          rows={bodyRows - 1}
          by="arrows and space"
        />
      </Frame>
    );
  }
  const faulty = school.faulty.flatMap((line) => wrap(` ✗ ${line}`, columns - 2, 3));
  const about = [...wrap(ABOUT, columns - 2), ''].map((line) => ` ${line}`);
  const widest = Math.max(...school.lessons.map(({ title }) => title.length));
  return (
    <Frame {...frame} title="lessons" keys={['↑↓ choose', 'enter take it', 'h so far', '? help', 'q quit']}>
      <Lines lines={about} />
      <Box flexDirection="column">
        <Select
          items={school.lessons.map((lesson) => ({
            key: lesson.id,
            label: cut(
              `${lesson.title.padEnd(widest)}  ${lesson.level.padEnd(8)} ${String(lesson.minutes).padStart(3)} min  ${school.standingIn(lesson)}`,
              columns - 4,
            ),
            value: lesson,
          }))}
          limit={Math.max(3, bodyRows - about.length - faulty.length)}
          initialIndex={Math.max(
            0,
            school.lessons.findIndex(({ id }) => id === from),
          )}
          onSelect={({ value }) => onTake(value)}
        />
      </Box>
      <Lines lines={faulty} />
    </Frame>
  );
}
