import { beforeAll, beforeEach } from 'vitest';
import { postgresExamine } from '../../src/steps/postgres/examine.js';
import type { StepContext } from '../../src/steps/step.js';
import type { BackupSet } from '../../src/stores/backup-set/backup-set.js';
import { comparePostgres, inventoryPostgres } from '../../src/stores/postgres/inventory.js';
import { dataDirectory, fileOf, overwrite, whileStopped } from './damage.js';
import { perform, type RealCluster, realCluster } from './sandbox.js';

/** A cluster with a backup, of this test file's own: whole before each test, and damaged as the test asks for. */
export function damagedPostgres() {
  let real: RealCluster;
  let backup: BackupSet;
  let whole: ReturnType<typeof dataDirectory>;

  beforeAll(async () => {
    real = await realCluster(1_000);
    backup = await real.backup();
    whole = dataDirectory(real);
    await whole.keep();
  });

  beforeEach(() => whole.putBack());

  return {
    real: () => real,
    backup: () => backup,
    /** Overwrites pages of a relation while the server is stopped. */
    async damage(relation: string, blocks: number[]): Promise<void> {
      const file = await fileOf(real, relation);
      await whileStopped(real.cluster, () => overwrite(file, blocks));
    },
    /** A context in which this run has examined the server. */
    async examined(more: Partial<StepContext> = {}): Promise<StepContext> {
      const { facts, error } = await perform(postgresExamine, {}, real.context());
      if (error) throw error;
      const factsOf = ((kind: { kind: string }) =>
        kind.kind === postgresExamine.kind ? [facts] : []) as StepContext['factsOf'];
      return real.context({ backup, factsOf, ...more });
    },
    /** What of the database is not as in the backup. */
    notEqual: async () =>
      comparePostgres(backup.inventory!.postgres!, await inventoryPostgres(real.cluster.postgres)).filter(
        ({ ok }) => !ok,
      ),
  };
}
