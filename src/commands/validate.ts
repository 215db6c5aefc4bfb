import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { PROFILE_SCHEMA_FILE, profileJsonSchema } from '../config/profile-file.js';
import { type Fault, faultLine, readYamlFile } from '../config/yaml-file.js';
import { DIFFERENCES } from '../engine/differences.js';
import { EXIT, Problem } from '../problem.js';
import { lessonJsonSchema, readLesson } from '../runbook/lesson.js';
import { RUNBOOK_FOLDER, runbookFile, scenarios } from '../runbook/library.js';
import { readRunbook, runbookJsonSchema } from '../runbook/runbook.js';
import { knownTo, LESSON_FOLDER, lessonFiles } from '../sandbox/lessons.js';
import { plural } from '../words.js';
import { print } from './print.js';

/** The schemas that editors use: file → what is to be in it. */
const SCHEMAS = [
  { file: join(RUNBOOK_FOLDER, 'schema.json'), schema: runbookJsonSchema },
  { file: join(LESSON_FOLDER, 'schema.json'), schema: lessonJsonSchema },
  { file: PROFILE_SCHEMA_FILE, schema: profileJsonSchema },
];

/**
 * `validate FILE`: faults of a runbook or a lesson as file:line:column. `--all`: all that are offered, and that the editors' schemas are
 * up to date.
 */
export async function validateCommand(
  files: string[],
  { all, writeSchema }: { all?: boolean; writeSchema?: boolean },
): Promise<number> {
  if (writeSchema) {
    for (const { file, schema } of SCHEMAS) {
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, textOf(schema()));
      print(`${file} written`);
    }
    return EXIT.recovered;
  }
  const chosen = all ? [...files, ...scenarios().map(runbookFile), ...lessonFiles()] : files;
  if (chosen.length === 0)
    throw new Problem('No runbook and no lesson was named.', {
      next: 'novamem-runbook validate FILE.yaml, or --all for those that come with the program',
    });
  let faulty = 0;
  for (const file of chosen) {
    const { faults, valid } = isLesson(file) ? lessonIn(file) : runbookIn(file);
    for (const fault of faults) print(faultLine(fault));
    if (faults.length > 0) faulty += 1;
    else print(`${file}: valid, ${valid}`);
  }
  const stale = all
    ? SCHEMAS.filter(({ file, schema }) => !existsSync(file) || readFileSync(file, 'utf8') !== textOf(schema()))
    : [];
  for (const { file } of stale) print(`${file} is out of date. Next: npm run schema`);
  return faulty > 0 || stale.length > 0 ? EXIT.usage : EXIT.recovered;
}

/** A lesson has no steps, and something that only a lesson has; whatever else the file is, it should be a runbook. */
function isLesson(file: string): boolean {
  const { value } = readYamlFile(file);
  return (
    typeof value === 'object' && value !== null && !('steps' in value) && LESSON_KEYS.some((key) => key in value)
  );
}

const LESSON_KEYS = ['disaster', 'predict', 'scene', 'hints'];

function lessonIn(file: string): { faults: Fault[]; valid: string } {
  const { lesson, faults } = readLesson(file, knownTo(DIFFERENCES));
  return { faults, valid: `a lesson with ${plural(lesson?.predict.length ?? 0, 'prediction')}` };
}

function runbookIn(file: string): { faults: Fault[]; valid: string } {
  const { runbook, faults } = readRunbook(file, file);
  return { faults, valid: plural(runbook?.steps.length ?? 0, 'step') };
}

const textOf = (schema: unknown) => `${JSON.stringify(schema, null, 2)}\n`;
