import { messageOf } from '../../words.js';
import { resolveSecret } from '../secrets.js';

/** Settings that may be in a file of their own, which `NAME_FILE` then names. */
const READ = [
  ...['NOVAMEM_WARM_URL', 'NOVAMEM_COLD_URL', 'NOVAMEM_COLD_API_KEY', 'NOVAMEM_GRAPH_URL', 'NOVAMEM_PORT'],
  ...['POSTGRES_PASSWORD', 'POSTGRES_USER', 'POSTGRES_DB', 'QDRANT__SERVICE__API_KEY'],
];

/** A setting that stands alone somewhere else. */
export interface SettingElsewhere {
  name: string;
  /** `file:/run/secrets/db`, `env:DB_PASSWORD`. */
  reference: string;
  /** Absent where it could not be had. */
  value?: string;
}

/**
 * Adds to the settings what stands in files of their own. `referenceTo` says where that is on this machine, and nothing where it is not
 * known; `of` names whose settings they are.
 */
export function readSettingFiles(
  settings: Map<string, string>,
  referenceTo: (path: string) => string | undefined,
  of: string,
): { elsewhere: SettingElsewhere[]; unknown: string[] } {
  const elsewhere: SettingElsewhere[] = [];
  const unknown: string[] = [];
  for (const name of READ) {
    const path = settings.get(`${name}_FILE`);
    if (!path || settings.get(name)) continue;
    const reference = referenceTo(path);
    if (reference === undefined) {
      unknown.push(
        `${name}, which ${of} reads from ${path}: what that is on this machine is not known; add a reference to it to the profile (file:/a/path)`,
      );
      continue;
    }
    try {
      const value = resolveSecret(reference, name);
      elsewhere.push({ name, reference, value });
      settings.set(name, value);
    } catch (error) {
      elsewhere.push({ name, reference });
      unknown.push(`${name}: ${messageOf(error).replace(/\.$/, '')}`);
    }
  }
  return { elsewhere, unknown };
}
