import { resolve, sep } from 'node:path';
import { type Profile, SERVICES } from '../config/profile.js';
import { markThrowAway, readProfile } from '../config/profiles.js';
import { EXIT, Problem } from '../problem.js';
import type { SandboxRecord } from './registry.js';
import { placesIn } from './sandbox-profile.js';

/**
 * The profile of a sandbox, as long as it leads nowhere but into its folder and to its ports: what is to be broken at will must not be
 * anything else.
 */
export function ownProfile(record: SandboxRecord): Profile {
  const { folder, ports } = record;
  const { profile: file } = placesIn(folder);
  const profile = readProfile(file);
  const { postgres, qdrant, falkordb, novamem, services } = profile;
  const places = [postgres.dataDir, postgres.walArchive, qdrant.dataDir, falkordb.dataDir, ...profile.backups];
  const strange = [
    ...[postgres, qdrant, falkordb, novamem].map((one) => one?.url ?? '').filter((url) => !leadsTo(url, ports)),
    ...places.filter((place) => place !== undefined && !isWithin(folder, place)),
    ...SERVICES.filter((service) => services[service]?.driver !== 'process'),
    ...(profile.name === record.name ? [] : [profile.name]),
  ];
  if (strange.length === 0) return markThrowAway(profile);
  throw new Problem(
    `The profile of the sandbox ${record.name} was changed: ${strange.join(', ')} is none of its own.`,
    {
      exitCode: EXIT.refused,
      next: `make a profile of your own from a copy of ${file}, and the sandbox anew: novamem-runbook sandbox down --name ${record.name}`,
    },
  );
}

function leadsTo(url: string, ports: SandboxRecord['ports']): boolean {
  const { hostname, port } = new URL(url);
  return hostname === '127.0.0.1' && Object.values(ports).map(String).includes(port);
}

const isWithin = (folder: string, place: string) => resolve(place).startsWith(folder + sep);
