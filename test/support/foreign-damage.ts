import { execFileSync } from 'node:child_process';
import { chownSync, mkdirSync, rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import type { ForeignCluster } from './foreign-cluster.js';
import { SECRETS, unprivilegedUser } from './foreign-services.js';
import { runFile } from './program.js';

// What happens to a foreign cluster: real damage, and what its operators do with plain commands.

/** Overwrites whole blocks of a table or index with `dd`, while the server is down. */
export async function overwritePages(
  cluster: ForeignCluster,
  blocks: Readonly<Record<string, readonly number[]>>,
): Promise<void> {
  const files = await cluster.postgres(async (client) =>
    Promise.all(
      Object.keys(blocks).map(async (relation) => {
        const { rows } = await client.query<{ path: string }>('SELECT pg_relation_filepath($1) AS path', [relation]);
        return { relation, file: join(cluster.places.postgresData, rows[0]!.path) };
      }),
    ),
  );
  cluster.drive('postgres', 'stop');
  for (const { relation, file } of files)
    for (const block of blocks[relation]!)
      execFileSync(
        'dd',
        ['if=/dev/urandom', `of=${file}`, 'bs=8192', 'count=1', `seek=${block}`, 'conv=notrunc,nocreat'],
        { stdio: 'ignore' },
      );
  cluster.drive('postgres', 'start');
  await cluster.untilPostgresAnswers();
}

export async function dropDatabase(cluster: ForeignCluster): Promise<void> {
  await cluster.postgres((client) => client.query('DROP DATABASE novamem WITH (FORCE)'), 'postgres', 'postgres');
}

/** Qdrant's folder is gone: with a server that was killed, or under the running one. */
export function loseQdrant(cluster: ForeignCluster, running: boolean): void {
  if (!running) cluster.kill('qdrant');
  rmSync(join(cluster.places.qdrantData, 'storage'), { recursive: true });
}

/** FalkorDB is down, and its append-only file ends in the middle. */
export function cutAppendOnlyFile(cluster: ForeignCluster): string {
  cluster.drive('falkordb', 'stop');
  const file = execFileSync('sh', ['-c', 'ls -S "$0"/appendonlydir/* | head -n 1', cluster.places.falkordbData], {
    encoding: 'utf8',
  }).trim();
  truncateSync(file, Math.floor(Number(execFileSync('stat', ['-c', '%s', file], { encoding: 'utf8' })) / 2));
  return file;
}

/** FalkorDB is down, and its folder is empty. */
export function loseFalkordb(cluster: ForeignCluster): void {
  cluster.drive('falkordb', 'stop');
  execFileSync('find', [cluster.places.falkordbData, '-mindepth', '1', '-delete']);
}

/** As the handbook's "WAL archive" says, with `cp`; answers the archive. What a base backup needs of the role is given to it. */
export async function archiveLog(cluster: ForeignCluster): Promise<string> {
  const archive = join(cluster.folder, 'wal archive');
  mkdirSync(archive);
  const user = unprivilegedUser();
  if (user) chownSync(archive, user.uid, user.gid);
  await cluster.postgres(
    async (client) => {
      await client.query('ALTER ROLE novamem REPLICATION');
      await client.query('ALTER SYSTEM SET wal_level = replica');
      await client.query('ALTER SYSTEM SET archive_mode = on');
      await client.query(`ALTER SYSTEM SET archive_command = 'test ! -f "${archive}/%f" && cp %p "${archive}/%f"'`);
    },
    'postgres',
    'postgres',
  );
  cluster.drive('postgres', 'stop');
  cluster.drive('postgres', 'start');
  await cluster.untilPostgresAnswers();
  return archive;
}

export async function plainBaseBackup(cluster: ForeignCluster, folder: string): Promise<void> {
  const ended = await runFile(
    join(cluster.binaries.postgres, 'pg_basebackup'),
    [
      ...['-h', '127.0.0.1', '-p', String(cluster.ports.postgres), '-U', 'novamem'],
      ...['-D', folder, '--checkpoint', 'fast'],
    ],
    { environment: { PGPASSWORD: SECRETS.postgres } },
  );
  if (ended.exitCode !== 0) throw new Error(`pg_basebackup: ${ended.stderr}`);
}
