import { existsSync } from 'node:fs';
import { join } from 'node:path';
import Conf from 'conf';
import { Problem } from '../problem.js';
import { messageOf } from '../words.js';
import { homeFolder } from './home.js';

interface Kept {
  /** Cluster name → system identifiers of the Postgres that its profile has led to, the newest last. */
  identities: Record<string, string[]>;
}

const MOST = 10;

const kept = () =>
  new Conf<Kept>({
    projectName: 'novamem-runbook',
    cwd: homeFolder(),
    configName: 'identities',
    defaults: { identities: {} },
    accessPropertiesByDotNotation: false,
    configFileMode: 0o600,
  });

/** The system identifiers of the Postgres to which the profile of this cluster has led before, the newest last. */
export function knownIdentities(cluster: string): string[] {
  // Looking makes no file.
  if (!existsSync(join(homeFolder(), 'identities.json'))) return [];
  try {
    return kept().get('identities')[cluster] ?? [];
  } catch (error) {
    throw new Problem(`Which clusters the profiles have led to cannot be read: ${messageOf(error)}.`, {
      next: `look whether this is the right cluster, then remove ${join(homeFolder(), 'identities.json')}`,
    });
  }
}

/** Remembers to which Postgres the profile of this cluster leads. */
export function rememberIdentity(cluster: string, systemIdentifier: string): void {
  const known = knownIdentities(cluster);
  if (systemIdentifier === '' || known.at(-1) === systemIdentifier) return;
  const store = kept();
  const others = known.filter((one) => one !== systemIdentifier);
  store.set('identities', {
    ...store.get('identities'),
    [cluster]: [...others, systemIdentifier].slice(-MOST),
  });
}

/** Forgets a cluster that is no more. */
export function forgetIdentities(cluster: string): void {
  if (knownIdentities(cluster).length === 0) return;
  const { [cluster]: _, ...others } = kept().get('identities');
  kept().set('identities', others);
}
