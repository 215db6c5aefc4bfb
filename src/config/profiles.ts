import { existsSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import Conf from 'conf';
import { Problem } from '../problem.js';
import { messageOf } from '../words.js';
import { homeFolder } from './home.js';
import { type Profile, profileSchema } from './profile.js';
import { type Fault, faultLine, faultsOf, readYamlFile } from './yaml-file.js';

interface Kept {
  /** Profile name → the YAML file that describes it. The file stays the truth; only its place is kept. */
  profiles: Record<string, string>;
  /** The profile that is used when none is named. */
  current?: string;
}

const FILE = 'profiles.json';

function kept(): Conf<Kept> {
  try {
    return openKept();
  } catch (error) {
    throw new Problem(`The remembered profiles in ${homeFolder()} cannot be read: ${messageOf(error)}.`, {
      next: `mend or remove ${join(homeFolder(), FILE)}`,
    });
  }
}

function openKept(): Conf<Kept> {
  return new Conf<Kept>({
    projectName: 'novamem-runbook',
    cwd: homeFolder(),
    configName: 'profiles',
    defaults: { profiles: {} },
    configFileMode: 0o600,
  });
}

/** Reads one profile file: the profile, or its faults with file, line and column. */
export function lookAtProfile(file: string): { profile?: Profile; faults: Fault[] } {
  const yaml = readYamlFile(file);
  if (yaml.faults.length > 0) return { faults: yaml.faults };
  const parsed = profileSchema.safeParse(yaml.value);
  return parsed.success ? { profile: parsed.data, faults: [] } : { faults: faultsOf(yaml, parsed.error) };
}

/** The same, where its faults are a Problem. */
export function readProfile(file: string): Profile {
  const { profile, faults } = lookAtProfile(file);
  if (profile === undefined) {
    throw new Problem(
      `The profile ${file} cannot be used:\n${faults.map((fault) => `  ${faultLine(fault)}`).join('\n')}`,
      {
        next: 'mend the file, then try again',
      },
    );
  }
  return profile;
}

/** Remembers a profile file under its name and makes it the current one. */
export function keepProfile(file: string): Profile {
  const profile = readProfile(file);
  const store = kept();
  store.set('profiles', { ...store.get('profiles'), [profile.name]: resolve(file) });
  store.set('current', profile.name);
  return profile;
}

/** Name → file of every remembered profile, and which is used when none is named. */
export function listProfiles(): { profiles: Record<string, string>; current: string | undefined } {
  // Looking makes no file.
  if (!existsSync(join(homeFolder(), FILE))) return { profiles: {}, current: undefined };
  const store = kept();
  return { profiles: store.get('profiles'), current: store.get('current') };
}

/** Makes a remembered profile the one that is used when none is named. */
export function makeCurrent(name: string): void {
  knownFile(name);
  kept().set('current', name);
}

/** Forgets a profile; answers the file that described it, which stays. */
export function forgetProfile(name: string): string {
  const file = knownFile(name);
  const store = kept();
  const { [name]: _, ...others } = store.get('profiles');
  store.set('profiles', others);
  if (store.get('current') === name) store.delete('current');
  return file;
}

/** The file of a remembered profile. */
function knownFile(name: string): string {
  const { profiles } = listProfiles();
  const file = Object.hasOwn(profiles, name) ? profiles[name] : undefined;
  if (file === undefined) throw noSuchProfile(name, Object.keys(profiles), 'it is no remembered name');
  return file;
}

function noSuchProfile(name: string, known: readonly string[], why: string): Problem {
  return new Problem(`There is no profile "${name}": ${why}${known.length > 0 ? ` (${known.join(', ')})` : ''}.`, {
    next: 'novamem-runbook profile list, profile add FILE.yaml, or novamem-runbook sandbox up',
  });
}

const files = new WeakMap<Profile, string>();

/** What to give to `--profile` to mean this profile again: the file that was named, else its name. */
export const profileWord = (profile: Profile): string => files.get(profile) ?? profile.name;

const throwAway = new WeakSet<Profile>();

/** Says of a profile that this program made its cluster, to be broken at will. */
export function markThrowAway(profile: Profile): Profile {
  throwAway.add(profile);
  return profile;
}

export const isThrowAway = (profile: Profile): boolean => throwAway.has(profile);

/** The profile behind what was given to `--profile`: a YAML file, or a remembered name. */
export function findProfile(nameOrFile: string): Profile {
  if (existsSync(nameOrFile) && statSync(nameOrFile).isFile()) {
    const profile = readProfile(nameOrFile);
    files.set(profile, nameOrFile);
    return profile;
  }
  const { profiles } = listProfiles();
  if (Object.hasOwn(profiles, nameOrFile)) return readProfile(profiles[nameOrFile]!);
  throw noSuchProfile(nameOrFile, Object.keys(profiles), 'it is neither a file nor a remembered name');
}
