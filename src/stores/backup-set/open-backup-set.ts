import { readFileSync, statSync } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { z } from 'zod';
import { type Fault, faultLine, faultsOf, readYamlFile } from '../../config/yaml-file.js';
import { exists, sha256Of } from '../../hosts/files.js';
import { Problem } from '../../problem.js';
import { messageOf, shortened } from '../../words.js';
import { type BackupFile, type BackupSet, bytesOf } from './backup-set.js';
import { openLooseFiles } from './loose-files.js';
import { MANIFEST_FILE, type Manifest, manifestSchema, type PostgresBasePart, UNFINISHED_FILE } from './manifest.js';

/** Opens the backup set in a folder: by its manifest, else by the content of the files that lie there. */
export async function openBackupSet(folder: string): Promise<BackupSet> {
  const path = resolve(folder);
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
  if (await exists(join(path, MANIFEST_FILE))) return openWithManifest(path);
  if (await exists(join(path, UNFINISHED_FILE))) {
    throw new Problem(
      `The backup set ${path} is unfinished: the run that made it ended before its manifest was written.`,
      {
        next: 'choose another: novamem-runbook backups list',
      },
    );
  }
  return openLooseFiles(path);
}

const LARGEST_MANIFEST = 64 * 1024 * 1024;
/** Up to this size a faulty manifest is read once more as YAML, which takes a second for what JSON does in a hundredth of it. */
const LARGEST_PLACED = 256 * 1024;

/** Reads and validates a manifest of at most 64 MiB. Faults of a small one are told with line and column. */
export function readManifest(folder: string): Manifest {
  const file = join(folder, MANIFEST_FILE);
  const read = jsonIn(file);
  const whole = manifestSchema.safeParse(read.value);
  if (whole.success) return whole.data;
  const faults = read.isPlaceable
    ? placedFaults(file)
    : [{ ...NO_PLACE, file, message: read.fault || firstOf(whole.error) }];
  throw new Problem(
    `The manifest cannot be used:\n${faults
      .slice(0, 10)
      .map((fault) => `  ${faultLine(fault)}`)
      .join('\n')}`,
    {
      next: 'choose another backup set: novamem-runbook backups list',
    },
  );
}

const NO_PLACE = { line: 0, column: 0 };

function placedFaults(file: string): Fault[] {
  const yaml = readYamlFile(file, LARGEST_PLACED);
  const parsed = manifestSchema.safeParse(yaml.value);
  if (yaml.faults.length > 0) return yaml.faults;
  return parsed.success ? [{ ...NO_PLACE, file, message: 'it is no JSON' }] : faultsOf(yaml, parsed.error);
}

function firstOf({ issues: [issue] }: z.ZodError): string {
  return `${issue!.path.join('.')}: ${issue!.message}`;
}

function jsonIn(file: string): { value: unknown; fault: string; isPlaceable: boolean } {
  const { size } = statSync(file);
  const isPlaceable = size <= LARGEST_PLACED;
  if (size > LARGEST_MANIFEST)
    return { value: undefined, fault: 'it is larger than 64 MiB, and so not what it should be', isPlaceable };
  try {
    return { value: JSON.parse(readFileSync(file, 'utf8')), fault: '', isPlaceable };
  } catch (error) {
    return { value: undefined, fault: shortened(messageOf(error)), isPlaceable };
  }
}

async function baseAt(folder: string, part: PostgresBasePart): Promise<BackupSet['postgresBase']> {
  const file = join(folder, part.folder, 'backup_manifest');
  return {
    folder: join(folder, part.folder),
    manifest: { file, bytes: await bytesOf(file).catch(() => 0), sha256: part.sha256 },
    endedAt: new Date(part.at),
  };
}

async function openWithManifest(folder: string): Promise<BackupSet> {
  const manifest = readManifest(folder);
  const at = (part: { file: string; bytes: number; sha256: string }): BackupFile => ({
    file: join(folder, part.file),
    bytes: part.bytes,
    sha256: part.sha256,
  });
  const { postgres, postgresBase, qdrant, falkordb } = manifest.parts;
  const all = [...(postgres ? [postgres] : []), ...qdrant, ...falkordb];
  const instants = all.map((part) => Date.parse(part.at));
  const form = falkordb[0]?.form;
  return {
    id: manifest.id,
    folder,
    kind: 'manifest',
    manifestSha256: await sha256Of(join(folder, MANIFEST_FILE)),
    takenAt: instants.length > 0 ? new Date(Math.min(...instants)) : null,
    bytes: [...all, ...(postgresBase ? [postgresBase] : [])].reduce((sum, part) => sum + part.bytes, 0),
    ...(postgres ? { postgres: at(postgres) } : {}),
    ...(postgresBase ? { postgresBase: await baseAt(folder, postgresBase) } : {}),
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
              form === 'appendonlydir' ? dirname(join(folder, falkordb[0]!.file)) : join(folder, falkordb[0]!.file),
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
