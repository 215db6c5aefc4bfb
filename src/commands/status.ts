import { profileWord } from '../config/profiles.js';
import { clusterStatus } from '../engine/cluster-status.js';
import { shellWord } from '../hosts/command.js';
import { EXIT } from '../problem.js';
import { statusMetrics } from '../reports/status-prometheus.js';
import { statusLines } from '../reports/status-text.js';
import { jsonLine } from '../words.js';
import { findCluster } from './find-cluster.js';
import { print } from './print.js';

/**
 * `status`: the newest backup and what was proven of it, without asking any server. Exit 0 when a restore was proven and no drill
 * is due, else 1.
 */
export async function statusCommand({
  profile,
  format,
}: {
  profile?: string;
  format: 'text' | 'json' | 'prometheus';
}): Promise<number> {
  const found = findCluster(profile);
  const status = await clusterStatus(found);
  if (format === 'json') print(jsonLine(status));
  else if (format === 'prometheus') print(...statusMetrics(status));
  else print(...statusLines(status, shellWord(profileWord(found))));
  return status.state === 'proven' ? EXIT.recovered : EXIT.stepFailed;
}
