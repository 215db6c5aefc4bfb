// Cross-checks a sandbox as a rescue does it.
import { sandboxProfile } from '../../dist/sandbox/sandbox.js';
import { Cluster } from '../../dist/stores/cluster.js';
import { crosscheck } from '../../dist/stores/crosscheck/crosscheck.js';
import { onGo } from '../program.js';

const cluster = new Cluster(sandboxProfile(process.argv[2]));
onGo(async () => {
  const { memories, vectors, nodes, withVector, withNode } = await crosscheck(cluster);
  return { memories, vectors, nodes, withVector, withNode };
});
