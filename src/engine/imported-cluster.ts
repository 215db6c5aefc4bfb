import { isIP } from 'node:net';
import type { ImportedProfile } from '../config/import/import-profile.js';
import { profileSchema, SERVICE_TITLES, SERVICES } from '../config/profile.js';
import { type PartSettings, type Tried, tryConnection } from '../stores/try-connection.js';

/** An imported profile whose every part was tried from here. */
export interface ImportedCluster extends ImportedProfile {
  tried: Tried[];
}

/**
 * Tries every part of an imported profile from this machine. A name that only a Compose network knows gives way to this machine's own
 * address where the same login is let in there, and that is said.
 */
export async function tryImported(imported: ImportedProfile): Promise<ImportedCluster> {
  const profile = structuredClone(imported.profile) as ImportedProfile['profile'] & Record<string, unknown>;
  const unknown = [...imported.unknown];
  const tried = await Promise.all(
    SERVICES.filter((service) => profile[service] !== undefined).map(async (service): Promise<Tried> => {
      const first = await tryConnection(partOf(profile, service));
      const settings = profile[service] as { url: string };
      const url = new URL(settings.url);
      const { hostname } = url;
      const isBareName = isIP(hostname) === 0 && !hostname.includes('.') && hostname !== 'localhost';
      if (first.outcome !== 'stopped' || !isBareName) return first;
      url.hostname = '127.0.0.1';
      const here = await tryConnection(
        partOf({ ...profile, [service]: { ...settings, url: url.toString() } }, service),
      );
      if (here.outcome !== 'answers') return first;
      settings.url = service === 'postgres' ? url.toString() : url.toString().replace(/\/$/, '');
      unknown.push(
        `whether 127.0.0.1:${url.port} is the ${SERVICE_TITLES[service]} that novamem calls ${hostname}: the name is not known here, and this one lets the same login in`,
      );
      return here;
    }),
  );
  return { ...imported, profile, unknown, tried };
}

/** One part of a profile with its defaults. */
function partOf(profile: object, service: PartSettings['service']): PartSettings {
  return { service, settings: profileSchema.parse(profile)[service] } as PartSettings;
}
