import { existsSync, readFileSync } from 'node:fs';
import { SERVICES } from '../../src/config/profile.js';
import type { ProcessMark } from '../../src/hosts/process-mark.js';
import type { SandboxRecord } from '../../src/sandbox/registry.js';
import { placesIn } from '../../src/sandbox/sandbox-profile.js';
import { familyOf } from './eventually.js';

/** The processes of a sandbox's servers, and all that descend from them; of one that was stopped there are none. */
export function serversOf({ folder }: Pick<SandboxRecord, 'folder'>): number[] {
  const files = SERVICES.map((service) => placesIn(folder).pidFile(service)).filter((file) => existsSync(file));
  return familyOf(files.map((file) => (JSON.parse(readFileSync(file, 'utf8')) as ProcessMark).pid));
}
