import { existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { homeFolder, homeSubfolder } from '../config/home.js';
import { isAlive, type ProcessMark } from '../hosts/process-mark.js';
import { Problem } from '../problem.js';

/** What is kept of one sandbox, from before its first file until after its last. */
export interface SandboxRecord {
  name: string;
  folder: string;
  createdAt: string;
  /** `starting` until everything answers: one that is found so, with its maker gone, is a wreck. */
  state: 'starting' | 'up';
  maker: ProcessMark;
  /** Set when the sandbox lives only as long as this process. */
  owner?: ProcessMark;
  /** The disaster that a seed has chosen, and that has happened to it: told when it is asked for. */
  struck?: { seed: string; disaster: string };
  ports: { postgres: number; qdrant: number; qdrantGrpc: number; falkordb: number; novamem: number };
}

const RECORDS = 'sandboxes';
const recordFile = (name: string) => join(homeFolder(), RECORDS, `${name}.json`);

export function writeRecord(record: SandboxRecord): void {
  const file = recordFile(record.name);
  const fresh = `${file}.${process.pid}`;
  writeFileSync(fresh, JSON.stringify(record, null, 1), { mode: 0o600 });
  // Renamed into place: whoever reads it meanwhile sees the old one or the new one, never half of it.
  renameSync(fresh, file);
}

export function readRecord(name: string): SandboxRecord | undefined {
  const file = recordFile(name);
  if (!existsSync(file)) return undefined;
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as SandboxRecord;
  } catch {
    throw new Problem(`The record of the sandbox ${name} cannot be read: ${file} is not JSON.`, {
      next: `look for what it left below the folder for temporary files, then: rm ${file}`,
    });
  }
}

export function removeRecord(name: string): void {
  rmSync(recordFile(name), { force: true });
}

export function listRecords(): SandboxRecord[] {
  const folder = join(homeFolder(), RECORDS);
  // Looking makes no folder.
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => name.endsWith('.json'))
    .map((name) => readRecord(name.slice(0, -5))!)
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Writes the first record of a sandbox; answers false when another process was faster. */
export function claimRecord(record: SandboxRecord): boolean {
  homeSubfolder(RECORDS);
  try {
    writeFileSync(recordFile(record.name), JSON.stringify(record, null, 1), { mode: 0o600, flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** A sandbox that nobody needs any more: its owner or its folder is gone, or it was never finished and its maker is gone. */
export function isStale(record: SandboxRecord): boolean {
  if (record.state === 'up' && !existsSync(record.folder)) return true;
  if (record.owner) return !isAlive(record.owner);
  return record.state === 'starting' && !isAlive(record.maker);
}
