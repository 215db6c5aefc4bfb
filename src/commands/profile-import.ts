import { importProfile } from '../config/import/import-profile.js';
import { placeOfProfile, profileText, writeProfile } from '../config/profile-file.js';
import { keepProfile } from '../config/profiles.js';
import { tryImported } from '../engine/imported-cluster.js';
import { EXIT } from '../problem.js';
import { jsonLine, plural } from '../words.js';
import { print, wrapped } from './print.js';
import { triedLines } from './profile.js';

interface Options {
  name?: string;
  output?: string;
  json?: boolean;
}

/** `profile import-env FILE…`: a profile out of novamem's own settings. `--output -` only prints it. */
export async function profileImportCommand(given: string[], { name, output, json }: Options): Promise<number> {
  const imported = importProfile(given, name);
  const { profile, files, unknown, tried } = await tryImported(imported);
  const remarks = [
    `Made by novamem-runbook profile import-env from ${files.join(', ')}.`,
    'What it could not know:',
    ...unknown.map((one) => `- ${one}`),
  ];
  const text = profileText(profile, remarks);
  const place = output === '-' ? undefined : (output ?? placeOfProfile(profile.name));
  if (place !== undefined) {
    writeProfile(place, text);
    keepProfile(place);
  }
  if (json) print(jsonLine({ profile, file: place ?? null, read: files, unknown, connections: tried }));
  else if (place === undefined) print(text.trimEnd());
  else
    print(
      `Read: ${files.join(', ')}`,
      `Written: ${place} (secrets are references; no value is in it)`,
      '',
      ...triedLines(tried).flatMap((line) => wrapped(line, 12)),
      '',
      `What could not be known (${plural(unknown.length, 'thing')}):`,
      ...unknown.flatMap((one) => wrapped(`- ${one}`, 2)),
      '',
      `The profile ${profile.name} is remembered, and used when none is named.`,
      `Next: novamem-runbook doctor --profile ${profile.name}`,
    );
  return EXIT.recovered;
}
