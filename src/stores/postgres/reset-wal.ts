import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command, User } from '../../hosts/command.js';
import { exists, giveTo, writeText } from '../../hosts/files.js';
import type { Gateway } from '../../hosts/gateway.js';
import { runCommand } from '../../hosts/run-command.js';
import { readControlData } from './control-data.js';
import type { Installation } from './tools.js';

// The last resort, for copies only: a data directory without its write-ahead log. What was not yet in the data files is
// lost, and a transaction may be there by half. https://www.postgresql.org/docs/current/app-pgresetwal.html

const HEX = /^[0-9A-F]{4,}$/;

/** Values that the control file held, guessed as its documentation says: one beyond what the files know of. */
async function guesses(dataDir: string): Promise<string[]> {
  const numbers = async (folder: string) =>
    (await readdir(join(dataDir, folder)).catch(() => [] as string[]))
      .filter((name) => HEX.test(name))
      .map((name) => Number.parseInt(name, 16))
      .sort((a, b) => a - b);
  const next = (all: number[], perFile: number) => ((all.at(-1) ?? -1) + 1) * perFile;
  const [transactions, offsets, members] = [
    await numbers('pg_xact'),
    await numbers('pg_multixact/offsets'),
    await numbers('pg_multixact/members'),
  ];
  return [
    ...(transactions.length > 0 ? ['-x', String(next(transactions, 0x100000))] : []),
    ...(offsets.length > 0 ? ['-m', `${next(offsets, 0x10000)},${Math.max(1, offsets[0]! * 0x10000)}`] : []),
    ...(members.length > 0 ? ['-O', String(next(members, 52_352))] : []),
  ];
}

/** Gives a stopped data directory a new, empty write-ahead log, so that it can be started. Never for the original. */
export async function resetWal(
  gateway: Gateway,
  dataDir: string,
  programs: Installation,
  user: User | undefined,
  onLine: (line: string) => void,
): Promise<void> {
  const control = await readControlData(dataDir).catch(() => undefined);
  const sound = control !== undefined && control.fault === '';
  const file = join(dataDir, 'global', 'pg_control');
  if (!(await exists(file))) {
    await writeText(gateway, file, '');
    if (user) await giveTo(gateway, file, user);
  }
  const command: Command = {
    file: join(programs.bin, 'pg_resetwal'),
    args: ['-f', ...(sound ? [] : await guesses(dataDir)), '-D', dataDir],
    environment: { LC_ALL: 'C' },
    ...(user ? { user } : {}),
  };
  const lines: string[] = [];
  const ended = await runCommand(gateway, command, {
    onLine: (line) => {
      lines.push(line);
      onLine(line);
    },
  });
  if (ended.exitCode !== 0)
    throw new Error(
      `pg_resetwal ended with ${ended.exitCode ?? ended.failure}: ${lines.at(-1) ?? 'it printed nothing'}`,
    );
}
