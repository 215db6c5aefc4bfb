import type { Qdrant } from './connection.js';

// What a Qdrant server says of itself, beyond what is in its collections.

/**
 * Whether this key may manage, which snapshots need: `GET /debugger` asks for that right and changes nothing. Undefined
 * where the server has no such path (before 1.8).
 */
export async function mayManage(qdrant: Qdrant): Promise<boolean | undefined> {
  const { status } = await qdrant.get('/debugger');
  if (status === 200) return true;
  return status === 401 || status === 403 ? false : undefined;
}

/** One node of a distributed Qdrant: its own number, and the address of every node that it knows by theirs. */
export interface Membership {
  peer: string;
  addresses: Record<string, string>;
}

/** Undefined for a server that is alone. */
export async function membershipOf(qdrant: Qdrant): Promise<Membership | undefined> {
  const { status, text } = await qdrant.get('/cluster');
  if (status !== 200) return undefined;
  const { result } = JSON.parse(text) as { result?: { peers?: Record<string, { uri: string }> } };
  const peers = Object.entries(result?.peers ?? {});
  // As a number it may be longer than JavaScript's are.
  const peer = /"peer_id":\s*(\d+)/.exec(text)?.[1];
  if (peer === undefined || peers.length < 2) return undefined;
  return { peer, addresses: Object.fromEntries(peers.map(([id, { uri }]) => [id, uri])) };
}

/** Whether a server of this version compares an upload with the checksum that is sent with it: from 1.8 on. */
export function comparesChecksums(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > 1 || (major === 1 && minor >= 8);
}

const TELLS_OF_RECOVERIES = [1, 16] as const;

/**
 * How many uploads into these collections the server is working at now. Undefined where it does not tell (before 1.16), which is
 * not the same as none.
 */
export async function recoveriesRunning(qdrant: Qdrant, collections: readonly string[]): Promise<number | undefined> {
  const { status, text } = await qdrant.get('/metrics');
  // The names may have a prefix of the server's own (service.metrics_prefix).
  const version = /^\w*app_info\{.*version="(\d+)\.(\d+)\./m.exec(text)?.slice(1).map(Number);
  if (status !== 200 || !version) return undefined;
  const [major, minor] = version as [number, number];
  if (major < TELLS_OF_RECOVERIES[0] || (major === TELLS_OF_RECOVERIES[0] && minor < TELLS_OF_RECOVERIES[1]))
    return undefined;
  // A collection that the server knows nothing of has no line.
  const wanted = new Set(collections);
  let running = 0;
  for (const [, collection, count] of text.matchAll(/^\w*snapshot_recovery_running\{id="([^"\n]*)"\} (\S+)$/gm))
    if (wanted.has(collection!)) running += Number(count);
  return running;
}

/**
 * Whether a server may load a snapshot of another version: Qdrant promises it for the same and the next minor version, and
 * does not look itself. Undefined where a version cannot be read.
 */
export function canLoad(server: string, snapshot: string): boolean | undefined {
  const [now, then] = [server, snapshot].map((text) => /^(\d+)\.(\d+)\./.exec(text)?.slice(1).map(Number));
  if (!now || !then) return undefined;
  const [major, minor] = now as [number, number];
  const [oldMajor, oldMinor] = then as [number, number];
  return major === oldMajor && (minor === oldMinor || minor === oldMinor + 1);
}
