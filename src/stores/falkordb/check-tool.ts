import { join } from 'node:path';
import { inspectCommand } from '../../hosts/run-command.js';
import { type ServerProcess, serverProcess } from '../../hosts/server-process.js';
import type { FalkorDB } from './connection.js';
import { aofManifestIn, type FalkordbFiles } from './persistence.js';

const PATIENCE = 600_000;

/** The process of a server that runs on this machine; undefined where it cannot be seen. */
export async function processOf(falkordb: FalkorDB): Promise<ServerProcess | undefined> {
  const { process_id: pid, uptime_in_seconds: uptime } = await falkordb.info('server');
  return pid === undefined || uptime === undefined ? undefined : serverProcess(Number(pid), Number(uptime));
}

/**
 * What a server's own check tool says against these files; empty when they are whole. The server's program is called by the
 * tool's name: a tool of another version, which may stand on the PATH, refuses what its own server loads, or the reverse.
 */
export async function serverFaults({ program }: ServerProcess, files: FalkordbFiles): Promise<string> {
  const { form, path } = files;
  const manifest = form === 'appendonlydir' ? await aofManifestIn(path) : undefined;
  const asked = await inspectCommand(
    {
      file: program,
      args: [manifest ? join(path, manifest) : path],
      calledAs: form === 'dump.rdb' ? 'redis-check-rdb' : 'redis-check-aof',
    },
    PATIENCE,
  );
  if (asked.exitCode === 0) return '';
  return verdictIn(`${asked.stdout}\n${asked.stderr}`) || asked.failure;
}

/** The line that says what is wrong; the tools say much around it. */
function verdictIn(said: string): string {
  const lines = said.split('\n').map((line) => line.trim());
  const after = lines.findIndex((line) => /RDB ERROR DETECTED/.test(line));
  const line =
    after === -1 ? lines.find((one) => /is not valid|bad file|cannot|can't|unexpected/i.test(one)) : lines[after + 1];
  return (line ?? lines.filter(Boolean).at(-1) ?? '').replace(/^\[offset \d+\]\s*/, '');
}
