import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Command } from 'commander';
import { PACKAGE_ROOT, programVersion } from '../config/package-root.js';
import { STORES } from '../config/profile.js';
import { PROFILE_SCHEMA_FILE, profileJsonSchema } from '../config/profile-file.js';
import { lookAtProfile } from '../config/profiles.js';
import { type Fault, faultLine, readYamlFile } from '../config/yaml-file.js';
import { DIFFERENCES } from '../engine/differences.js';
import { EXIT, Problem } from '../problem.js';
import { lessonJsonSchema, readLesson } from '../runbook/lesson.js';
import { RUNBOOK_FOLDER, runbookFile, scenarios } from '../runbook/library.js';
import { readRunbook, runbookJsonSchema } from '../runbook/runbook.js';
import { knownTo, LESSON_FOLDER, lessonFiles } from '../sandbox/lessons.js';
import { plural } from '../words.js';
import { manPage } from './command-line/man-page.js';
import { print } from './print.js';

/** What comes with the program and is made from it: the schemas that editors use, and the manual page. File → what is to be in it. */
const generated = (program: Command): { file: string; text: () => string }[] => [
  { file: join(RUNBOOK_FOLDER, 'schema.json'), text: () => textOf(runbookJsonSchema()) },
  { file: join(LESSON_FOLDER, 'schema.json'), text: () => textOf(lessonJsonSchema()) },
  { file: PROFILE_SCHEMA_FILE, text: () => textOf(profileJsonSchema()) },
  { file: join(PACKAGE_ROOT, 'man', 'novamem-runbook.1'), text: () => manPage(program, programVersion()) },
];

/**
 * `validate FILE`: faults of a runbook, a lesson or a profile as file:line:column. `--all`: all that are offered, and that the editors' schemas are
 * up to date.
 */
export async function validateCommand(
  files: string[],
  { all, writeSchema }: { all?: boolean; writeSchema?: boolean },
  program: Command,
): Promise<number> {
  if (writeSchema) {
    for (const { file, text } of generated(program)) {
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, text());
      print(`${file} written`);
    }
    return EXIT.recovered;
  }
  const chosen = all ? [...files, ...scenarios().map(runbookFile), ...lessonFiles()] : files;
  if (chosen.length === 0)
    throw new Problem('No runbook, lesson or profile was named.', {
      next: 'novamem-runbook validate FILE.yaml, or --all for those that come with the program',
    });
  let faulty = 0;
  for (const file of chosen) {
    const { faults, valid } = READERS[kindOf(file)](file);
    for (const fault of faults) print(faultLine(fault));
    if (faults.length > 0) faulty += 1;
    else print(`${file}: valid, ${valid}`);
  }
  const stale = all
    ? generated(program).filter(({ file, text }) => !existsSync(file) || readFileSync(file, 'utf8') !== text())
    : [];
  for (const { file } of stale) print(`${file} is out of date. Next: npm run schema`);
  return faulty > 0 || stale.length > 0 ? EXIT.usage : EXIT.recovered;
}

/** A lesson and a profile have no steps, and something that only they have; whatever else the file is, it should be a runbook. */
function kindOf(file: string): keyof typeof READERS {
  const { value } = readYamlFile(file);
  if (typeof value !== 'object' || value === null || 'steps' in value) return 'runbook';
  if (LESSON_KEYS.some((key) => key in value)) return 'lesson';
  return STORES.some((store) => store in value) ? 'profile' : 'runbook';
}

const LESSON_KEYS = ['disaster', 'predict', 'scene', 'hints'];
const READERS = { runbook: runbookIn, lesson: lessonIn, profile: profileIn };

function profileIn(file: string): { faults: Fault[]; valid: string } {
  const { profile, faults } = lookAtProfile(file);
  return { faults, valid: `the profile ${profile?.name}` };
}

function lessonIn(file: string): { faults: Fault[]; valid: string } {
  const { lesson, faults } = readLesson(file, knownTo(DIFFERENCES));
  return { faults, valid: `a lesson with ${plural(lesson?.predict.length ?? 0, 'prediction')}` };
}

function runbookIn(file: string): { faults: Fault[]; valid: string } {
  const { runbook, faults } = readRunbook(file, file);
  return { faults, valid: plural(runbook?.steps.length ?? 0, 'step') };
}

const textOf = (schema: unknown) => `${JSON.stringify(schema, null, 2)}\n`;
