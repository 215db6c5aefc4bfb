import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { z } from 'zod';
import type { S3Settings } from '../../config/s3.js';
import { type Fault, faultLine, faultsOf, parseYaml } from '../../config/yaml-file.js';
import { exists } from '../../hosts/files.js';
import { Problem } from '../../problem.js';
import { messageOf, shortened } from '../../words.js';
import { HERE } from '../storage/here.js';
import { folderOf, readWhole, type Storage, under } from '../storage/storage.js';
import { storageOf } from '../storage/storage-of.js';
import type { BackupFile, BackupSet } from './backup-set.js';
import { openLooseFiles } from './loose-files.js';
import { MANIFEST_FILE, type Manifest, manifestSchema, type PostgresBasePart, UNFINISHED_FILE } from './manifest.js';

/**
 * Opens the backup set in a folder: by its manifest, else by the content of the files that lie there. `s3`: the profile's
 * settings, for a folder in a bucket.
 */
export async function openBackupSet(folder: string, s3?: S3Settings): Promise<BackupSet> {
  const storage = storageOf(folder, s3);
  const place = storage.isHere ? resolve(folder) : folder.replace(/\/+$/, '');
  if (storage.isHere) await requireFolder(place);
  const manifest = under(place, MANIFEST_FILE);
  // Whatever has that name here, be it no file: such a set is not one of loose files.
  if (storage.isHere ? await exists(manifest) : await storage.seen(manifest)) return openWithManifest(place, storage);
  if (await storage.seen(under(place, UNFINISHED_FILE))) {
    throw new Problem(
      `The backup set ${place} is unfinished: the run that made it ended before its manifest was written.`,
      {
        next: 'choose another: novamem-runbook backups list',
      },
    );
  }
  return openLooseFiles(place, storage);
}

async function requireFolder(path: string): Promise<void> {
  if (!(await exists(path)) || !(await stat(path)).isDirectory()) {
    throw new Problem(`There is no backup set at ${path}: it is not a folder.`, {
      next: 'novamem-runbook backups list',
    });
  }
  await readdir(path).catch((error: unknown) => {
    throw new Problem(`The backup set ${path} cannot be read: ${messageOf(error)}.`, {
      next: 'make it readable for this user, or choose another: novamem-runbook backups list',
    });
  });
}

export const LARGEST_MANIFEST = 64 * 1024 * 1024;
/** Up to this size a faulty manifest is read once more as YAML, which takes a second for what JSON does in a hundredth of it. */
const LARGEST_PLACED = 256 * 1024;

const TOO_LARGE = 'it is larger than 64 MiB, and so not what it should be';

/** Reads and validates the manifest of a set on this machine, of at most 64 MiB. Faults of a small one are told with line and column. */
export function readManifest(folder: string): Manifest {
  const file = join(folder, MANIFEST_FILE);
  if (statSync(file).size > LARGEST_MANIFEST) throw faultyManifest([{ ...NO_PLACE, file, message: TOO_LARGE }]);
  return parseManifest(readFileSync(file), file);
}

/** Validates what was read of a manifest. */
export function parseManifest(bytes: Buffer, file: string): Manifest {
  const text = bytes.toString('utf8');
  let value: unknown;
  let fault = '';
  try {
    value = JSON.parse(text);
  } catch (error) {
    fault = shortened(messageOf(error));
  }
  const whole = manifestSchema.safeParse(value);
  if (whole.success) return whole.data;
  throw faultyManifest(
    bytes.length <= LARGEST_PLACED
      ? placedFaults(text, file)
      : [{ ...NO_PLACE, file, message: fault || firstOf(whole.error) }],
  );
}

const faultyManifest = (faults: Fault[]) =>
  new Problem(
    `The manifest cannot be used:\n${faults
      .slice(0, 10)
      .map((fault) => `  ${faultLine(fault)}`)
      .join('\n')}`,
    {
      next: 'choose another backup set: novamem-runbook backups list',
    },
  );

const NO_PLACE = { line: 0, column: 0 };

function placedFaults(text: string, file: string): Fault[] {
  const yaml = parseYaml(file, text, LARGEST_PLACED);
  const parsed = manifestSchema.safeParse(yaml.value);
  if (yaml.faults.length > 0) return yaml.faults;
  return parsed.success ? [{ ...NO_PLACE, file, message: 'it is no JSON' }] : faultsOf(yaml, parsed.error);
}

function firstOf({ issues: [issue] }: z.ZodError): string {
  return `${issue!.path.join('.')}: ${issue!.message}`;
}

async function baseAt(folder: string, storage: Storage, part: PostgresBasePart): Promise<BackupSet['postgresBase']> {
  const file = under(folder, part.folder, 'backup_manifest');
  const found = await storage.seen(file).catch(() => undefined);
  return {
    folder: under(folder, part.folder),
    manifest: { file, bytes: found?.bytes ?? 0, sha256: part.sha256, ...elsewhere(storage) },
    endedAt: new Date(part.at),
  };
}

/** What a set or a file says of where it lies. */
export const elsewhere = (storage: Storage) => (storage === HERE ? {} : { storage });

async function openWithManifest(folder: string, storage: Storage): Promise<BackupSet> {
  const file = under(folder, MANIFEST_FILE);
  const bytes = await readWhole(storage, file, LARGEST_MANIFEST).catch((error: unknown) => {
    throw error instanceof Problem ? error : faultyManifest([{ ...NO_PLACE, file, message: messageOf(error) }]);
  });
  const manifest = parseManifest(bytes, file);
  const at = (part: { file: string; bytes: number; sha256: string }): BackupFile => ({
    file: under(folder, part.file),
    bytes: part.bytes,
    sha256: part.sha256,
    ...elsewhere(storage),
  });
  const { postgres, postgresBase, qdrant, falkordb } = manifest.parts;
  const all = [...(postgres ? [postgres] : []), ...qdrant, ...falkordb];
  const instants = all.map((part) => Date.parse(part.at));
  const form = falkordb[0]?.form;
  return {
    id: manifest.id,
    folder,
    ...elsewhere(storage),
    kind: 'manifest',
    manifestSha256: createHash('sha256').update(bytes).digest('hex'),
    takenAt: instants.length > 0 ? new Date(Math.min(...instants)) : null,
    bytes: [...all, ...(postgresBase ? [postgresBase] : [])].reduce((sum, part) => sum + part.bytes, 0),
    ...(postgres ? { postgres: at(postgres) } : {}),
    ...(postgresBase ? { postgresBase: await baseAt(folder, storage, postgresBase) } : {}),
    qdrant: qdrant
      .map(({ collection, shard, creation, ...part }) => ({
        ...at(part),
        collection,
        ...(shard === undefined ? {} : { shard }),
        ...(creation ? { creation } : {}),
      }))
      .sort((a, b) =>
        a.collection === b.collection ? (a.shard ?? 0) - (b.shard ?? 0) : a.collection < b.collection ? -1 : 1,
      ),
    unnamed: [],
    ...(form
      ? {
          falkordb: {
            form,
            path:
              form === 'appendonlydir'
                ? folderOf(under(folder, falkordb[0]!.file))
                : under(folder, falkordb[0]!.file),
            files: falkordb.map(at),
          },
        }
      : {}),
    otherFalkordb: [],
    ...(manifest.inventory ? { inventory: manifest.inventory } : {}),
    moving: manifest.moving,
    goldenSearches: manifest.goldenSearches,
    ...(manifest.goldenSearchesBy ? { goldenSearchesBy: manifest.goldenSearchesBy } : {}),
    ...(manifest.cluster === undefined ? {} : { cluster: manifest.cluster }),
    skewMs: manifest.skewMs,
    unproven: manifest.notExact,
  };
}
