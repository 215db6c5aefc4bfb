import type { FalkorDB } from './connection.js';

/** How much memory a server uses and may use (bytes; `most` 0: as much as there is), and what it does when that is full. */
export interface Memory {
  used: number;
  most: number;
  policy: string;
  /** Whole keys are dropped to make room, at any command: of a graph that is all of it. */
  evicts: boolean;
}

export async function memoryOf(falkordb: FalkorDB): Promise<Memory> {
  const { maxmemory, 'maxmemory-policy': policy } = await falkordb.config('maxmemory', 'maxmemory-policy');
  const { used_memory: used } = await falkordb.info('memory');
  const most = Number(maxmemory);
  // A graph never expires, so the volatile policies leave it alone.
  return { used: Number(used), most, policy, evicts: most > 0 && policy.startsWith('allkeys-') };
}
