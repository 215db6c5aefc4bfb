import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { orElse } from '../../hosts/elsewhere/seen-in.js';
import { exists } from '../../hosts/files.js';
import type { HostFiles } from '../../hosts/host-files.js';
import { localFiles } from '../../hosts/local-files.js';
import { inspectCommand } from '../../hosts/run-command.js';
import { Problem } from '../../problem.js';
import { type Installation, installations } from './tools.js';
import { type Lsn, parseLsn } from './wal-position.js';

/** What `pg_controldata` says of a data directory. */
export interface ControlData {
  /** `in production`, `shut down`, `in archive recovery`; the program's own words. */
  state: string;
  lastModified: string;
  checkpointAt: string;
  timeline: number;
  /** Where its latest checkpoint begins: after a clean stop, the end of its log. */
  checkpoint: Lsn;
  segmentBytes: number;
  systemIdentifier: string;
  checksums: boolean;
  /** What is wrong with the control file itself; empty where nothing is. */
  fault: string;
}

/** The major version of a data directory, from its file PG_VERSION; undefined where there is none. */
export async function majorOf(dataDir: string, files: HostFiles = localFiles): Promise<number | undefined> {
  const text = String(await orElse(files.read(join(dataDir, 'PG_VERSION')), ''));
  const major = Number.parseInt(text, 10);
  return Number.isNaN(major) ? undefined : major;
}

/** The installation whose server programs fit a major version. A Problem where this machine has none. */
export async function serverProgramsFor(major: number): Promise<Installation> {
  for (const one of await installations())
    if (one.major === major && (await exists(join(one.bin, 'postgres')))) return one;
  throw new Problem(`the server programs of Postgres ${major} are not installed on this machine`, {
    next: `install them (Debian: apt-get install postgresql-${major}), or copy the data directory to a machine that has them`,
  });
}

/**
 * Reads the control file of a data directory that nobody need be serving. Rejects where pg_controldata cannot be run or read it. It is this
 * machine's program that reads it: on the host of the data there may be none, and in a container that is stopped none can be run.
 */
export async function readControlData(
  dataDir: string,
  tools?: Installation,
  files: HostFiles = localFiles,
): Promise<ControlData> {
  if (files !== localFiles) return readFetched(dataDir, tools, files);
  const major = (await majorOf(dataDir)) ?? 0;
  const all = await installations();
  const candidates = tools ? [tools] : [...all.filter((one) => one.major === major), ...all];
  for (const { bin } of candidates) {
    const file = join(bin, 'pg_controldata');
    if (!(await exists(file))) continue;
    const asked = await inspectCommand({ file, args: [dataDir], environment: { LC_ALL: 'C' } });
    if (asked.exitCode !== 0) throw new Error(`pg_controldata ${dataDir}: ${asked.stderr.trim() || asked.failure}`);
    const data = parseControlData(asked.stdout);
    if (data.systemIdentifier === '') throw new Error(`pg_controldata ${dataDir}: it says nothing that is known`);
    return data;
  }
  throw new Error('pg_controldata is not installed on this machine');
}

async function readFetched(dataDir: string, tools: Installation | undefined, files: HostFiles): Promise<ControlData> {
  const needed = ['PG_VERSION', 'global/pg_control'];
  const contents = await Promise.all(needed.map((name) => files.read(join(dataDir, name))));
  const folder = await mkdtemp(join(tmpdir(), 'novamem-runbook-control-'));
  try {
    await mkdir(join(folder, 'global'));
    for (const [at, name] of needed.entries()) await writeFile(join(folder, name), contents[at]!);
    return await readControlData(folder, tools);
  } catch (error) {
    throw new Error((error as Error).message.replaceAll(folder, dataDir), { cause: error });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Parses the output of pg_controldata. A control file whose own checksum does not fit is printed with a warning and exit 0. */
export function parseControlData(text: string): ControlData {
  const field = (name: string) => new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(text)?.[1]?.trim() ?? '';
  const warning = /^WARNING: (.*)$/m.exec(text)?.[1] ?? '';
  return {
    state: field('Database cluster state'),
    lastModified: field('pg_control last modified'),
    checkpointAt: field('Time of latest checkpoint'),
    timeline: Number(field("Latest checkpoint's TimeLineID")),
    checkpoint: parseLsn(field('Latest checkpoint location')) ?? 0,
    segmentBytes: Number(field('Bytes per WAL segment')),
    systemIdentifier: field('Database system identifier'),
    checksums: Number(field('Data page checksum version')) > 0,
    fault: warning,
  };
}
