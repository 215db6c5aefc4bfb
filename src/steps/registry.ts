import { backupDrill } from './backup/drill.js';
import { backupManifest } from './backup/manifest.js';
import { clusterCrosscheck } from './cluster/crosscheck.js';
import { clusterInventory } from './cluster/inventory.js';
import { clusterReconcile } from './cluster/reconcile.js';
import { falkordbBackup } from './falkordb/backup.js';
import { falkordbFill } from './falkordb/fill.js';
import { falkordbRebuild } from './falkordb/rebuild.js';
import { falkordbReset } from './falkordb/reset.js';
import { falkordbRestore } from './falkordb/restore.js';
import { falkordbSurvey } from './falkordb/survey.js';
import { novamemHealth } from './novamem/health.js';
import { novamemLosses } from './novamem/losses.js';
import { novamemSearch } from './novamem/search.js';
import { operatorChoose } from './operator/choose.js';
import { operatorConfirm } from './operator/confirm.js';
import { postgresBackup } from './postgres/backup.js';
import { postgresBaseBackup } from './postgres/base-backup.js';
import { postgresEmpty } from './postgres/empty.js';
import { postgresExamine } from './postgres/examine.js';
import { postgresPointInTime } from './postgres/point-in-time.js';
import { postgresRawCopy } from './postgres/raw-copy.js';
import { postgresRestore } from './postgres/restore.js';
import { postgresRestoreSalvaged } from './postgres/restore-salvaged.js';
import { postgresSalvage } from './postgres/salvage.js';
import { postgresSurvey } from './postgres/survey.js';
import { qdrantBackup } from './qdrant/backup.js';
import { qdrantReindex } from './qdrant/reindex.js';
import { qdrantRestore } from './qdrant/restore.js';
import { serviceRestart, serviceStart, serviceStop } from './service-kinds.js';
import type { AnyStepKind } from './step.js';

/** Every step kind that a runbook can use. */
const KINDS: readonly AnyStepKind[] = [
  serviceStop,
  serviceStart,
  serviceRestart,
  postgresExamine,
  postgresRestore,
  postgresBackup,
  postgresBaseBackup,
  postgresPointInTime,
  postgresSurvey,
  postgresRawCopy,
  postgresSalvage,
  postgresRestoreSalvaged,
  postgresEmpty,
  qdrantRestore,
  qdrantBackup,
  qdrantReindex,
  falkordbRestore,
  falkordbFill,
  falkordbRebuild,
  falkordbReset,
  falkordbSurvey,
  falkordbBackup,
  backupManifest,
  backupDrill,
  clusterInventory,
  clusterCrosscheck,
  clusterReconcile,
  novamemHealth,
  novamemSearch,
  novamemLosses,
  operatorChoose,
  operatorConfirm,
] as AnyStepKind[];

export function stepKind(name: string): AnyStepKind | undefined {
  return KINDS.find((kind) => kind.kind === name);
}

export function stepKinds(): readonly AnyStepKind[] {
  return KINDS;
}
