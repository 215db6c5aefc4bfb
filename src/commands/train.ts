import { writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import { redact } from '../config/redact.js';
import { DIFFERENCES } from '../engine/differences.js';
import { changedTrainings, type TrainingRecord, trainings } from '../engine/training/record.js';
import type { School } from '../engine/training/school.js';
import { Training } from '../engine/training/training.js';
import { openShell } from '../hosts/shell.js';
import { EXIT, Problem } from '../problem.js';
import { certificate } from '../reports/certificate.js';
import { debriefLines, headline } from '../reports/debrief.js';
import { progressLines, standingIn } from '../reports/progress.js';
import { writeReportsOf } from '../reports/write-reports.js';
import type { Known, Lesson } from '../runbook/lesson.js';
import { Classroom } from '../sandbox/classroom.js';
import { whyNotHere } from '../sandbox/disasters.js';
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
  const trainee = options.as ?? accountName();
  const known = knownTo(DIFFERENCES);
  if (options.history || options.list || options.certificate) for (const line of changedTrainings()) say(line);
  if (options.history) return tell(progressLines(trainings(trainee), trainee));
  if (options.list || options.certificate) {
    const { lessons: all, faulty } = lessons(known);
    for (const line of faulty) say(line);
    return tell(options.list ? list(all, trainee) : certified(all, trainee));
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

/** A container may run under a number that nobody has given a name. */
function accountName(): string {
  try {
    return userInfo().username;
  } catch {
    throw new Problem('This account has no name, so the lessons would be nobody’s.', {
      next: 'say whose they are: novamem-runbook train --as NAME',
    });
  }
}

/** The lessons on the screens of this terminal. */
async function teach(known: Known, first: Lesson | undefined, trainee: string): Promise<number> {
  const { lessons: all, faulty } = lessons(known);
  const { openLessons } = await loadScreens();
  let current: ReturnType<typeof begin> | undefined;
  // A list asks for each of its rows, whenever it is drawn: only a lesson that is over changes what is read.
  let taken = trainings(trainee);
  const school: School = {
    trainee,
    lessons: all,
    faulty: [...faulty, ...changedTrainings()],
    standingIn: (lesson) => standingHere(lesson, taken),
    progress: () => progressLines(taken, trainee),
    take(lesson) {
      current = begin(lesson, trainee, {
        onOver: () => {
          taken = trainings(trainee);
        },
      });
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
        'A shell in the cluster of the lesson. These know the way, secrets included:',
        '  psql                                    Postgres',
        '  curl -H "api-key: $QDRANT_API_KEY" $QDRANT_URL/collections',
        '  graph-cli GRAPH.LIST                    FalkorDB',
        '  curl $NOVAMEM_URL/health                novamem',
        '  novamem-runbook backups list            this program, on this cluster only',
        'Where things lie: $POSTGRES_DATA $WAL_ARCHIVE $QDRANT_DATA',
        '  $FALKORDB_DATA $BACKUPS $LOGS',
        'exit comes back to the lesson, whose clock goes on.',
      );
      await openShell(dirname(environment.BACKUPS!), environment).catch((error: unknown) =>
        print(`No shell could be started: ${messageOf(error)}.`),
      );
    },
    stop: () => stopHere(current?.training.desk ? ' The clock of the lesson goes on.' : ''),
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
  if (training.getSnapshot().phase === 'briefing') return;
  print('The throw-away cluster of the lesson is taken down…');
  await training.close();
  print(...training.getSnapshot().problem);
  const { phase, record, lesson } = training.getSnapshot();
  if (phase !== 'over')
    return print(
      `The lesson "${lesson.title}" was left: it has no marks, it stays in your history, and its cluster is gone.`,
    );
  print(
    `${lesson.title}: ${headline(record!)}`,
    `Debrief  ${debriefFile(training)}`,
    'Next: novamem-runbook train; how far you are: novamem-runbook train --history',
  );
}

/** A lesson whose debrief is written once it is over. `played`: by the program. */
function begin(
  lesson: Lesson,
  trainee: string,
  { played, onOver = () => {} }: { played?: 'right' | 'wrong'; onOver?: () => void },
) {
  const classroom = new Classroom(lesson.disaster);
  const training = new Training(lesson, trainee, classroom, played);
  let desk: Training['desk'];
  const stop = training.subscribe(() => {
    const { phase, record } = training.getSnapshot();
    if (training.desk !== desk) {
      desk = training.desk;
      desk?.onEnded(writeReportsOf);
    }
    if (phase !== 'over') return;
    stop();
    onOver();
    writeFileSync(debriefFile(training), `${debriefLines(record!).map(redact).join('\n')}\n`, { mode: 0o600 });
  });
  return { classroom, training };
}

const debriefFile = (training: Training): string => join(training.getSnapshot().folder, 'debrief.md');

async function play(lesson: Lesson, trainee: string, way: 'right' | 'wrong'): Promise<number> {
  const { classroom, training } = begin(lesson, trainee, { played: way });
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
      standingHere(lesson, taken),
      lesson.title,
    ]),
  ]);
}

/** How somebody stands in a lesson; one that was never taken says it where it cannot be given here. */
function standingHere(lesson: Lesson, taken: readonly TrainingRecord[]): string {
  const wasTaken = taken.some((one) => one.lesson.id === lesson.id);
  return wasTaken || whyNotHere(lesson.disaster) === undefined ? standingIn(lesson, taken) : 'not here';
}

/** The certificate. Of what cannot be given here it counts only what was taken elsewhere, and says so. */
function certified(all: readonly Lesson[], trainee: string): string[] {
  const taken = trainings(trainee);
  const missing = all.filter((lesson) => standingHere(lesson, taken) === 'not here');
  return [
    ...certificate(
      all.filter((lesson) => !missing.includes(lesson)),
      taken,
      trainee,
    ),
    ...missing.map(
      ({ title, disaster }) => `Not counted: ${title}, which cannot be given here (${whyNotHere(disaster)}).`,
    ),
  ];
}

function tell(lines: readonly string[]): number {
  print(...lines);
  return EXIT.recovered;
}
