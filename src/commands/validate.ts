import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { faultLine } from '../config/yaml-file.js';
import { EXIT, Problem } from '../problem.js';
import { RUNBOOK_FOLDER, runbookFile, scenarios } from '../runbook/library.js';
import { readRunbook, runbookJsonSchema } from '../runbook/runbook.js';
import { plural } from '../words.js';
import { print } from './print.js';

const SCHEMA_FILE = join(RUNBOOK_FOLDER, 'schema.json');

/** `validate FILE`: faults as file:line:column. `--all`: the program's own runbooks, and that the editors' schema is up to date. */
export async function validateCommand(
  files: string[],
  { all, writeSchema }: { all?: boolean; writeSchema?: boolean },
): Promise<number> {
  if (writeSchema) {
    writeFileSync(SCHEMA_FILE, schemaText());
    print(`${SCHEMA_FILE} written`);
    return EXIT.recovered;
  }
  const chosen = all ? [...files, ...scenarios().map(runbookFile)] : files;
  if (chosen.length === 0)
    throw new Problem('No runbook file was named.', {
      next: 'novamem-runbook validate FILE.yaml, or --all for those that come with the program',
    });
  let faulty = 0;
  for (const file of chosen) {
    const { runbook, faults } = readRunbook(file, file);
    for (const fault of faults) print(faultLine(fault));
    if (faults.length > 0) faulty += 1;
    else print(`${file}: valid, ${plural(runbook!.steps.length, 'step')}`);
  }
  const stale = all && readFileSync(SCHEMA_FILE, 'utf8') !== schemaText();
  if (stale) print(`${SCHEMA_FILE} is out of date. Next: npm run schema`);
  return faulty > 0 || stale ? EXIT.usage : EXIT.recovered;
}

const schemaText = () => `${JSON.stringify(runbookJsonSchema(), null, 2)}\n`;
