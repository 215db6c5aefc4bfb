import { userInfo } from 'node:os';
import { DIFFERENCES } from '../engine/guards.js';
import { trainings } from '../engine/training/record.js';
import { Training } from '../engine/training/training.js';
import { EXIT, Problem } from '../problem.js';
import { certificate } from '../reports/certificate.js';
import { progressLines, standingIn } from '../reports/progress.js';
import type { Lesson } from '../runbook/lesson.js';
import { Classroom } from '../sandbox/classroom.js';
import { findLesson, knownTo, lessons } from '../sandbox/lessons.js';
import { columns, print, say } from './print.js';
import { playLesson } from './train-play.js';

export interface TrainOptions {
  as?: string;
  list?: boolean;
  play?: 'right' | 'wrong';
  history?: boolean;
  certificate?: boolean;
}

/** `train [LESSON]`: real disasters on a real throw-away cluster, coached and scored. */
export async function trainCommand(wanted: string | undefined, options: TrainOptions): Promise<number> {
  const trainee = options.as ?? userInfo().username;
  const known = knownTo(DIFFERENCES);
  if (options.history) return tell(progressLines(trainings(trainee), trainee));
  if (options.list || options.certificate) {
    const { lessons: all, faulty } = lessons(known);
    for (const line of faulty) say(line);
    return tell(options.list ? list(all, trainee) : certificate(all, trainings(trainee), trainee));
  }
  const lesson = wanted === undefined ? undefined : findLesson(wanted, known);
  if (options.play) {
    if (!lesson)
      throw new Problem('Which lesson is to be played was not said.', { next: 'novamem-runbook train --list' });
    return play(lesson, trainee, options.play);
  }
  throw new Problem('A lesson needs a terminal, and there is none here.', {
    next: `to see one played: novamem-runbook train ${lesson?.id ?? 'LESSON'} --play right; all of them: novamem-runbook train --list`,
  });
}

async function play(lesson: Lesson, trainee: string, way: 'right' | 'wrong'): Promise<number> {
  const classroom = new Classroom(lesson.disaster);
  const training = new Training(lesson, trainee, classroom, way);
  const stop = () => void training.close().then(() => process.exit(EXIT.aborted));
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const signal of signals) process.once(signal, stop);
  try {
    return await playLesson(training, classroom, way);
  } finally {
    for (const signal of signals) process.off(signal, stop);
    await training.close();
  }
}

function list(all: readonly Lesson[], trainee: string): string[] {
  const taken = trainings(trainee);
  return columns([
    ['LESSON', 'LEVEL', 'TAKES', 'YOU', 'WHAT'],
    ...all.map((lesson) => [
      lesson.id,
      lesson.level,
      `${lesson.minutes} min`,
      standingIn(lesson, taken),
      lesson.title,
    ]),
  ]);
}

function tell(lines: readonly string[]): number {
  print(...lines);
  return EXIT.recovered;
}
