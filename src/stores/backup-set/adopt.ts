import type { S3Settings } from '../../config/s3.js';
import type { Gateway } from '../../hosts/gateway.js';
import { Problem } from '../../problem.js';
import { instantOf, plural } from '../../words.js';
import { under } from '../storage/storage.js';
import { storageOf } from '../storage/storage-of.js';
import { type BackupFile, type BackupSet, checksumOf } from './backup-set.js';
import { dumpedAt, openLooseFiles } from './loose-files.js';
import { MANIFEST_FILE, type Manifest, UNFINISHED_FILE } from './manifest.js';
import { openBackupSet } from './open-backup-set.js';

const UNKNOWN = 'unknown';

/**
 * Writes a manifest into a folder of loose files, so that whatever changes in them from now on is seen. Nothing is moved or
 * copied. What cannot be proven about files of unknown origin is written into it. `onFile` is told of each file once it is read.
 */
export async function adopt(
  gateway: Gateway,
  folder: string,
  { cluster, s3, onFile = () => {} }: { cluster?: string; s3?: S3Settings; onFile?: (file: BackupFile) => void } = {},
): Promise<BackupSet> {
  const storage = storageOf(folder, s3);
  const inside = (file: string) => file.slice(folder.length + 1);
  for (const name of [MANIFEST_FILE, UNFINISHED_FILE])
    if (await storage.seen(under(folder, name)))
      throw new Problem(`${folder} is a backup set of this program already (it has ${name}).`, {
        next: 'novamem-runbook backups verify FOLDER',
      });
  const set = await openLooseFiles(folder, storage);
  if (set.unnamed.length > 0)
    throw new Problem(
      `Nothing says into which collection these snapshots belong: ${set.unnamed.map((one) => inside(one.file)).join(', ')}.`,
      { next: 'rename each to COLLECTION.snapshot, then adopt the folder again' },
    );
  const now = new Date();
  const instants: number[] = [];
  const part = async (file: BackupFile, at: Date) => {
    const sha256 = await checksumOf(file);
    instants.push(at.getTime());
    onFile(file);
    return {
      file: inside(file.file),
      bytes: file.bytes,
      sha256,
      at: at.toISOString(),
      toolVersion: UNKNOWN,
      serverVersion: UNKNOWN,
    };
  };
  const writtenAt = async ({ file }: BackupFile) => (await storage.seen(file))!.writtenAt;
  const parts: Manifest['parts'] = { qdrant: [], falkordb: [] };
  if (set.postgres) parts.postgres = await part(set.postgres, await dumpedAt(set.postgres));
  for (const one of set.qdrant)
    parts.qdrant.push({ ...(await part(one, await writtenAt(one))), collection: one.collection });
  for (const one of set.falkordb?.files ?? [])
    parts.falkordb.push({ ...(await part(one, await writtenAt(one))), form: set.falkordb!.form });
  const [oldest, newest] = [Math.min(...instants), Math.max(...instants)];
  const manifest: Manifest = {
    version: 1,
    id: set.id,
    ...(cluster === undefined ? {} : { cluster }),
    startedAt: new Date(oldest).toISOString(),
    finishedAt: new Date(newest).toISOString(),
    adoptedAt: now.toISOString(),
    skewMs: newest - oldest,
    parts,
    notExact: [
      `adopted on ${instantOf(now)}: what was changed in these files before cannot be seen, and there is no inventory to compare with`,
      ...set.unproven.slice(1),
    ],
    moving: { qdrant: {} },
    goldenSearches: [],
  };
  await storage.putText(gateway, under(folder, MANIFEST_FILE), `${JSON.stringify(manifest, null, 1)}\n`);
  return openBackupSet(folder, s3);
}

/** What an adopted set holds, for people. */
export function heldBy({ postgres, qdrant, falkordb }: BackupSet): string {
  return [
    postgres ? 'a Postgres dump' : 'no Postgres dump',
    qdrant.length > 0 ? plural(qdrant.length, 'Qdrant snapshot') : 'no Qdrant snapshot',
    falkordb ? `FalkorDB ${falkordb.form}` : 'no FalkorDB data',
  ].join(', ');
}
