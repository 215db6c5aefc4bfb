import { knownIdentity, rememberIdentity } from '../config/identities.js';
import { openGateway } from '../hosts/gateway.js';
import type { BackupSet } from '../stores/backup-set/backup-set.js';
import type { Cluster } from '../stores/cluster.js';
import { addressesIn, type Fingerprint, fingerprintOf, fingerprintText } from '../stores/fingerprint.js';
import { endLeftovers } from '../stores/leftovers.js';
import { ClusterHeld, ClusterLock, type HeldLock, heldText } from './cluster-lock.js';
import type { Difference } from './differences.js';
import { backupGuards, type Guard, guardsOf } from './guards.js';
import type { Happening } from './journal.js';
import { operatorHere } from './operator.js';

interface AdmissionRequest {
  run: string;
  cluster: Cluster;
  backup: BackupSet | undefined;
  /** In a drill: the cluster whose backup it is, which is not the one that is worked on. */
  drillOf: string | undefined;
  /** What keeps the run from beginning, besides what is found out here. */
  guards: readonly Guard[];
  /** What is meant to be another one than was expected. */
  accept: readonly Difference[];
  /** Where the cluster is locked; nowhere: it is not. */
  lockFolders: readonly string[];
  record: (happening: Happening) => void;
  /** Told once when somebody else has taken the cluster over. */
  onLost: (why: string) => void;
}

/** What lets a run in: it is the right cluster, the right backup, and nobody else is at work there. */
export class Admission {
  /** Which cluster it is, in words; empty until it was asked. */
  identity = '';
  #fingerprint: Fingerprint | undefined;
  /** Who kept it from being locked. */
  held: HeldLock | undefined;
  readonly #request: AdmissionRequest;
  readonly #accepted = new Set<Difference>();
  #guards: Guard[] = [];
  #lock: ClusterLock | undefined;
  #locking: Promise<boolean> | undefined;
  #raised = false;
  #released = false;

  constructor(request: AdmissionRequest) {
    this.#request = request;
  }

  /** Finds out which cluster this is, and whether that and the backup set are the expected ones. */
  async identify(): Promise<Fingerprint> {
    const { cluster, backup, drillOf } = this.#request;
    const fingerprint = await fingerprintOf(cluster);
    this.identity = fingerprintText(fingerprint);
    this.#fingerprint = fingerprint;
    this.#guards = [
      ...guardsOf(cluster.name, fingerprint, knownIdentity(cluster.name), drillOf === undefined ? backup : undefined),
      ...(drillOf === undefined || !backup
        ? []
        : backupGuards(drillOf, knownIdentity(drillOf)?.systemIdentifiers ?? [], backup)),
      ...this.#request.guards,
    ];
    return fingerprint;
  }

  /** Records what was found, and what of it was accepted so far. */
  raise(): void {
    this.#raised = true;
    for (const guard of this.#guards) this.#request.record({ type: 'guard.raised', ...guard });
    for (const difference of this.#accepted) this.#recordAccepted(difference);
    for (const difference of this.#request.accept) this.accept(difference);
  }

  /** What nobody has accepted yet. */
  get guards(): Guard[] {
    return this.#guards.filter(({ difference }) => !this.#accepted.has(difference));
  }

  accept(difference: Difference): void {
    if (!this.guards.some((guard) => guard.difference === difference)) return;
    this.#accepted.add(difference);
    // A run that is only looked at is not written to: what was accepted meanwhile is recorded when it is raised.
    if (this.#raised) this.#recordAccepted(difference);
  }

  #recordAccepted(difference: Difference): void {
    this.#request.record({ type: 'guard.accepted', difference, who: operatorHere() });
  }

  /** Locks the cluster, where that is not done already. Answers false when somebody else is at work there: `held` says who. */
  async lock(takeOver: boolean): Promise<boolean> {
    if (this.#lock || this.#request.lockFolders.length === 0) return true;
    this.#locking = this.#take(takeOver);
    return await this.#locking;
  }

  async #take(takeOver: boolean): Promise<boolean> {
    const { run, cluster, lockFolders } = this.#request;
    try {
      const operator = operatorHere();
      const lock = await ClusterLock.take({ cluster: cluster.name, run, operator, folders: lockFolders, takeOver });
      // The run may have been put away while it waited for its lock.
      if (this.#released) await lock.release();
      else this.hold(lock);
      this.held = undefined;
      return true;
    } catch (error) {
      if (!(error instanceof ClusterHeld)) throw error;
      this.held = error.held;
      return false;
    }
  }

  /** Works under a lock that was taken already. */
  hold(lock: ClusterLock): void {
    this.#lock = lock;
    this.#request.record({
      type: 'run.locked',
      files: lock.files,
      without: lock.without.map(({ folder, why }) => `${folder}: ${why}`),
      tookOver: lock.tookOver.map(heldText),
    });
    lock.onLost = this.#request.onLost;
  }

  /**
   * Ends what runs whose own process is gone have left at work: those whose lock was put aside, and with `resumed` the earlier
   * process of this one.
   */
  async endLeftovers(resumed: boolean): Promise<void> {
    const { run, cluster, record } = this.#request;
    const runs = new Set(this.#lock?.tookOver.flatMap(({ holder }) => (holder ? [holder.run] : [])));
    if (resumed) runs.add(run);
    const gateway = openGateway(({ channel, text }) => record({ type: 'run.leftover', channel, text }));
    for (const one of runs) await endLeftovers(gateway, cluster.postgres, one);
  }

  /** From now on this is the cluster to which the profile leads. */
  remember(): void {
    const { postgres } = this.#fingerprint!;
    rememberIdentity(this.#request.cluster.name, {
      addresses: addressesIn(this.#fingerprint!),
      systemIdentifier: postgres.systemIdentifier,
    });
  }

  async release(): Promise<void> {
    this.#released = true;
    await this.#locking?.catch(() => {});
    await this.#lock?.release();
  }
}
