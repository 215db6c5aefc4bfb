import type { Cluster } from '../../stores/cluster.js';
import type { Qdrant } from '../../stores/qdrant/connection.js';
import { type Membership, mayManage, membershipOf } from '../../stores/qdrant/server.js';
import { messageOf } from '../../words.js';
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

/**
 * Through one node only that node's shards go in and out: what is on the others would be lost, and nothing would say so. So the
 * profile must name each, and what it names must be these and no others.
 */
export async function nodesFindings({ qdrantNodes: nodes }: Cluster, verb: 'restore' | 'backup'): Promise<Finding[]> {
  const members: { address: string; member: Membership | undefined }[] = [];
  for (const node of nodes) {
    try {
      members.push({ address: node.address, member: await membershipOf(node) });
    } catch (error) {
      return [
        {
          level: 'blocking',
          message: `the node of Qdrant at ${node.address} does not answer: ${messageOf(error)}`,
          next: 'start it, or mend qdrant.nodes in the profile, then retry',
        },
      ];
    }
  }
  const known = members.find(({ member }) => member)?.member;
  if (!known && nodes.length === 1) return [];
  const strangers = members.filter(({ member }) => !member || !(member.peer in (known?.addresses ?? {})));
  if (strangers.length > 0)
    return [
      {
        level: 'blocking',
        message: `${strangers.map(({ address }) => address).join(', ')}: no node of the same Qdrant cluster as the others of the profile`,
        next: 'mend qdrant.url and qdrant.nodes in the profile',
      },
    ];
  const addressOf = new Map(members.map(({ address, member }) => [member!.peer, address]));
  if (addressOf.size < members.length)
    return [
      {
        level: 'blocking',
        message: `two URLs of the profile lead to the same node of Qdrant (${members.map(({ address, member }) => `${address}: ${member!.peer}`).join(', ')})`,
        next: 'name each node by an address of its own, not that of a balancer before them, in qdrant.url and qdrant.nodes',
      },
    ];
  const unnamed = Object.entries(known!.addresses).filter(([peer]) => !addressOf.has(peer));
  if (unnamed.length === 0)
    return [{ level: 'info', message: `Qdrant has ${members.length} nodes: ${[...addressOf.values()].join(', ')}` }];
  const what = verb === 'restore' ? 'a snapshot uploaded here restores' : 'a snapshot taken here holds';
  const all = Object.values(known!.addresses).sort();
  return [
    {
      level: 'blocking',
      message: `Qdrant at ${members.map(({ address }) => address).join(', ')} is ${members.length === 1 ? 'one' : `${members.length}`} of ${all.length} nodes (${all.join(', ')}): ${what} only the shards of ${members.length === 1 ? 'this one' : 'these'}`,
      next: `name the others in the profile by the URLs of their HTTP ports: qdrant: { nodes: [${unnamed.map(([, uri]) => guessedUrl(uri)).join(', ')}] }`,
    },
  ];
}

/** The nodes know each other by their peer ports only; a server's own HTTP port is 6333 unless somebody has changed it. */
function guessedUrl(uri: string): string {
  return URL.canParse(uri) ? `http://${new URL(uri).hostname}:6333` : 'http://HOST:6333';
}
