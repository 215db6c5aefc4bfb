import { useApp } from 'ink';
import { useEffect, useState } from 'react';
import type { School } from '../../engine/training/school.js';
import type { Training } from '../../engine/training/training.js';
import type { Lesson } from '../../runbook/lesson.js';
import { useEveryKey } from '../keys.js';
import { useOutside } from '../outside.js';
import { TooSmall, useTooSmall } from '../too-small.js';
import { LessonContext } from './lesson.js';
import { LessonList } from './lesson-list.js';
import { LessonScreen } from './lesson-screen.js';

/** From the list of lessons to a debrief. `first`: a lesson that was named on the command line. */
export function TrainApp({ school, first }: { school: School; first?: Lesson }) {
  const { exit } = useApp();
  const leave = useOutside();
  const [training, setTraining] = useState<Training | undefined>(() => first && school.take(first));
  const [taken, setTaken] = useState(first?.id);
  const [left, setLeft] = useState<Training | undefined>(undefined);
  // Only once the list takes the keys: taking a cluster down keeps this program busy, and what is typed meanwhile is meant for the list.
  useEffect(() => void left?.close(), [left]);
  useEveryKey((input, key) => {
    if (key.ctrl && input === 'z') leave('stop');
  });
  if (useTooSmall()) return <TooSmall atWork={false} />;
  if (training) {
    return (
      <LessonContext value={training}>
        <LessonScreen
          training={training}
          onLeave={() => {
            setLeft(training);
            setTraining(undefined);
          }}
        />
      </LessonContext>
    );
  }
  const take = (lesson: Lesson) => {
    setTaken(lesson.id);
    setTraining(school.take(lesson));
  };
  return <LessonList school={school} from={taken} onTake={take} onQuit={() => exit()} />;
}
