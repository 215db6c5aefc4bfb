import { realpathSync } from 'node:fs';
import { tmpdir } from 'node:os';
import type { Profile } from '../config/profile.js';
import { freeBytes } from '../hosts/files.js';
import { openGateway } from '../hosts/gateway.js';
import { EXIT, Problem } from '../problem.js';
import type { BackupSet } from '../stores/backup-set/backup-set.js';
import { contentsOf } from '../stores/backup-set/contents.js';
import { Cluster } from '../stores/cluster.js';
import { serverVersionOf } from '../stores/falkordb/inventory.js';
import { quoteIdentifier } from '../stores/postgres/connection.js';
import { describeServer } from '../stores/postgres/server.js';
import { toolsFor } from '../stores/postgres/tools.js';
import { versionOf } from '../stores/qdrant/inventory.js';
import { canLoad } from '../stores/qdrant/server.js';
import { sizeOf } from '../words.js';
import { sandboxProfile, sandboxUp } from './sandbox.js';
import type { SandboxShape } from './sandbox-profile.js';

/** How much room a set takes once it is restored, beside what is copied meanwhile: several times its compressed dump. */
const GROWTH = 5;

/** A sandbox that is empty, and into which a backup set of another cluster fits. */
export interface DrillSandbox {
  profile: Profile;
  /** Which servers these are and which novamem, against those of the backup: sentences for the record. */
  notes: string[];
}

/**
 * Starts a throw-away cluster that is called like the one the backup set was taken from (database, role, graph, prefix), with
 * servers of the same major version where they are here, and makes the roles that the dump names. `of`: that cluster's
 * profile, whose servers are not asked. With `lives: 'process'` it is taken down when this process ends.
 */
export async function drillSandbox(
  { name, of, set, lives }: { name: string; of: Profile; set: BackupSet; lives: 'on' | 'process' },
  onLine: (line: string) => void,
): Promise<DrillSandbox> {
  await requireRoom(set);
  const shape = shapeFor(of, set);
  await sandboxUp({ name, memories: 0, shape, novamem: false, lives, onLine });
  const profile = sandboxProfile(name);
  const cluster = new Cluster(profile);
  await makeRoles(cluster, set);
  const servers = await serversOf(cluster, set);
  requireVersions(servers, set);
  return { profile, notes: [servers.map(serverText).join(', '), novamemText(shape)] };
}

export function shapeFor({ postgres, qdrant, falkordb, novamem, drill, s3 }: Profile, set: BackupSet): SandboxShape {
  const url = new URL(postgres.url);
  const major = Number.parseInt(set.inventory?.postgres?.serverVersion ?? '', 10);
  return {
    user: decodeURIComponent(url.username) || 'novamem',
    database: decodeURIComponent(url.pathname.slice(1)) || 'novamem',
    collectionPrefix: qdrant.collectionPrefix,
    graph: falkordb.graph,
    recall: drill.recall,
    ...(s3 ? { s3 } : {}),
    ...(Number.isNaN(major) ? {} : { postgresMajor: major }),
    ...(drill.novamem
      ? { novamem: { ...drill.novamem, ...(novamem?.tokenFrom ? { tokenFrom: novamem.tokenFrom } : {}) } }
      : {}),
  };
}

async function requireRoom(set: BackupSet): Promise<void> {
  const folder = realpathSync(tmpdir());
  const free = await freeBytes(folder);
  // A base backup is no part of what a drill restores.
  const restored = [...(set.postgres ? [set.postgres] : []), ...set.qdrant, ...(set.falkordb?.files ?? [])];
  const wanted = restored.reduce((sum, { bytes }) => sum + bytes, 0) * GROWTH;
  if (free === undefined || free > wanted) return;
  throw new Problem(
    `A drill of the backup set ${set.id} (${sizeOf(set.bytes)}) takes about ${sizeOf(wanted)} below ${folder}, and ${sizeOf(free)} are free.`,
    {
      safe: 'Nothing was begun.',
      next: 'free some room there, or name another folder: TMPDIR=FOLDER novamem-runbook drill',
      exitCode: EXIT.stepFailed,
    },
  );
}

/** The roles of the cluster that the dump names as owners or grants rights to; those of a throw-away cluster need no password. */
async function makeRoles(cluster: Cluster, set: BackupSet): Promise<void> {
  if (!set.postgres) return;
  const { postgres } = cluster;
  const { version } = await describeServer(postgres);
  const contents = await contentsOf(await toolsFor(Number.parseInt(version, 10)), set.postgres).catch(
    () => undefined,
  );
  const gateway = openGateway(() => {});
  const maintenance = await postgres.maintenanceDatabase();
  // Those that begin with pg_ are Postgres' own.
  for (const role of (contents?.roles ?? []).filter((name) => !name.startsWith('pg_')))
    await postgres.write(gateway, `CREATE ROLE ${quoteIdentifier(role)}`, maintenance).catch((error: unknown) => {
      if ((error as { code?: string }).code !== '42710') throw error;
    });
}

/** A server of the throw-away cluster. `then`: of which version the backup's own was, where it says. */
interface DrillServer {
  title: string;
  now: string;
  then: string | undefined;
  /** Of the same version, as far as it matters for what it stores. */
  same: boolean;
  /** It may load what the other has stored. */
  fits: boolean;
  /** How to get one that does. */
  how: string;
}

async function serversOf({ postgres, qdrant, falkordb }: Cluster, { inventory }: BackupSet): Promise<DrillServer[]> {
  const [{ version }, vectors, graph] = await Promise.all([
    describeServer(postgres),
    versionOf(qdrant),
    serverVersionOf(falkordb),
  ]);
  const server = (
    title: string,
    now: string,
    then: string | undefined,
    { parts, fits, how }: { parts: number; fits: (then: string) => boolean; how: (then: string) => string },
  ): DrillServer => {
    const head = (text: string) => text.split('.', parts).join('.');
    return {
      title,
      now,
      then,
      how: then === undefined ? '' : how(then),
      same: then === undefined || head(now) === head(then),
      fits: !then || fits(then),
    };
  };
  const major = (text: string) => Number.parseInt(text, 10);
  return [
    server('Postgres', version, inventory?.postgres?.serverVersion.split(' ')[0], {
      parts: 1,
      fits: (then) => !(major(version) < major(then)),
      how: (then) =>
        `install PostgreSQL ${major(then)} (server and client programs) beside the one that is here, or have its programs on the PATH`,
    }),
    server('Qdrant', vectors, inventory?.qdrant?.serverVersion, {
      parts: 2,
      fits: (then) => canLoad(vectors, then) !== false,
      how: (then) => `name a Qdrant ${then} with QDRANT_BIN=PROGRAM`,
    }),
    server('FalkorDB on', graph, inventory?.falkordb?.serverVersion, { parts: 1, fits: () => true, how: () => '' }),
  ];
}

/** A restore into a server that need not understand what it is given would prove nothing, however it ended. */
function requireVersions(servers: readonly DrillServer[], { id }: BackupSet): void {
  const wrong = servers.filter(({ fits }) => !fits);
  if (wrong.length === 0) return;
  throw new Problem(
    `The backup set ${id} cannot be proven with the servers of this machine: ${wrong.map(({ title, now, then }) => `${title} ${now} is here, and the backup's was ${then}`).join('; ')}.`,
    {
      exitCode: EXIT.stepFailed,
      safe: 'Nothing was restored.',
      next: wrong.map(({ how }) => how).join('; '),
    },
  );
}

function serverText({ title, now, then, same }: DrillServer): string {
  if (then === undefined) return `${title} ${now} (the backup does not say of which version its own was)`;
  return `${title} ${now} (the backup's ${then}${same ? '' : ': ANOTHER VERSION, none such is here'})`;
}

const novamemText = ({ novamem, recall }: SandboxShape) =>
  novamem
    ? `novamem is the profile's own: ${novamem.command.join(' ')}`
    : `novamem is a stand-in and not the real one: ${recall ? 'name its command in the profile (drill.novamem) to have it proven, too, or say there that it need not be (drill.recall: false)' : 'what a real one scores need not be proven (drill.recall: false in the profile)'}`;
