import { existsSync } from 'node:fs';
import { join } from 'node:path';
import Conf from 'conf';
import { z } from 'zod';
import { Problem } from '../problem.js';
import { messageOf } from '../words.js';
import { homeFolder } from './home.js';

const identitySchema = z.object({
  /** Where each store was, when it was last led to. */
  addresses: z.object({ postgres: z.string(), qdrant: z.string(), falkordb: z.string() }),
  /** System identifiers of every Postgres that it has led to, the newest last. */
  systemIdentifiers: z.array(z.string()),
});
/** To which cluster a profile has led. */
export type Identity = z.infer<typeof identitySchema>;

interface Kept {
  identities: Record<string, Identity>;
}

const MOST = 10;

const file = () => join(homeFolder(), 'identities.json');

const kept = () =>
  new Conf<Kept>({
    projectName: 'novamem-runbook',
    cwd: homeFolder(),
    configName: 'identities',
    defaults: { identities: {} },
    accessPropertiesByDotNotation: false,
    configFileMode: 0o600,
  });

/** To which cluster the profile of that name has led before; undefined where nothing is known. */
export function knownIdentity(cluster: string): Identity | undefined {
  // Looking makes no file.
  if (!existsSync(file())) return undefined;
  try {
    return z.record(z.string(), identitySchema).parse(kept().get('identities'))[cluster];
  } catch (error) {
    throw new Problem(
      `Which clusters the profiles have led to cannot be read: ${error instanceof z.ZodError ? 'not written by this program' : messageOf(error)}.`,
      { next: `look whether this is the right cluster, then remove ${file()}` },
    );
  }
}

/** Remembers to which cluster the profile of that name leads now. `systemIdentifier`: empty where Postgres does not tell. */
export function rememberIdentity(
  cluster: string,
  { addresses, systemIdentifier }: { addresses: Identity['addresses']; systemIdentifier: string },
): void {
  const known = knownIdentity(cluster)?.systemIdentifiers ?? [];
  const others = known.filter((one) => one !== systemIdentifier);
  const store = kept();
  store.set('identities', {
    ...store.get('identities'),
    [cluster]: {
      addresses,
      systemIdentifiers: (systemIdentifier === '' ? known : [...others, systemIdentifier]).slice(-MOST),
    },
  });
}

/** Forgets a cluster that is no more. */
export function forgetIdentity(cluster: string): void {
  if (knownIdentity(cluster) === undefined) return;
  const store = kept();
  const { [cluster]: _, ...others } = store.get('identities');
  store.set('identities', others);
}
