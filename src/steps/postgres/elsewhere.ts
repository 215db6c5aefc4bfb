import type { Finding, StepContext } from '../step.js';

/** The finding that what works on the data directory as files cannot be done from here; undefined where it can. */
export function elsewhereFinding(
  { cluster }: Pick<StepContext, 'cluster'>,
  what: string,
): Extract<Finding, { level: 'blocking' }> | undefined {
  const { here, title } = cluster.host('postgres');
  if (here) return undefined;
  return {
    level: 'blocking',
    message: `the data directory of Postgres is on ${title}, and ${what} can only be done on the machine that has it`,
    next: 'run this program there, with a profile without hosts.postgres; or restore a dump, which is done over the network: novamem-runbook postgres-corrupt',
  };
}
