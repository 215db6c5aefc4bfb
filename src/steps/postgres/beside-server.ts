import { basename, join } from 'node:path';
import type { Command } from '../../hosts/command.js';
import type { Host } from '../../hosts/host.js';
import { localFiles } from '../../hosts/local-files.js';
import { inspectCommand } from '../../hosts/run-command.js';
import { waitFor } from '../../hosts/waiting.js';
import { Problem } from '../../problem.js';
import type { BackupFile } from '../../stores/backup-set/backup-set.js';
import type { Installation } from '../../stores/postgres/tools.js';
import { messageOf, sizeOf } from '../../words.js';
import type { Finding, StepContext } from '../step.js';
import type { Emitter } from '../step-events.js';

// pg_restore on the server's own host, as `postgres.besideServer` of the profile asks for: what it reads is brought there, whole and
// proven, before anything is dropped.

/** Where and by what pg_restore runs there. */
export interface Beside {
  host: Host;
  tools: Installation;
  /** How the server is reached from there. */
  connection: string[];
  folder: string;
}

/** Debian's and Red Hat's folders first: what stands on the PATH may be of any version. */
const FIND = `for b in "/usr/lib/postgresql/$1/bin" "/usr/pgsql-$1/bin"; do
[ -x "$b/pg_restore" ] && [ -x "$b/psql" ] && { echo "$b"; exit; }; done
p=$(command -v pg_restore) && dirname "$p"`;

/** Undefined where the profile does not ask for it. Rejects with a Problem where pg_restore is not there, or the host cannot be reached. */
export async function besideServer({ cluster }: StepContext, serverMajor: number): Promise<Beside | undefined> {
  const asked = cluster.profile.postgres.besideServer;
  if (asked === undefined) return undefined;
  const { user, port } = cluster.postgres;
  const host = cluster.host('postgres');
  // That it cannot be reached is told by this, and not by a program that seems to be absent.
  await host.files.user();
  const bin =
    asked.bin ?? (await sayingOf(host, { file: 'sh', args: ['-c', FIND, 'sh', String(serverMajor)] })).stdout;
  const { stdout, stderr } = bin === '' ? { stdout: '', stderr: '' } : await versionIn(host, bin);
  const version = /\(PostgreSQL\) (\d+(?:\.\d+)*)/.exec(stdout)?.[1];
  if (version === undefined)
    throw new Problem(`pg_restore cannot be run on ${host.title}: ${stderr || 'it was not found there'}`, {
      next: `install the client programs there (Debian: apt-get install postgresql-client-${serverMajor}), name their folder as postgres.besideServer.bin, or take postgres.besideServer out of the profile`,
    });
  return {
    host,
    tools: { bin, version, major: Number.parseInt(version, 10) },
    connection: ['--host', asked.host, '--port', String(asked.port ?? port), '--username', user, '--no-password'],
    folder: asked.folder,
  };
}

const versionIn = (host: Host, bin: string) => sayingOf(host, { file: join(bin, 'pg_restore'), args: ['--version'] });

async function sayingOf(
  host: Host,
  command: Command,
): Promise<{ stdout: string; stderr: string; code: number | null }> {
  const { exitCode, stdout, stderr, failure } = await inspectCommand(host.reach(command));
  return { stdout: stdout.trim(), stderr: exitCode === 0 ? '' : stderr.trim() || failure, code: exitCode };
}

/** What a program of libpq is told there: none of the files that TLS goes by here are there, and nothing leaves that machine. */
export function environmentBeside({ cluster: { postgres } }: StepContext, application: string) {
  const { secretEnvironment, secretWords } = postgres.toolEnvironment;
  return { environment: { LC_ALL: 'C', PGAPPNAME: application }, secretEnvironment, secretWords };
}

/** What stands in the way of restoring there. Without a server that answers, only what needs none is looked at. */
export async function besideFindings(beside: Beside, dump: BackupFile, ctx: StepContext): Promise<Finding[]> {
  const { host, folder, tools } = beside;
  const findings: Finding[] = [
    {
      level: 'info',
      message: `pg_restore ${tools.version} (${tools.bin}) runs on ${host.title}; the dump (${sizeOf(dump.bytes)}) is brought into ${folder} there first, and removed at the end of the step`,
    },
  ];
  if (!(await host.files.mayWrite(folder)))
    findings.push({
      level: 'blocking',
      message: `${folder} on ${host.title} cannot be written to, and the dump is to be brought there`,
      next: 'name another folder as postgres.besideServer.folder in the profile',
    });
  else {
    const free = await host.files.freeBytes(folder);
    if (free <= dump.bytes)
      findings.push({
        level: 'blocking',
        message: `${sizeOf(free)} are free in ${folder} on ${host.title}, and the dump takes ${sizeOf(dump.bytes)}`,
        next: 'free some there, or name another folder as postgres.besideServer.folder in the profile',
      });
  }
  const other = await whyNotTheSame(beside, ctx);
  if (other !== '')
    findings.push({
      level: 'blocking',
      message: other,
      next: 'mend postgres.besideServer.host and .port in the profile: how that host itself reaches the server',
    });
  return findings;
}

const STARTED = 'SELECT extract(epoch FROM pg_postmaster_start_time())::text AS at';

/** Why what is reached from there is not the server of the profile; empty where it is: two servers are not started in the same microsecond. */
async function whyNotTheSame({ host, tools, connection }: Beside, ctx: StepContext): Promise<string> {
  const { postgres } = ctx.cluster;
  const database = await postgres.maintenanceDatabase();
  const [row] = await postgres.read<{ at: string }>(STARTED, [], database);
  const asked = await sayingOf(host, {
    file: join(tools.bin, 'psql'),
    args: [...connection, '--dbname', database, '--no-psqlrc', '--tuples-only', '--no-align', '--command', STARTED],
    ...environmentBeside(ctx, 'novamem-runbook'),
  });
  const at = `${connection[1]} port ${connection[3]}`;
  if (asked.code !== 0) return `Postgres cannot be reached from ${host.title} at ${at}: ${asked.stderr}`;
  if (asked.stdout === row!.at) return '';
  return `the Postgres that ${host.title} reaches at ${at} is another one than ${postgres.address}`;
}

/** A dump as it lies on the server's host. Disposed of, what was brought is removed again. */
export interface BroughtBeside extends AsyncDisposable {
  dump: string;
}

const placeBeside = ({ folder }: Beside, { runId }: StepContext) => join(folder, `novamem-runbook-${runId}.dump`);

/** What a person would type to bring the dump there, and the path that it has then. */
export function bringingBeside(beside: Beside, dump: string, ctx: StepContext): { dump: string; commands: string[] } {
  const place = placeBeside(beside, ctx);
  return { dump: place, commands: [beside.host.files.saidSend(dump, place)] };
}

/** Brings the dump to the server's host, and has the pg_restore that is there read its table of contents. Nothing else is done. */
export async function bringBeside(
  beside: Beside,
  dump: BackupFile,
  ctx: StepContext,
  emit: Emitter<unknown>,
  signal: AbortSignal,
): Promise<BroughtBeside> {
  const { host, tools, folder } = beside;
  const { files } = host;
  const place = placeBeside(beside, ctx);
  const sha256 = dump.sha256 ?? (await localFiles.sha256(dump.file, { signal }));
  const refuse = (why: string) => new Error(`${why}. Nothing was dropped`);
  const other = await whyNotTheSame(beside, ctx);
  if (other !== '') throw refuse(other);
  const there = join(folder, basename(dump.file));
  const isThere =
    (await files.stat(there))?.bytes === dump.bytes && (await files.sha256(there, { signal })) === sha256;
  const away = async () => {
    if (isThere) return;
    await files
      .remove(ctx.gateway, place)
      .catch((error: unknown) => emit.output(`warning: ${place} is left on ${host.title}: ${messageOf(error)}`));
  };
  try {
    if (isThere) emit.output(`the dump lies on ${host.title} already, with the same SHA-256: ${there}`);
    else {
      // Of an attempt that was killed after it had come.
      if (await files.exists(place)) await files.remove(ctx.gateway, place);
      await files.send(ctx.gateway, dump.file, place, {
        onBytes: emit.bytes(dump.bytes, `bringing the dump to ${host.title}`),
        signal,
      });
      emit.output(`the dump lies in ${place} on ${host.title}; its SHA-256 is the same as here`);
    }
    const path = isThere ? there : place;
    const listed = await sayingOf(host, { file: join(tools.bin, 'pg_restore'), args: ['--list', path] });
    if (listed.code !== 0)
      throw refuse(`the pg_restore ${tools.version} of ${host.title} cannot read the dump: ${listed.stderr}`);
    return { dump: path, [Symbol.asyncDispose]: away };
  } catch (error) {
    await away();
    throw error;
  }
}

const GONE_MS = 30_000;

/** Waits until nothing of a pg_restore works in the server any more: whose connection was cut is ended there a moment later. */
export async function untilGone({ cluster: { postgres } }: StepContext, application: string): Promise<boolean> {
  const gone = await waitFor(
    async () => {
      const sessions = await postgres
        .maintenanceDatabase()
        .then((database) =>
          postgres.read('SELECT 1 FROM pg_stat_activity WHERE application_name = $1', [application], database),
        )
        .catch(() => undefined);
      return sessions?.length === 0 ? true : undefined;
    },
    { timeoutMs: GONE_MS },
  );
  return gone === true;
}
