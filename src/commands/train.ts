import { writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { DIFFERENCES } from '../engine/guards.js';
import { trainings } from '../engine/training/record.js';
import type { School } from '../engine/training/school.js';
import { Training } from '../engine/training/training.js';
import { openShell } from '../hosts/shell.js';
import { EXIT, Problem } from '../problem.js';
import { certificate } from '../reports/certificate.js';
import { debriefLines, headline } from '../reports/debrief.js';
import { progressLines, standingIn } from '../reports/progress.js';
import type { Known, Lesson } from '../runbook/lesson.js';
import { Classroom } from '../sandbox/classroom.js';
import { findLesson, knownTo, lessons } from '../sandbox/lessons.js';
import { messageOf } from '../words.js';
import { columns, print, say } from './print.js';
import { isAtTerminal, isLinear, loadScreens, readAlone, stopHere } from './terminal.js';
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
  if (isAtTerminal()) return teach(known, lesson, trainee);
  throw new Problem('A lesson needs a terminal, and there is none here.', {
    next: `to see one played: novamem-runbook train ${lesson?.id ?? 'LESSON'} --play right; all of them: novamem-runbook train --list`,
  });
}

/** The lessons on the screens of this terminal. */
async function teach(known: Known, first: Lesson | undefined, trainee: string): Promise<number> {
  const { lessons: all, faulty } = lessons(known);
  const { openLessons } = await loadScreens();
  let current: ReturnType<typeof begin> | undefined;
  const school: School = {
    trainee,
    lessons: all,
    faulty,
    standingIn: (lesson) => standingIn(lesson, trainings(trainee)),
    progress: () => progressLines(trainings(trainee), trainee),
    take(lesson) {
      current = begin(lesson, trainee);
      return current.training;
    },
  };
  const outside = {
    async shell() {
      if (!current) return;
      const { training, classroom } = current;
      training.noteShell();
      const environment = classroom.environment();
      print(
        `A shell in the lesson's cluster. psql, redis-cli -p $FALKORDB_PORT and curl $QDRANT_URL know the way; where things lie:`,
        ...Object.entries(environment)
          .filter(([, value]) => value.startsWith('/'))
          .map(([name, value]) => `  $${name.padEnd(14)} ${value}`),
        'exit comes back to the lesson.',
      );
      await openShell(process.cwd(), environment).catch((error: unknown) =>
        print(`No shell could be started: ${messageOf(error)}.`),
      );
    },
    stop: () => stopHere(' The clock of the lesson goes on.'),
    read: readAlone,
    async kill() {
      print('Killed. The throw-away cluster of the lesson is taken down.');
      process.exit(EXIT.aborted);
    },
  };
  try {
    await openLessons(school, first, outside, isLinear());
  } finally {
    if (current) await leave(current.training);
  }
  return EXIT.recovered;
}

/** Ends what still runs, takes the cluster down, and says what came of the lesson. */
async function leave(training: Training): Promise<void> {
  const run = training.desk?.lastShown;
  print('The throw-away cluster of the lesson is taken down…');
  run?.intend({ type: 'abort' });
  await run?.finished;
  await training.close();
  const { phase, record, lesson } = training.getSnapshot();
  if (phase !== 'over')
    return print(`The lesson "${lesson.title}" was left; it does not count, and its cluster is gone.`);
  print(
    `${lesson.title}: ${headline(record!)}`,
    `Debrief  ${debriefFile(training)}`,
    'Next: novamem-runbook train; how far you are: novamem-runbook train --history',
  );
}

/** A lesson whose debrief is written once it is over. */
function begin(lesson: Lesson, trainee: string, played?: 'right' | 'wrong') {
  const classroom = new Classroom(lesson.disaster);
  const training = new Training(lesson, trainee, classroom, played);
  const stop = training.subscribe(() => {
    const { phase, record } = training.getSnapshot();
    if (phase !== 'over') return;
    stop();
    writeFileSync(debriefFile(training), `${debriefLines(record!).join('\n')}\n`, { mode: 0o600 });
  });
  return { classroom, training };
}

const debriefFile = (training: Training): string => join(training.getSnapshot().folder, 'debrief.md');

async function play(lesson: Lesson, trainee: string, way: 'right' | 'wrong'): Promise<number> {
  const { classroom, training } = begin(lesson, trainee, way);
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
