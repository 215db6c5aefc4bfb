import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { exists } from '../../hosts/files.js';
import { inspectCommand } from '../../hosts/run-command.js';
import { Problem } from '../../problem.js';

/** One installed set of Postgres programs. */
export interface Installation {
  /** The folder of the programs. */
  bin: string;
  /** `15`, `17` */
  major: number;
  /** `15.18` */
  version: string;
}

const SYSTEM_FOLDERS = ['/usr/lib/postgresql', '/opt/homebrew/opt', '/usr/local/opt', '/usr/local'];

async function candidateFolders(): Promise<string[]> {
  const fromPath = (process.env.PATH ?? '').split(':').filter((folder) => folder !== '');
  const fromSystem = await Promise.all(
    SYSTEM_FOLDERS.map(async (base) => {
      const names = await readdir(base).catch(() => []);
      return names.filter((name) => /^(\d+|postgresql.*|pgsql.*)$/.test(name)).map((name) => join(base, name, 'bin'));
    }),
  );
  return [...new Set([...fromSystem.flat(), ...fromPath])];
}

let known: Promise<Installation[]> | undefined;

/** Every installation on this machine that has pg_restore, newest first. */
export function installations(): Promise<Installation[]> {
  known ??= (async () => {
    const found = await Promise.all(
      (await candidateFolders()).map(async (bin) => {
        if (!(await exists(join(bin, 'pg_restore')))) return undefined;
        const asked = await inspectCommand({ file: join(bin, 'pg_restore'), args: ['--version'] }, 10_000);
        const version = /\(PostgreSQL\) (\d+(?:\.\d+)*)/.exec(asked.stdout)?.[1];
        return version ? { bin, version, major: Number.parseInt(version, 10) } : undefined;
      }),
    );
    const whole = found.filter((installation) => installation !== undefined);
    return whole.sort(
      (a, b) => b.major - a.major || Number(b.bin.startsWith('/usr/lib')) - Number(a.bin.startsWith('/usr/lib')),
    );
  })();
  return known;
}

/**
 * The programs to use against a server: of its own major version, else the next older that is here, else the next newer.
 * Newer ones set parameters that an older server does not know, older ones cannot read newer dumps.
 */
export async function toolsFor(serverMajor: number): Promise<Installation> {
  const all = await installations();
  if (all.length === 0) throw notInstalled(String(serverMajor));
  return (
    all.find((one) => one.major === serverMajor) ??
    all.find((one) => one.major < serverMajor) ??
    [...all].reverse().find((one) => one.major > serverMajor)!
  );
}

/** The newest programs of this machine: they read a dump of any older version. */
export async function newestTools(): Promise<Installation> {
  const [newest] = await installations();
  if (!newest) throw notInstalled('');
  return newest;
}

function notInstalled(major: string): Problem {
  return new Problem(
    'pg_restore and pg_dump are not installed on this machine (looked on the PATH and in the usual folders).',
    {
      next: `install the PostgreSQL client programs${major === '' ? '' : ` of version ${major}`} (Debian: apt-get install postgresql-client${major === '' ? '' : `-${major}`})`,
    },
  );
}
