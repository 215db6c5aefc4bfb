import { dirname, join } from 'node:path';
import { mayWriteTo } from '../../hosts/files.js';
import type { Host } from '../../hosts/host.js';
import { inspectCommand } from '../../hosts/run-command.js';
import { type ServerProcess, serverProcess } from '../../hosts/server-process.js';
import { beginsAsRdb } from './aof.js';
import type { FalkorDB } from './connection.js';
import { aofManifestIn, type FalkordbFiles, loadedFiles } from './persistence.js';

const PATIENCE = 600_000;

/** The process of a server that runs on a host; undefined where it cannot be seen. */
export async function processOf(falkordb: FalkorDB, host: Host): Promise<ServerProcess | undefined> {
  const { process_id: pid, uptime_in_seconds: uptime } = await falkordb.info('server');
  return pid === undefined || uptime === undefined ? undefined : serverProcess(Number(pid), Number(uptime), host);
}

/**
 * What a server's own check tool says against these files, which lie on its host; empty when they are whole, undefined when it has none
 * there. The server's program is called by the tool's name: a tool of another version, which may stand on the PATH, refuses what its
 * own server loads, or the reverse.
 */
export async function serverFaults(
  { program }: ServerProcess,
  files: FalkordbFiles,
  host: Host,
): Promise<string | undefined> {
  const { form, path } = files;
  if (!host.here) return faultSaidThere(program, files, host);
  const loaded = await loadedFiles(files);
  if (form === 'dump.rdb') return faultSaid(program, 'redis-check-rdb', path);
  if (await allOf(loaded, mayWriteTo)) {
    const manifest = form === 'appendonlydir' ? await aofManifestIn(path) : undefined;
    return faultSaid(program, 'redis-check-aof', manifest ? join(path, manifest) : path);
  }
  // That one opens what it checks to write to it. What follows the RDB parts is read to its end by this program itself.
  for (const file of loaded) {
    const fault = (await beginsAsRdb(file)) ? await faultSaid(program, 'redis-check-rdb', file) : '';
    if (fault !== '') return fault;
  }
  return '';
}

async function allOf(files: readonly string[], test: (file: string) => Promise<boolean>): Promise<boolean> {
  return (await Promise.all(files.map(test))).every(Boolean);
}

async function faultSaid(program: string, calledAs: string, path: string): Promise<string> {
  const asked = await inspectCommand({ file: program, args: [path], calledAs }, PATIENCE);
  if (asked.exitCode === 0) return '';
  return verdictIn(`${asked.stdout}\n${asked.stderr}`) || asked.failure;
}

/** Nothing can be called by another name there, but the tools lie beside the server. */
async function faultSaidThere(
  program: string,
  { form, path }: FalkordbFiles,
  host: Host,
): Promise<string | undefined> {
  const kind = form === 'dump.rdb' ? 'rdb' : 'aof';
  const folder = dirname(program);
  for (const tool of ['valkey', 'redis'].map((name) => join(folder, `${name}-check-${kind}`))) {
    if (!(await host.files.exists(tool))) continue;
    const manifest = form === 'appendonlydir' ? await aofManifestIn(path, host.files) : undefined;
    const args = [manifest ? join(path, manifest) : path];
    const asked = await inspectCommand(host.reach({ file: tool, args }), PATIENCE);
    if (asked.exitCode === 0) return '';
    return verdictIn(`${asked.stdout}\n${asked.stderr}`) || asked.failure;
  }
  return undefined;
}

/** The line that says what is wrong; the tools say much around it. */
function verdictIn(said: string): string {
  const lines = said.split('\n').map((line) => line.trim());
  const after = lines.findIndex((line) => /RDB ERROR DETECTED/.test(line));
  const line =
    after === -1 ? lines.find((one) => /is not valid|bad file|cannot|can't|unexpected/i.test(one)) : lines[after + 1];
  return (line ?? lines.filter(Boolean).at(-1) ?? '').replace(/^\[offset \d+\]\s*/, '');
}
