import type { Lesson } from '../../runbook/lesson.js';
import type { Training } from './training.js';

/** The lessons there are, and how somebody stands in them. */
export interface School {
  trainee: string;
  lessons: readonly Lesson[];
  /** Lessons of the team's own that cannot be used, with place and fault. */
  faulty: readonly string[];
  /** `never taken`, `87, passed` */
  standingIn(lesson: Lesson): string;
  /** What of somebody's history a chart shows. */
  progress(): string[];
  /** Begins a lesson. */
  take(lesson: Lesson): Training;
}
