import { dirname } from 'node:path';
import { seenIn } from '../../hosts/elsewhere/seen-in.js';
import type { Host } from '../../hosts/host.js';
import { mayWriteIn } from '../../hosts/server-process.js';
import type { Cluster } from '../../stores/cluster.js';
import { processOf, serverFaults } from '../../stores/falkordb/check-tool.js';
import type { FalkorDB } from '../../stores/falkordb/connection.js';
import { moduleVersion } from '../../stores/falkordb/inventory.js';
import { memoryOf } from '../../stores/falkordb/memory.js';
import {
  type FalkordbFiles,
  loadedFiles,
  notOnDisk,
  type PersistenceSettings,
  persistenceOf,
  placementRefusal,
} from '../../stores/falkordb/persistence.js';
import { rdbHead } from '../../stores/falkordb/rdb-head.js';
import { sizeOf } from '../../words.js';
import { safetyRoomFindings } from '../room.js';
import type { Finding, StepContext } from '../step.js';

/** What stands in the way of a running server keeping a graph; `files`: its files are to be changed. */
export async function serverFindings(
  cluster: Cluster,
  settings: PersistenceSettings,
  { files }: { files: boolean },
): Promise<Finding[]> {
  const { falkordb } = cluster;
  const host = cluster.host('falkordb');
  return [
    ...(files ? await folderFindings(host, settings.dir) : []),
    ...(await unwritable(falkordb, host, settings.dir)),
    ...((await moduleVersion(falkordb)) === '' ? [WITHOUT_MODULE] : []),
    ...(await rewriteFindings(falkordb, settings)),
  ];
}

/** One object, so that it can be found again. */
export const WITHOUT_MODULE: Finding = {
  level: 'blocking',
  message: 'this server runs without the graph module: it could not load a graph',
  next: 'start it with the FalkorDB module',
};

const WITHOUT_PREAMBLE: Finding = {
  level: 'warning',
  message:
    '"aof-use-rdb-preamble no": the server crashes whenever it rewrites its append-only file with a graph in memory, so that file only grows',
  next: 'CONFIG SET aof-use-rdb-preamble yes, and in its configuration',
};

/** Whether a server can rewrite its append-only file with a graph in memory. */
export async function canRewrite(falkordb: FalkorDB): Promise<boolean> {
  return (await falkordb.config('aof-use-rdb-preamble'))['aof-use-rdb-preamble'] !== 'no';
}

export async function rewriteFindings(falkordb: FalkorDB, { appendonly }: PersistenceSettings): Promise<Finding[]> {
  return appendonly && !(await canRewrite(falkordb)) ? [WITHOUT_PREAMBLE] : [];
}

async function folderFindings(host: Host, dir: string): Promise<Finding[]> {
  const { files } = host;
  if (dir !== '' && (await files.exists(dir))) return host.here ? [] : changeFindings(host, dir);
  if (dir === '' || (await files.exists(dirname(dir))))
    return [{ level: 'warning', message: `the folder ${dir || 'of the running server'} is gone; it is made again` }];
  return [
    {
      level: 'blocking',
      message: `the folder ${dir}, which the server names, is not on ${host.title}`,
      next: whereElse(host),
    },
  ];
}

/** A server whose folder cannot be written by its user loads its data, and refuses every write after its first save. */
async function unwritable(falkordb: FalkorDB, host: Host, dir: string): Promise<Finding[]> {
  const server = await processOf(falkordb, host);
  const folder = dir === '' || !server ? undefined : await host.files.stat(dir).catch(() => undefined);
  if (!server || !folder || mayWriteIn(folder, server)) return [];
  return [
    {
      level: 'blocking',
      message: `the server runs as user ${server.uid}, who cannot write in its folder ${dir} (${folder.uid}:${folder.gid}, mode ${(folder.mode & 0o777).toString(8)}): it would load its data and then refuse every write`,
      next: `chown -R ${server.uid} '${dir}'`,
    },
  ];
}

/** What this program is to place there must be the server's own: whoever is not root can only make files that are its own. */
async function changeFindings({ files, title }: Host, dir: string): Promise<Finding[]> {
  const [user, folder, may] = [await files.user(), await files.stat(dir), await files.mayWrite(dir)];
  if (!folder || user === 0 || (may && user === folder.uid)) return [];
  return [
    {
      level: 'blocking',
      message: `on ${title} this program is user ${user}, who ${may ? 'cannot give files to' : 'may not write in'} ${dir}, which belongs to ${folder.uid}:${folder.gid}`,
      next: 'be that user or root there: hosts: { falkordb: { ssh: …, sudo: true } } in the profile asks sudo -n',
    },
  ];
}

/** Where to look for a folder that is not on the host that the profile names. */
export const whereElse = ({ here, title }: Host): string =>
  here
    ? 'run this program where that folder is, or say where it is: hosts.falkordb in the profile'
    : `mend hosts.falkordb in the profile: it names ${title}`;

/** What is seen of the server whose files a step is going to replace. */
export async function serverStateFindings(ctx: StepContext): Promise<Finding[]> {
  const { cluster } = ctx;
  const findings: Finding[] = [];
  if (!cluster.driver('falkordb')) {
    findings.push({
      level: 'blocking',
      message:
        'the profile does not say how to stop and start FalkorDB, and its files can only be replaced while it is stopped',
      next: 'add services.falkordb to the profile',
    });
  }
  const { answers, seen } = await cluster.answering('falkordb');
  if (!answers) return [...findings, ...(await silentFindings(cluster, seen))];
  const settings = await persistenceOf(cluster.falkordb);
  const caution = await cluster.host('falkordb').files.caution();
  if (caution !== '')
    findings.push({
      level: 'warning',
      message: caution,
      next: 'where the others do not follow that one and take its data from it, scale it to 1 first',
    });
  findings.push(
    {
      level: 'info',
      message: `FalkorDB keeps its files in ${settings.dir || '(a folder that is gone)'}, appendonly ${settings.appendonly ? 'yes' : 'no'}`,
    },
    ...(await serverFindings(cluster, settings, { files: true })),
  );
  // Without its module the server does not even know the commands that would tell what it holds.
  if (!findings.includes(WITHOUT_MODULE)) findings.push(...(await memoryOnlyFindings(ctx, settings)));
  return findings;
}

/** A server that refuses a login or a command begins with the word of its error. One that loads its data answers later. */
const REFUSAL = /^(?!LOADING )[A-Z]{3,} /;
/** One that hangs, or still loads: to end it is what a rescue may have to do. */
const SAYS_NOTHING = /no answer within|timed out|ETIMEDOUT|LOADING|still loading/;

/** A server that is well, and that only this profile cannot reach: to replace its files would destroy what it holds. */
async function unreachedFindings(cluster: Cluster, seen: string): Promise<Finding[]> {
  const { address } = cluster.falkordb;
  if (REFUSAL.test(seen))
    return [
      {
        level: 'blocking',
        message: `the server at ${address} is there, and does not let this program in (${seen})`,
        next: 'mend falkordb.url and falkordb.passwordFrom in the profile, then retry',
      },
    ];
  if (SAYS_NOTHING.test(seen) || (await cluster.driver('falkordb')?.state()) !== 'running') return [];
  return [
    {
      level: 'blocking',
      message: `FalkorDB runs, but does not answer at ${address} (${seen}): what it holds cannot be seen from here`,
      next: 'mend falkordb.url in the profile; or, if it is that server and it hangs, stop it by hand; then retry',
    },
  ];
}

async function silentFindings(cluster: Cluster, seen: string): Promise<Finding[]> {
  const unreached = await unreachedFindings(cluster, seen);
  if (unreached.length > 0) return unreached;
  const { dataDir } = cluster.profile.falkordb;
  const silent = `FalkorDB does not answer (${seen})`;
  const patience = /LOADING|still loading/.test(seen)
    ? { next: 'if it is only slow, wait until it has loaded, and look again' }
    : {};
  if (dataDir === undefined)
    return [
      {
        level: 'warning',
        message: `${silent}; it is started first on the files that it has, to learn where it keeps them`,
        next: 'set falkordb.dataDir in the profile: then they are moved aside before it is started',
      },
    ];
  const host = cluster.host('falkordb');
  const isThere = await seenIn(
    async () => (await host.files.exists(dataDir)) || (await host.files.exists(dirname(dataDir))),
  );
  if (isThere === undefined)
    return [
      {
        level: 'warning',
        message: `${silent}, and ${host.title} is stopped: its files are seen only once they are reached another way, and what it would load from ${dataDir} is moved aside then`,
      },
    ];
  if (isThere)
    return [
      {
        level: 'warning',
        message: `${silent}; what it would load from ${dataDir} is moved aside before it is started`,
        ...patience,
      },
    ];
  return [
    {
      level: 'blocking',
      message: `${silent}, and neither ${dataDir} nor the folder above it is on ${host.title}`,
      next: whereElse(host),
    },
  ];
}

/** The finding for a server whose memory holds what its files do not. */
async function memoryOnlyFindings(ctx: StepContext, settings: PersistenceSettings): Promise<Finding[]> {
  const { falkordb } = ctx.cluster;
  const why = await notOnDisk(falkordb, settings, ctx.cluster.host('falkordb').files);
  if (why === '') return [];
  return [
    {
      level: 'warning',
      message: `FalkorDB holds in memory what its files do not: ${why}. Do not stop it by hand; its memory is copied before this step stops it`,
    },
    ...(await safetyRoomFindings(ctx, 'what FalkorDB holds in memory', (await memoryOf(falkordb)).used)),
  ];
}

/**
 * What stands in the way of this server loading these files, and keeping what it loaded. `brought`: the same files, where the server's own
 * check tool can read them.
 */
export async function loadingFindings(
  cluster: Cluster,
  settings: PersistenceSettings,
  files: FalkordbFiles,
  brought?: FalkordbFiles,
): Promise<Finding[]> {
  const { falkordb } = cluster;
  const host = cluster.host('falkordb');
  const refusal = placementRefusal(files.form, settings);
  if (refusal !== '')
    return [
      {
        level: 'blocking',
        message: refusal,
        next: 'set "appendonly yes" in its configuration, or give a dump.rdb',
      },
    ];
  const checked = host.here ? files : brought;
  const server = await processOf(falkordb, host);
  const fault = server && checked ? await serverFaults(server, checked, host) : '';
  return [
    ...(!fault
      ? []
      : [
          {
            level: 'blocking' as const,
            message: `this server could not load ${files.path}: ${fault}`,
            next: 'choose another backup set, or restore into a server of the version that wrote it',
          },
        ]),
    ...(fault === undefined || !server ? [await notChecked(cluster, files)] : checked ? [] : [checkedLater(host)]),
    ...(await evictionFindings(falkordb, await memoryNeeded(files))),
  ];
}

/** The server's own check tool is elsewhere: what remains is to say who wrote the files. */
async function notChecked(cluster: Cluster, files: FalkordbFiles): Promise<Finding> {
  const { falkordb } = cluster;
  const { valkey_version: valkey, redis_version: redis } = await falkordb.info('server');
  const writers = await Promise.all((await loadedFiles(files)).map(async (file) => (await rdbHead(file))?.writer));
  const writer = writers.find(Boolean);
  return {
    level: 'info',
    message: `the server's own check tool is not on ${cluster.host('falkordb').title}: that it loads these files shows only when it does (written by ${writer ?? 'an unknown server'}, this one is ${valkey ? `valkey ${valkey}` : `redis ${redis}`})`,
  };
}

const checkedLater = ({ title }: Host): Finding => ({
  level: 'info',
  message: `the files are brought to ${title} and checked there by the server's own tool before it is stopped`,
});

/** Bytes of memory that the server used which wrote these files; undefined when they do not tell. */
async function memoryNeeded(files: FalkordbFiles): Promise<number | undefined> {
  const heads = await Promise.all((await loadedFiles(files)).map((file) => rdbHead(file)));
  // An empty base is written at a server's first start, when it uses next to nothing.
  return heads.find((head) => head?.keys === 'some')?.usedMemory;
}

/**
 * A server that drops keys when its memory is full drops a whole graph, at the first command. `needed`: the bytes that it
 * will use, where that is known.
 */
export async function evictionFindings(falkordb: FalkorDB, needed: number | undefined): Promise<Finding[]> {
  const memory = await memoryOf(falkordb);
  if (!memory.evicts) return [];
  const limit = `maxmemory is ${sizeOf(memory.most)} with ${memory.policy}: when that is full, the whole graph is dropped`;
  const next = 'CONFIG SET maxmemory-policy noeviction, then CONFIG REWRITE';
  if (needed !== undefined && needed > memory.most)
    return [{ level: 'blocking', message: `${limit}, and it needs about ${sizeOf(needed)}`, next }];
  return [{ level: 'warning', message: limit, next }];
}

/** The first of these that keeps a step from running, as an error. */
export function refuseBlocked(findings: readonly Finding[]): void {
  const blocking = findings.find((finding) => finding.level === 'blocking');
  if (blocking) throw new Error([blocking.message, blocking.next].filter(Boolean).join('. '));
}
