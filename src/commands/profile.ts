import { stringify } from 'yaml';
import { keepProfile, listProfiles } from '../config/profiles.js';
import { EXIT } from '../problem.js';
import { sandboxNames } from '../sandbox/sandbox.js';
import { findCluster } from './find-cluster.js';
import { columns, print } from './print.js';

export async function profileAddCommand(file: string): Promise<number> {
  const profile = keepProfile(file);
  print(
    `The profile ${profile.name} is remembered, and used when none is named. Next: novamem-runbook plan whole-cluster-lost --profile ${profile.name}`,
  );
  return EXIT.recovered;
}

export async function profileListCommand(): Promise<number> {
  const { profiles, current } = listProfiles();
  const rows = [
    ...Object.entries(profiles).map(([name, file]) => [name === current ? `${name} (current)` : name, file]),
    ...sandboxNames().map((name) => [name, '(sandbox)']),
  ];
  if (rows.length === 0) print('No profile is remembered. Next: novamem-runbook profile add FILE.yaml');
  else print(...columns([['NAME', 'FILE'], ...(rows as string[][])]));
  return EXIT.recovered;
}

/** The profile as it is understood, with every default. It holds references to secrets, never their values. */
export async function profileShowCommand(name: string | undefined): Promise<number> {
  print(stringify(findCluster(name)).trimEnd());
  return EXIT.recovered;
}
