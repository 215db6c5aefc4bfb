import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { MANIFEST_FILE } from '../../src/stores/backup-set/manifest.js';

/** A backup set with a manifest below a root, as far as a listing looks: nothing could be restored from its only file. */
export function listedSet(root: string, { id, at, cluster }: { id: string; at: Date; cluster?: string }): void {
  const folder = join(root, id);
  mkdirSync(join(folder, 'postgres'), { recursive: true });
  writeFileSync(join(folder, 'postgres/novamem.dump'), 'x');
  const instant = at.toISOString();
  const versions = { toolVersion: 'x', serverVersion: 'y' };
  const postgres = { file: 'postgres/novamem.dump', bytes: 1, sha256: 'a'.repeat(64), at: instant, ...versions };
  writeFileSync(
    join(folder, MANIFEST_FILE),
    JSON.stringify({
      version: 1,
      id,
      ...(cluster === undefined ? {} : { cluster }),
      startedAt: instant,
      finishedAt: instant,
      skewMs: 0,
      parts: { postgres, qdrant: [], falkordb: [] },
      notExact: [],
      goldenSearches: [],
    }),
  );
}
