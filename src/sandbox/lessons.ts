import { readdirSync, realpathSync } from 'node:fs';
import { basename, join } from 'node:path';
import { homeFolder } from '../config/home.js';
import { PACKAGE_ROOT } from '../config/package-root.js';
import { faultLine, readYamlFile } from '../config/yaml-file.js';
import { Problem } from '../problem.js';
import { type Known, type Lesson, readLesson } from '../runbook/lesson.js';
import { scenarioOf } from '../runbook/library.js';
import { messageOf } from '../words.js';
import { DISASTERS } from './disasters.js';

/** The folder of the lessons that come with the program. */
export const LESSON_FOLDER = join(PACKAGE_ROOT, 'lessons');

/** The folder in which a team keeps lessons of its own: they are offered with the others. */
export const ownLessonFolder = (): string => join(homeFolder(), 'lessons');

const LEVELS: readonly Lesson['level'][] = ['first', 'handbook', 'hard'];

/** What a lesson may name. `differences`: what a guard may be told to let pass. */
export const knownTo = (differences: readonly string[]): Known => ({
  disasters: DISASTERS.map((one) => one.id),
  differences,
});

/** The files of all lessons: those of the program, then the team's own. */
export const lessonFiles = (): string[] => [LESSON_FOLDER, ownLessonFolder()].flatMap(filesIn);

/** The lesson files of a folder; none where it is not there. */
export function filesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
      .filter((name) => /\.ya?ml$/.test(name))
      .sort()
      .map((name) => join(folder, name));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/** Every lesson, from the first to the hardest. One of a team's own that is faulty is named in `faulty`, and keeps no other away. */
export function lessons(known: Known): { lessons: Lesson[]; faulty: string[] } {
  const read = lessonFiles().map((file) => readSafely(file, known));
  const isTaken = (lesson: Lesson, index: number) => read.slice(0, index).some((one) => one.lesson?.id === lesson.id);
  return {
    lessons: read
      .flatMap(({ lesson }, index) => (lesson && !isTaken(lesson, index) ? [lesson] : []))
      .sort((a, b) => LEVELS.indexOf(a.level) - LEVELS.indexOf(b.level) || a.minutes - b.minutes),
    faulty: read.flatMap(({ lesson, faulty }, index) =>
      lesson && isTaken(lesson, index) ? [`${lesson.file}: there is another lesson called ${lesson.id}`] : faulty,
    ),
  };
}

/** A runbook may lie beside the lesson that uses it. */
const isRunbook = (value: unknown): boolean => typeof value === 'object' && value !== null && 'steps' in value;

/** What cannot even be read is a faulty lesson as well. */
function readSafely(file: string, known: Known): { lesson?: Lesson; faulty: string[] } {
  try {
    if (isRunbook(readYamlFile(file).value)) return { faulty: [] };
    const { lesson, faults } = readLesson(file, known);
    return { ...(lesson ? { lesson } : {}), faulty: faults.map(faultLine) };
  } catch (error) {
    return { faulty: [messageOf(error)] };
  }
}

/** What is done counts for the name: no other file may have that of a lesson on offer. */
function requireOwnName({ file, id }: Lesson): void {
  const other = lessonFiles().find((one) => scenarioOf(one) === id);
  if (other === undefined || realpathSync(other) === realpathSync(file)) return;
  throw new Problem(
    `There is another lesson called ${id} (${other}), and what is done in this one would count for that.`,
    {
      next: `give ${file} another name`,
    },
  );
}

/** A lesson by its id, or a lesson file. Faults are a Problem that lists them. */
export function findLesson(wanted: string, known: Known): Lesson {
  const isFile = /\.ya?ml$/.test(wanted);
  const file = isFile
    ? wanted
    : lessonFiles().find((one) => [`${wanted}.yaml`, `${wanted}.yml`].includes(basename(one)));
  if (!file) throw new Problem(`There is no lesson "${wanted}".`, { next: 'novamem-runbook train --list' });
  const { lesson, faults } = readLesson(file, known);
  if (lesson && isFile) requireOwnName(lesson);
  if (lesson) return lesson;
  throw new Problem(`The lesson cannot be used:\n${faults.map((fault) => `  ${faultLine(fault)}`).join('\n')}`, {
    next: `mend it, then: novamem-runbook validate ${file}`,
  });
}
