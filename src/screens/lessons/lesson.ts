import { createContext, useContext, useSyncExternalStore } from 'react';
import type { Training, TrainingSnapshot } from '../../engine/training/training.js';

export const LessonContext = createContext<Training | undefined>(undefined);

/** The lesson that is taken on these screens; undefined in an outage. */
export const useLesson = (): Training | undefined => useContext(LessonContext);

export const useTraining = (training: Training): TrainingSnapshot =>
  useSyncExternalStore(training.subscribe, training.getSnapshot);
