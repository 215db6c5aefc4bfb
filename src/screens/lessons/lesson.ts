import { createContext, useContext, useSyncExternalStore } from 'react';
import type { Training, TrainingSnapshot } from '../../engine/training/training.js';
import { clockOf } from '../../words.js';

export const LessonContext = createContext<Training | undefined>(undefined);

/** The lesson that is taken on these screens; undefined in an outage. */
export const useLesson = (): Training | undefined => useContext(LessonContext);

/** How long ago the pager of a lesson went; empty before. */
export function lessonClock(training: Training, now: number): string {
  const { record } = training.getSnapshot();
  return record ? clockOf(now - record.pagedAt) : '';
}

export const useTraining = (training: Training): TrainingSnapshot =>
  useSyncExternalStore(training.subscribe, training.getSnapshot);
