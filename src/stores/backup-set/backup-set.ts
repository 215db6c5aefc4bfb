import { readFileSync, statSync } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { faultLine, faultsOf, readYamlFile } from '../../config/yaml-file.js';
import { exists } from '../../hosts/files.js';
import { Problem } from '../../problem.js';
import type { FalkordbFiles } from '../falkordb/persistence.js';
import { openLooseFiles } from './loose-files.js';
import { type Inventory, MANIFEST_FILE, type Manifest, manifestSchema, UNFINISHED_FILE } from './manifest.js';

/** A file to restore from. `sha256` only where a manifest vouches for it. */
export interface BackupFile {
  file: string;
  bytes: number;
  sha256?: string;
}

/** A backup set as the steps use it, whether it has a manifest or is a folder of loose files. */
export interface BackupSet {
  id: string;
  folder: string;
  kind: 'manifest' | 'loose';
  /** The oldest instant among its stores: what is younger is lost by restoring it. Null when nothing says. */
  takenAt: Date | null;
  bytes: number;
  postgres?: BackupFile;
  /** Sorted by collection. A loose snapshot whose name does not tell its collection is in `unnamed` instead. */
  qdrant: (BackupFile & { collection: string })[];
  unnamed: BackupFile[];
  falkordb?: FalkordbFiles & { files: BackupFile[] };
  /** Other forms of the same store that lie beside it. */
  otherFalkordb: (FalkordbFiles & { files: BackupFile[] })[];
  inventory?: Inventory;
  cluster?: string;
  skewMs?: number;
  /** What cannot be proven about it, a sentence each. */
  unproven: string[];
}

/** Opens the backup set in a folder: by its manifest, else by the content of the files that lie there. */
export async function openBackupSet(folder: string): Promise<BackupSet> {
  const path = resolve(folder);
  if (!(await exists(path)) || !(await stat(path)).isDirectory()) {
    throw new Problem(`There is no backup set at ${path}: it is not a folder.`, {
      next: 'novamem-runbook backups list',
    });
  }
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

/** Reads and validates a manifest of at most 64 MiB. One that is faulty is read once more as YAML, to say line and column. */
export function readManifest(folder: string): Manifest {
  const file = join(folder, MANIFEST_FILE);
  const whole = manifestSchema.safeParse(jsonIn(file));
  if (whole.success) return whole.data;
  const yaml = readYamlFile(file, LARGEST_MANIFEST);
  const parsed = manifestSchema.safeParse(yaml.value);
  if (parsed.success) return parsed.data;
  const faults = yaml.faults.length > 0 ? yaml.faults : faultsOf(yaml, parsed.error);
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

function jsonIn(file: string): unknown {
  if (statSync(file).size > LARGEST_MANIFEST) return undefined;
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
}

async function openWithManifest(folder: string): Promise<BackupSet> {
  const manifest = readManifest(folder);
  const at = (part: { file: string; bytes: number; sha256: string }): BackupFile => ({
    file: join(folder, part.file),
    bytes: part.bytes,
    sha256: part.sha256,
  });
  const { postgres, qdrant, falkordb } = manifest.parts;
  const all = [...(postgres ? [postgres] : []), ...qdrant, ...falkordb];
  const instants = all.map((part) => Date.parse(part.at));
  const form = falkordb[0]?.form;
  return {
    id: manifest.id,
    folder,
    kind: 'manifest',
    takenAt: instants.length > 0 ? new Date(Math.min(...instants)) : null,
    bytes: all.reduce((sum, part) => sum + part.bytes, 0),
    ...(postgres ? { postgres: at(postgres) } : {}),
    qdrant: qdrant
      .map((part) => ({ ...at(part), collection: part.collection }))
      .sort((a, b) => (a.collection < b.collection ? -1 : 1)),
    unnamed: [],
    ...(form
      ? {
          falkordb: {
            form,
            path:
              form === 'appendonlydir' ? join(folder, 'falkordb', 'appendonlydir') : join(folder, falkordb[0]!.file),
            files: falkordb.map(at),
          },
        }
      : {}),
    otherFalkordb: [],
    inventory: manifest.inventory,
    cluster: manifest.cluster,
    skewMs: manifest.skewMs,
    unproven: manifest.notExact,
  };
}

/** One entry of a listing: a set that can be opened, or why it cannot. */
export type ListedSet =
  | { id: string; folder: string; set: BackupSet }
  | { id: string; folder: string; problem: string };

/** Every backup set below the roots, newest first. Roots that cannot be read are listed with their problem. */
export async function listBackupSets(roots: readonly string[]): Promise<ListedSet[]> {
  const listed = await Promise.all(roots.map(listRoot));
  return listed.flat().sort((a, b) => instantOf(b) - instantOf(a));
}

const instantOf = (listed: ListedSet) => ('set' in listed ? (listed.set.takenAt?.getTime() ?? 0) : 0);

async function listRoot(root: string): Promise<ListedSet[]> {
  if (/^[a-z0-9]+:\/\//.test(root))
    return [{ id: root, folder: root, problem: 'only local folders can be read as a backup root' }];
  const names = await readdir(root, { withFileTypes: true }).catch(() => undefined);
  if (!names) return [{ id: root, folder: root, problem: 'this backup root cannot be read, or does not exist' }];
  const folders = names
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
    .map((entry) => join(root, entry.name));
  return Promise.all(
    folders.map(async (folder): Promise<ListedSet> => {
      const id = basename(folder);
      try {
        const set = await openBackupSet(folder);
        return { id, folder, set };
      } catch (error) {
        return { id, folder, problem: error instanceof Problem ? error.message : String(error) };
      }
    }),
  );
}

/** The set behind `--backup`: a path, an id below the roots, or `latest` (the newest that has a manifest, else the newest). */
export async function findBackupSet(wanted: string, roots: readonly string[]): Promise<BackupSet> {
  const looksLikePath = wanted.includes('/') || wanted === '.' || wanted === '..';
  if (wanted !== 'latest' && (looksLikePath || (await exists(wanted)))) return openBackupSet(wanted);
  const listed = await listBackupSets(roots);
  const usable = listed.flatMap((one) => ('set' in one ? [one.set] : []));
  const found =
    wanted === 'latest'
      ? (usable.find((set) => set.kind === 'manifest') ?? usable[0])
      : usable.find((set) => set.id === wanted);
  if (found) return found;
  const refused = listed.find((one) => one.id === wanted);
  if (refused && 'problem' in refused)
    throw new Problem(`The backup set ${wanted} cannot be used: ${refused.problem}`);
  throw new Problem(
    roots.length === 0
      ? 'The profile names no backup root (`backups: [ FOLDER ]`), so there is nothing to restore from.'
      : `There is no backup set ${wanted === 'latest' ? '' : `"${wanted}" `}below ${roots.join(', ')}${listed.length > 0 ? ` (seen: ${listed.map((one) => one.id).join(', ')})` : ''}.`,
    { next: 'name one with --backup FOLDER, or see: novamem-runbook backups list' },
  );
}

/** Bytes of a file that is there; the manifest's word is not enough. */
export async function bytesOf(file: string): Promise<number> {
  return (await stat(file)).size;
}
