import { chmodSync, existsSync, linkSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { stringify } from 'yaml';
import { z } from 'zod';
import { Problem } from '../problem.js';
import { messageOf } from '../words.js';
import { homeFolder, homeSubfolder } from './home.js';
import { PACKAGE_ROOT } from './package-root.js';
import { profileSchema } from './profile.js';

/** The JSON Schema that editors use for profiles. */
export const PROFILE_SCHEMA_FILE = join(PACKAGE_ROOT, 'profiles', 'schema.json');

export const profileJsonSchema = (): unknown => z.toJSONSchema(profileSchema, { io: 'input' });

const FOLDER = 'profiles';

/** Where a profile of that name is written when nobody says where. */
export const placeOfProfile = (name: string): string => join(homeFolder(), FOLDER, `${name}.yaml`);

/** Whether this program chose the place of a file itself. */
export const isOwnPlace = (file: string): boolean => dirname(resolve(file)) === resolve(homeFolder(), FOLDER);

/** A profile as the text of a file: the schema for editors first, then remarks, then what it says. A profile that cannot be used is a Problem. */
export function profileText(profile: object, remarks: readonly string[] = []): string {
  const { error } = profileSchema.safeParse(profile);
  if (error)
    throw new Problem(
      `The profile would not be usable: ${error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; ')}.`,
      { next: 'mend what it says, then try again' },
    );
  return [
    `# yaml-language-server: $schema=${pathToFileURL(PROFILE_SCHEMA_FILE)}`,
    ...remarks.map((remark) => `# ${remark}`),
    stringify(profile, { lineWidth: 0 }),
  ].join('\n');
}

/** Writes a profile that is not there yet, for its owner only. */
export function writeProfile(file: string, text: string): void {
  const path = resolve(file);
  const fresh = `${path}.${process.pid}`;
  try {
    if (isOwnPlace(path)) homeSubfolder(FOLDER);
    else mkdirSync(dirname(path), { recursive: true });
    writeFileSync(fresh, text, { mode: 0o600, flag: 'wx' });
    // Whatever the umask.
    chmodSync(fresh, 0o600);
    // Unlike a rename this never replaces what is there.
    linkSync(fresh, path);
  } catch (error) {
    if (existsSync(path))
      throw new Problem(`${path} is there already, and is not overwritten.`, {
        next: 'choose another place with --output FILE, another name with --name NAME, or remove that one: novamem-runbook profile remove NAME',
      });
    throw new Problem(`The profile cannot be written to ${path}: ${messageOf(error)}.`, {
      next: 'choose another place: --output FILE',
    });
  } finally {
    rmSync(fresh, { force: true });
  }
}
