import { prerequisitesOf } from '../engine/prerequisites.js';
import { EXIT } from '../problem.js';
import { Cluster } from '../stores/cluster.js';
import { jsonLine, plural } from '../words.js';
import { findCluster } from './find-cluster.js';
import { print } from './print.js';

/** `doctor`: what is missing for which scenario, and how to get it. Exit 1 when something would block one. */
export async function doctorCommand({ profile, json }: { profile?: string; json?: boolean }): Promise<number> {
  const cluster = new Cluster(findCluster(profile));
  const { possible, obstacles } = await prerequisitesOf(cluster);
  const blocking = obstacles.filter((one) => one.level === 'blocking');
  if (json) print(jsonLine({ cluster: cluster.name, possible, obstacles }));
  else
    print(
      `${cluster.name}: ${plural(blocking.length, 'obstacle')}, ${plural(obstacles.length - blocking.length, 'warning')}. Nothing was touched.`,
      ...obstacles.flatMap(({ level, message, next, concerns }) => [
        '',
        `${level === 'blocking' ? '✗ blocks' : '! warning'}  ${message}`,
        ...(next ? [`  next     ${next}`] : []),
        `  concerns ${concerns.join(', ')}`,
      ]),
      '',
      `Nothing stands in the way of: ${possible.join(', ') || 'no scenario'}`,
    );
  return blocking.length === 0 ? EXIT.recovered : EXIT.stepFailed;
}
