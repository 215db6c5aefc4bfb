import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  appendFileSync,
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { stringify } from 'yaml';
import type { Profile } from '../config/profile.js';
import { shellWord } from '../hosts/command.js';
import { Problem } from '../problem.js';
import { messageOf } from '../words.js';
import type { Binaries } from './binaries.js';
import type { SandboxRecord } from './registry.js';
import { placesIn, profileOf, type SandboxShape } from './sandbox-profile.js';
import type { StandInSettings } from './stand-in.js';

/** Makes the folder, the secrets, the configuration and an empty Postgres data directory. */
export async function lay(record: SandboxRecord, binaries: Binaries, shape: SandboxShape): Promise<Profile> {
  const { folder, ports } = record;
  const places = placesIn(folder);
  const user = unprivilegedUser();
  mkdirSync(folder, { mode: 0o711 });
  for (const name of ['secrets', 'pids', 'falkordb', 'qdrant', 'backups'])
    mkdirSync(join(folder, name), { mode: 0o700 });
  mkdirSync(join(folder, 'logs'), { mode: 0o711 });
  const secrets = { postgres: secret(), qdrant: secret(), falkordb: secret(), novamem: `nm_${secret()}` };
  const keep = (path: string, text: string) => writeFileSync(path, text, { mode: 0o600 });
  for (const [name, value] of Object.entries(secrets)) keep(places.secret(name), `${value}\n`);
  keep(places.secret('qdrant-environment'), `QDRANT__SERVICE__API_KEY=${secrets.qdrant}\n`);
  keep(
    places.falkordbConfig,
    [
      'bind 127.0.0.1',
      `port ${ports.falkordb}`,
      `dir ${places.falkordbData}`,
      `requirepass ${secrets.falkordb}`,
      `loadmodule ${binaries.module}`,
      'appendonly yes',
      'appendfsync everysec',
      'daemonize no',
      '',
    ].join('\n'),
  );
  const standIn: StandInSettings = {
    port: ports.novamem,
    token: secrets.novamem,
    postgres: {
      host: '127.0.0.1',
      port: ports.postgres,
      user: shape.user,
      password: secrets.postgres,
      database: shape.database,
    },
    qdrant: { port: ports.qdrant, apiKey: secrets.qdrant },
    falkordb: { port: ports.falkordb, password: secrets.falkordb, graph: shape.graph },
  };
  keep(places.standInSettings, JSON.stringify(standIn));
  keep(places.secret('novamem-environment'), environmentOf(record, secrets, shape));
  await initDatabase(folder, binaries, { name: shape.user, password: secrets.postgres }, user);
  const profile = profileOf(record, binaries, user, shape);
  keep(
    places.profile,
    `# The profile of the sandbox ${record.name}: a real cluster that may be broken at will.\n${stringify(profile)}`,
  );
  return profile;
}

/** What a real novamem is told of its stores, in the variables that it knows. */
function environmentOf(
  { ports }: SandboxRecord,
  secrets: Record<'postgres' | 'qdrant' | 'falkordb', string>,
  { user, database, novamem }: SandboxShape,
): string {
  return [
    `NOVAMEM_WARM_URL=postgres://${encodeURIComponent(user)}:${secrets.postgres}@127.0.0.1:${ports.postgres}/${encodeURIComponent(database)}`,
    `NOVAMEM_COLD_URL=http://127.0.0.1:${ports.qdrant}`,
    `NOVAMEM_COLD_API_KEY=${secrets.qdrant}`,
    `NOVAMEM_GRAPH_URL=redis://:${secrets.falkordb}@127.0.0.1:${ports.falkordb}`,
    `NOVAMEM_PORT=${ports.novamem}`,
    ...Object.entries(novamem?.environment ?? {}).map(([name, value]) => `${name}=${value}`),
    '',
  ].join('\n');
}

async function initDatabase(
  folder: string,
  binaries: Binaries,
  role: { name: string; password: string },
  user: { uid: number; gid: number } | undefined,
): Promise<void> {
  const { postgresData, walArchive } = placesIn(folder);
  for (const path of [postgresData, walArchive]) {
    mkdirSync(path, { mode: 0o700 });
    if (user) chownSync(path, user.uid, user.gid);
  }
  const passwordFile = join(mkdtempSync(join(folder, 'initdb-')), 'password');
  writeFileSync(passwordFile, role.password, { mode: 0o600 });
  if (user) for (const path of [join(passwordFile, '..'), passwordFile]) chownSync(path, user.uid, user.gid);
  chmodSync(join(passwordFile, '..'), 0o700);
  try {
    await promisify(execFile)(
      join(binaries.postgres, 'initdb'),
      [
        '--pgdata',
        postgresData,
        '--username',
        role.name,
        '--auth',
        'scram-sha-256',
        '--pwfile',
        passwordFile,
        '--encoding',
        'UTF8',
        '--locale',
        'C.UTF-8',
        '--data-checksums',
        '--no-sync',
        '--no-instructions',
      ],
      { cwd: folder, env: { PATH: process.env.PATH, LC_ALL: 'C.UTF-8' }, ...user },
    );
  } catch (error) {
    throw new Error(`initdb failed: ${((error as { stderr?: string }).stderr || messageOf(error)).trim()}`);
  } finally {
    rmSync(join(passwordFile, '..'), { recursive: true, force: true });
  }
  // In the file and not among the arguments: what stands there a recovery could not switch off for its own time.
  appendFileSync(
    join(postgresData, 'postgresql.conf'),
    [
      '',
      "wal_level = 'replica'",
      "archive_mode = 'on'",
      `archive_command = '${archiveCommand(walArchive).replaceAll("'", "''")}'`,
      '',
    ].join('\n'),
  );
}

/** Only whole segments appear under their names. One that is there is never written over; the same once more is no error. */
function archiveCommand(folder: string): string {
  const at = shellWord(folder).replaceAll('%', '%%');
  return `cmp -s %p ${at}/%f || { test ! -e ${at}/%f && cp %p ${at}/.%f.part && mv ${at}/.%f.part ${at}/%f; }`;
}

/** Postgres refuses to run as root: the user `postgres` where there is one, else `nobody`. */
function unprivilegedUser(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const users = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'));
  const found = users.find(([name]) => name === 'postgres') ?? users.find(([name]) => name === 'nobody');
  if (!found)
    throw new Problem('Postgres refuses to run as root, and this machine has neither a user postgres nor nobody.', {
      next: 'make one (useradd --system postgres), or be somebody else than root',
    });
  return { uid: Number(found[2]), gid: Number(found[3]) };
}

const secret = () => randomBytes(18).toString('base64url');
