import { rmSync } from 'node:fs';
import { stringify } from 'yaml';
import { SERVICE_TITLES } from '../config/profile.js';
import { isOwnPlace } from '../config/profile-file.js';
import { forgetProfile, keepProfile, listProfiles, makeCurrent } from '../config/profiles.js';
import { EXIT, Problem } from '../problem.js';
import { sandboxNames } from '../sandbox/sandbox.js';
import type { Tried } from '../stores/try-connection.js';
import { jsonLine } from '../words.js';
import { findCluster } from './find-cluster.js';
import { columns, print } from './print.js';
import { told } from './profile-told.js';
import { isAtTerminal } from './terminal.js';

/** `profile add FILE` remembers a profile; without a file a person is asked, each connection is tried at once, and the file is written. */
export async function profileAddCommand(
  file: string | undefined,
  { output }: { output?: string } = {},
): Promise<number> {
  if (file !== undefined) return told(keepProfile(file).name);
  if (!isAtTerminal())
    throw new Problem('Whoever makes a profile by answering questions needs a terminal, and there is none here.', {
      next: "novamem-runbook profile add FILE.yaml, or from novamem's own settings: novamem-runbook profile import-env .env",
    });
  const { askForProfile } = await import('./profile-ask.js');
  return askForProfile(output);
}

export async function profileListCommand({ json }: { json?: boolean }): Promise<number> {
  const { profiles, current } = listProfiles();
  const all = [
    ...Object.entries(profiles).map(([name, file]) => ({ name, file, current: name === current })),
    ...sandboxNames().map((name) => ({ name, sandbox: true, current: name === current })),
  ];
  if (json) print(jsonLine(all));
  else if (all.length === 0)
    print('No profile is remembered. Next: novamem-runbook profile add, or: novamem-runbook profile import-env .env');
  else
    print(
      ...columns([
        ['NAME', 'FILE'],
        ...all.map((one) => [
          `${one.name}${one.current ? ' (current)' : ''}`,
          'file' in one ? one.file : '(sandbox)',
        ]),
      ]),
    );
  return EXIT.recovered;
}

/** The profile as it is understood, with every default. It holds references to secrets, never their values. */
export async function profileShowCommand(name: string | undefined, { json }: { json?: boolean }): Promise<number> {
  const profile = findCluster(name);
  print(json ? jsonLine(profile) : stringify(profile).trimEnd());
  return EXIT.recovered;
}

export async function profileUseCommand(name: string): Promise<number> {
  makeCurrent(name);
  print(`The profile ${name} is used when none is named.`);
  return EXIT.recovered;
}

/** Forgets a profile. A file that this program wrote into its own folder goes with it; another one stays. */
export async function profileRemoveCommand(name: string): Promise<number> {
  const file = forgetProfile(name);
  const isOwn = isOwnPlace(file);
  if (isOwn) rmSync(file, { force: true });
  print(
    `The profile ${name} is forgotten${isOwn ? `, and its file ${file} removed` : `; its file stays: ${file}`}. The runs on that cluster stay.`,
  );
  return EXIT.recovered;
}

/** What came of trying the parts of a cluster, a line each and one more where there is something to do. */
export function triedLines(tried: readonly Tried[]): string[] {
  return tried.flatMap(({ service, outcome, address, seen, next }) => [
    `${outcome === 'answers' ? '●' : '✗'} ${SERVICE_TITLES[service].padEnd(9)} ${address}: ${seen}`,
    ...(next === undefined ? [] : [`  next      ${next}`]),
  ]);
}
