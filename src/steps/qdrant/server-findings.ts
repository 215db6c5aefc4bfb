import type { Qdrant } from '../../stores/qdrant/connection.js';
import { mayManage, nodesOf } from '../../stores/qdrant/server.js';
import type { Finding } from '../step.js';

// What keeps snapshots from being made and uploaded at all, whatever is in them.

/** A key that may only read would be refused at the first snapshot. */
export async function rightsFindings(qdrant: Qdrant): Promise<Finding[]> {
  if ((await mayManage(qdrant)) !== false) return [];
  return [
    {
      level: 'blocking',
      message: `the key of the profile may not manage Qdrant at ${qdrant.address} (a read-only key?): snapshots can be neither made nor uploaded`,
      next: 'set qdrant.apiKeyFrom in the profile to the key with all rights (service.api_key of the server)',
    },
  ];
}

/** Through one node only that node's shards go in and out: what is on the others would be lost, and nothing would say so. */
export async function nodesFindings(qdrant: Qdrant, verb: 'restore' | 'backup'): Promise<Finding[]> {
  const nodes = await nodesOf(qdrant);
  if (nodes.length === 0) return [];
  const what = verb === 'restore' ? 'a snapshot uploaded here restores' : 'a snapshot taken here holds';
  return [
    {
      level: 'blocking',
      message: `Qdrant at ${qdrant.address} is one of ${nodes.length} nodes (${nodes.join(', ')}): ${what} only the shards of this one`,
      next:
        verb === 'restore'
          ? 'upload the snapshots that were taken of each node to that node by hand, or have novamem embed everything again (qdrant.reindex works through any node)'
          : 'take a snapshot of every collection from each node by hand; this program backs up a Qdrant that is alone',
    },
  ];
}
