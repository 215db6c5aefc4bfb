import { mkdirSync } from 'node:fs';
import { hostname, userInfo } from 'node:os';
import { join } from 'node:path';
import { redact, redactDeep } from '../config/redact.js';
import { closedGateway, type Gateway, openGateway } from '../hosts/gateway.js';
import type { Runbook, RunbookStep } from '../runbook/runbook.js';
import type { Finding, StepContext, StepEvent, StepKind } from '../steps/step.js';
import type { BackupSet } from '../stores/backup-set/backup-set.js';
import type { Cluster } from '../stores/cluster.js';
import { fingerprintOf } from '../stores/fingerprint.js';
import { messageOf } from '../words.js';
import {
  type Happening,
  Journal,
  type JournalEvent,
  type Mode,
  type RunOutcome,
  type StepOutcome,
} from './journal.js';
import { longestPath } from './longest-path.js';
import type { Intent, LogLine, RunSnapshot, StepSnapshot, StepState } from './snapshot.js';
import { type Standing, standingOf } from './standing.js';
import { StepLog } from './step-log.js';

export interface RunSettings {
  id: string;
  /** The run's own folder; it exists and is empty. */
  folder: string;
  mode: Mode;
  runbook: Runbook;
  cluster: Cluster;
  backup?: BackupSet;
  newBackup?: { id: string; folder: string };
  /** `ask`: a failed step waits for a person. `stop`: no further step is started, and the run ends. */
  onFailure: 'ask' | 'stop';
  versions: Record<string, string>;
}

/** One step of the run and what is kept of it beyond what subscribers see. */
interface Step extends RunbookStep {
  snapshot: StepSnapshot;
  facts: Record<string, unknown>;
  attempt: number;
  /** A step that had nothing to do on this cluster satisfies those that need it; one that a person skipped does not. */
  satisfied: boolean;
  /** Its last attempt was undone: what was there before is back. */
  undone: boolean;
  log: StepLog;
}

const LOG_LINES = 500;
const PUBLISH_MS = 100;
const PROGRESS_MS = 1_000;
const OVER: ReadonlySet<StepState> = new Set(['succeeded', 'failed', 'skipped', 'simulated', 'unknown', 'undone']);
const BUSY: ReadonlySet<StepState> = new Set(['checking', 'running', 'verifying', 'undoing']);

/**
 * A run of a runbook: a state machine that takes intents and the events of steps, writes the journal before it acts, and
 * publishes snapshots. It knows no screen and no store; a subscriber that throws cannot break it.
 */
export class Run {
  /** Resolves when the run is over, never rejects. */
  readonly finished: Promise<RunOutcome>;
  readonly operator = `${userInfo().username}@${hostname()}`;
  #settings: RunSettings;
  #journal: Journal;
  #steps: Step[];
  #phase: RunSnapshot['phase'] = 'preflight';
  #attention: string[] = [];
  #log: LogLine[] = [];
  readonly #startedAt = Date.now();
  #finishedAt: number | undefined;
  #outcome: RunOutcome | undefined;
  #abort = new AbortController();
  #stopped = false;
  #begun = false;
  #ending = false;
  #lost = '';
  #standing: Standing[] = [];
  #undoFailed = false;
  #resolve: (outcome: RunOutcome) => void = () => {};
  #subscribers = new Set<() => void>();
  #listeners = new Set<(event: JournalEvent) => void>();
  #snapshot: RunSnapshot;
  #publishing: NodeJS.Timeout | undefined;

  constructor(settings: RunSettings) {
    this.#settings = settings;
    this.#journal = new Journal(settings.id, settings.folder);
    this.#steps = settings.runbook.steps.map((step) => {
      const log = new StepLog(settings.folder, step.id, (error) => this.#loseRecord(error));
      const snapshot: StepSnapshot = {
        id: step.id,
        uses: step.kind.kind,
        why: step.why,
        effect: step.kind.effect,
        needs: step.needs,
        state: 'waiting',
        findings: [],
        checks: [],
        safetyCopies: [],
        canUndo: false,
        logFile: log.file,
      };
      return { ...step, snapshot, facts: {}, attempt: 0, satisfied: false, undone: false, log };
    });
    this.finished = new Promise((resolve) => {
      this.#resolve = resolve;
    });
    this.#snapshot = this.#take();
  }

  get journalFile(): string {
    return this.#journal.file;
  }

  subscribe = (onChange: () => void): (() => void) => {
    this.#subscribers.add(onChange);
    return () => this.#subscribers.delete(onChange);
  };

  getSnapshot = (): RunSnapshot => this.#snapshot;

  /** Told of every event after it is in the journal. */
  onEvent(listener: (event: JournalEvent) => void): void {
    this.#listeners.add(listener);
  }

  /**
   * Plans and checks every step without touching anything. A dry run is over after it; any other run then waits for
   * `begin`, or ends when a step is blocked and nobody is there to decide.
   */
  async preflight(): Promise<void> {
    const { mode, runbook, cluster, backup, newBackup, versions } = this.#settings;
    this.#record({
      type: 'run.started',
      mode,
      scenario: runbook.scenario,
      title: runbook.title,
      profile: cluster.name,
      production: cluster.profile.production,
      fingerprint: await fingerprintOf(cluster),
      runbook: runbook.hash,
      backup: backup
        ? { id: backup.id, folder: backup.folder, kind: backup.kind, takenAt: backup.takenAt?.toISOString() ?? null }
        : null,
      newBackup: newBackup?.folder ?? null,
      operator: this.operator,
      versions,
      steps: runbook.steps.map((step) => ({
        id: step.id,
        uses: step.kind.kind,
        needs: step.needs,
        params: step.params,
      })),
    });
    this.#begun = true;
    if (this.#abort.signal.aborted) return this.#abortAll();
    await Promise.all(this.#steps.map((step) => this.#look(step, 'preflight')));
    if (this.#ending) return;
    if (mode === 'dry-run') {
      for (const step of this.#steps) this.#finish(step, 'simulated');
      this.#end();
      return;
    }
    this.#phase = 'planned';
    this.#publish(true);
    const blocked = this.#steps.filter((step) => blocking(step.snapshot.findings));
    if (blocked.length > 0 && this.#settings.onFailure === 'stop') {
      for (const step of blocked) this.#finish(step, 'failed', blocking(step.snapshot.findings)!.message);
      this.#end();
    }
  }

  /** Takes what a person wants. What does not fit the moment is ignored. */
  intend(intent: Intent): void {
    if (intent.type === 'note') {
      this.#record({ type: 'note', text: intent.text, who: this.operator });
      return;
    }
    if (this.#ending) return;
    if (intent.type === 'abort') {
      // What was not begun cannot be ended: the journal says first which run this is.
      if (this.#begun) this.#abortAll();
      else this.#abort.abort(new Error('aborted by the operator'));
      return;
    }
    if (intent.type === 'begin') {
      if (this.#phase !== 'planned') return;
      this.#phase = 'running';
      this.#pump();
      return;
    }
    if (intent.type === 'look') {
      if (this.#phase === 'planned') void this.#lookAgain();
      return;
    }
    const step = this.#steps.find((one) => one.id === intent.step);
    if (!step) return;
    const { state } = step.snapshot;
    if (intent.type === 'confirm' && state === 'asking') this.#confirm(step, intent.typed, intent.by);
    else if (intent.type === 'retry' && state === 'deciding') this.#go(step, () => this.#perform(step, true));
    else if (intent.type === 'undo' && state === 'deciding' && step.snapshot.canUndo)
      this.#go(step, () => this.#undo(step));
    else if (intent.type === 'skip' && (state === 'deciding' || state === 'asking')) {
      this.#settle(step);
      this.#finish(step, 'skipped', 'skipped by the operator');
      this.#pump();
    }
  }

  async #lookAgain(): Promise<void> {
    this.#phase = 'preflight';
    this.#publish(true);
    await Promise.all(this.#steps.map((step) => this.#look(step, 'preflight')));
    if (this.#ending) return;
    this.#phase = 'planned';
    this.#publish(true);
  }

  /** Whether what was typed is the cluster's name, which is what lets a destructive step go on. */
  #confirm(step: Step, typed: string, by?: string): void {
    if (typed !== this.#settings.cluster.name) return;
    this.#record({
      type: 'confirm.given',
      step: step.id,
      who: by ? `${this.operator} (${by})` : this.operator,
      typed,
    });
    this.#go(step, () => this.#execute(step));
  }

  /** Takes the step off the list of those that wait for a person, and goes on with it. */
  #go(step: Step, work: () => Promise<void>): void {
    this.#settle(step);
    void work()
      .catch((error: unknown) => this.#fail(step, messageOf(error)))
      .finally(() => this.#pump());
  }

  #settle(step: Step): void {
    this.#attention = this.#attention.filter((id) => id !== step.id);
  }

  /** Starts every step whose needs are met, and ends the run when nothing is left that could go on. */
  #pump(): void {
    if (this.#phase !== 'running' || this.#ending) return;
    for (const step of this.#steps) {
      if (step.snapshot.state !== 'waiting' || this.#stopped) continue;
      const needs = step.needs.map((id) => this.#steps.find((one) => one.id === id)!);
      const unmet = needs.find((need) => OVER.has(need.snapshot.state) && !need.satisfied);
      if (unmet) {
        this.#finish(step, 'skipped', `it needs ${unmet.id}, which is ${unmet.snapshot.state}`);
        this.#pump();
        return;
      }
      if (needs.every((need) => need.satisfied)) this.#go(step, () => this.#perform(step, false));
    }
    const open = this.#steps.some(
      (step) =>
        BUSY.has(step.snapshot.state) || step.snapshot.state === 'asking' || step.snapshot.state === 'deciding',
    );
    if (!open) this.#end();
    else this.#publish();
  }

  /** Looks once more, asks where the step destroys, and runs it. `again`: reality is asked first whether it is done already. */
  async #perform(step: Step, again: boolean): Promise<void> {
    this.#set(step, 'checking');
    await this.#look(step, 'ready');
    if (this.#abort.signal.aborted) return this.#finish(step, 'skipped', 'aborted before it began');
    if (this.#stopped) return this.#finish(step, 'skipped', 'the run stopped before it');
    const notApplicable = step.snapshot.plan?.notApplicable;
    if (notApplicable) {
      step.satisfied = true;
      return this.#finish(step, 'skipped', notApplicable);
    }
    const obstacle = blocking(step.snapshot.findings);
    if (obstacle) return this.#fail(step, obstacle.message);
    if (again && (await this.#isDoneAlready(step))) return;
    if (step.kind.effect !== 'destroy') return this.#execute(step);
    this.#record({ type: 'confirm.asked', step: step.id, destroys: step.snapshot.plan?.destroys ?? [] });
    this.#attention = [...this.#attention, step.id];
    this.#set(step, 'asking');
  }

  async #isDoneAlready(step: Step): Promise<boolean> {
    const context = this.#contextOf(step, 'ready');
    const found = await step.kind.probe(step.params, context, step.facts).catch(() => 'unknown' as const);
    this.#tell(step, `probe: ${found}`);
    if (found !== 'done') return false;
    await this.#verify(step);
    return true;
  }

  async #execute(step: Step): Promise<void> {
    step.attempt += 1;
    step.undone = false;
    this.#record({ type: 'step.started', step: step.id, attempt: step.attempt });
    step.snapshot.startedAt = Date.now();
    step.snapshot.checks = [];
    delete step.snapshot.reason;
    delete step.snapshot.finishedAt;
    this.#set(step, 'running');
    try {
      await this.#follow(step, step.kind.run(step.params, this.#contextOf(step, 'ready'), this.#abort.signal));
      await this.#verify(step);
    } catch (error) {
      if (this.#abort.signal.aborted) return this.#settleAborted(step, messageOf(error));
      this.#fail(step, messageOf(error));
    }
  }

  /** A step that was ended half-way is unknown until reality was asked; that it is done is believed only with evidence. */
  async #settleAborted(step: Step, why: string): Promise<void> {
    const found = await step.kind
      .probe(step.params, this.#contextOf(step, 'ready'), step.facts)
      .catch(() => 'unknown' as const);
    this.#tell(step, `ended by the abort (${why}); a look at it says: ${found}`);
    if (found === 'done')
      return this.#verify(step).catch((error: unknown) => this.#finish(step, 'unknown', messageOf(error)));
    this.#finish(
      step,
      found === 'not-started' ? 'failed' : 'unknown',
      `aborted; a look at it says: ${found}. ${step.snapshot.plan?.onAbort ?? ''}`,
    );
  }

  async #follow(step: Step, events: AsyncIterable<StepEvent>): Promise<void> {
    let toldAt = 0;
    for await (const event of events) {
      switch (event.type) {
        case 'output':
          this.#tell(step, event.line);
          break;
        case 'progress': {
          const { type: _, ...progress } = redactDeep(event);
          step.snapshot.progress = progress;
          if (Date.now() - toldAt >= PROGRESS_MS) {
            toldAt = Date.now();
            this.#record({ type: 'step.progress', step: step.id, ...progress });
          } else this.#publish();
          break;
        }
        case 'facts':
          Object.assign(step.facts, event.facts);
          this.#record({ type: 'step.facts', step: step.id, facts: event.facts });
          break;
        case 'safety-copy': {
          const { type: _, ...copy } = redactDeep(event);
          step.snapshot.safetyCopies = [...step.snapshot.safetyCopies, copy];
          this.#record({ type: 'step.safety-copy', step: step.id, ...copy });
          break;
        }
      }
      step.snapshot.canUndo = step.kind.undo !== undefined && Object.keys(step.facts).length > 0;
    }
  }

  /** A step without evidence has not succeeded. */
  async #verify(step: Step): Promise<void> {
    this.#set(step, 'verifying');
    const checks = redactDeep(await step.kind.verify(step.params, this.#contextOf(step, 'ready'), step.facts));
    step.snapshot.checks = checks;
    for (const check of checks) this.#record({ type: 'step.check', step: step.id, check });
    const failed = checks.filter((check) => !check.ok);
    if (checks.length === 0)
      return this.#fail(step, 'it ended without an error, but there is nothing that proves it');
    if (failed.length > 0) {
      const first = failed[0]!;
      return this.#fail(
        step,
        `${failed.length} of ${checks.length} checks failed; the first: ${first.subject}, ${first.what}: expected ${brief(first.expected)}, found ${brief(first.actual)}`,
      );
    }
    step.satisfied = true;
    this.#finish(step, 'succeeded');
  }

  async #undo(step: Step): Promise<void> {
    this.#set(step, 'undoing');
    const { undo } = step.kind as StepKind<unknown, unknown>;
    try {
      await this.#follow(step, undo!(step.params, this.#contextOf(step, 'ready'), step.facts));
      this.#record({ type: 'step.finished', step: step.id, outcome: 'undone', tookMs: 0 });
      this.#tell(step, 'undone: as it was before this step');
      step.facts = {};
      step.undone = true;
      step.snapshot.canUndo = false;
      step.snapshot.safetyCopies = [];
      this.#ask(step, `undone: as it was before this step. It had failed: ${step.snapshot.reason ?? ''}`);
    } catch (error) {
      this.#undoFailed = true;
      this.#fail(step, `THE UNDO FAILED: ${messageOf(error)}. The safety copies are still there`);
    }
  }

  #fail(step: Step, reason: string): void {
    const said = reason.replaceAll('<step>', step.id);
    this.#tell(step, `failed: ${said}`);
    step.snapshot.reason = redact(said);
    step.snapshot.finishedAt = Date.now();
    if (this.#settings.onFailure === 'stop' || this.#abort.signal.aborted) {
      this.#stopped = true;
      for (const other of this.#steps)
        if (other.snapshot.state === 'asking') this.#finish(other, 'skipped', 'the run stopped before it');
      this.#attention = [];
      this.#finish(step, 'failed', reason);
      return;
    }
    this.#record({ type: 'step.finished', step: step.id, outcome: 'failed', tookMs: tookOf(step), reason: said });
    this.#ask(step, said);
  }

  /** Waits for a person to say what now. */
  #ask(step: Step, reason: string): void {
    step.snapshot.reason = redact(reason);
    this.#attention = [...this.#attention, step.id];
    this.#set(step, 'deciding');
  }

  #finish(step: Step, outcome: StepOutcome, reason?: string): void {
    step.snapshot.finishedAt = Date.now();
    if (reason !== undefined) step.snapshot.reason = redact(reason);
    this.#record({
      type: 'step.finished',
      step: step.id,
      outcome,
      tookMs: tookOf(step),
      ...(reason === undefined ? {} : { reason }),
    });
    step.log.flush();
    this.#set(step, outcome);
  }

  #abortAll(): void {
    this.#stopped = true;
    if (!this.#abort.signal.aborted) this.#abort.abort(new Error('aborted by the operator'));
    for (const step of this.#steps) {
      const { state, reason } = step.snapshot;
      if (state === 'asking' && step.attempt > 0) this.#finish(step, 'failed', reason);
      else if (state === 'asking' || state === 'waiting') this.#finish(step, 'skipped', 'aborted before it began');
      else if (state === 'deciding') this.#set(step, step.undone ? 'undone' : 'failed');
    }
    this.#attention = [];
    if (!this.#steps.some((step) => BUSY.has(step.snapshot.state))) this.#end();
    else this.#publish(true);
  }

  /** Ends the run once: asks how things stand now, then writes the last line. */
  #end(): void {
    if (this.#ending) return;
    this.#ending = true;
    this.#finishedAt = Date.now();
    const { mode, cluster } = this.#settings;
    const asking = mode === 'dry-run' ? Promise.resolve([]) : standingOf(cluster);
    void asking.catch(() => []).then((standing) => this.#close(standing));
  }

  #close(standing: Standing[]): void {
    for (const step of this.#steps)
      if (step.snapshot.state === 'waiting') this.#finish(step, 'skipped', 'the run stopped before it');
    this.#phase = 'finished';
    this.#standing = standing;
    this.#outcome = this.#outcomeNow();
    this.#record({
      type: 'run.finished',
      outcome: this.#outcome,
      standing,
      rtoMs: (this.#finishedAt ?? Date.now()) - this.#startedAt,
      rpoMs: this.#rpo(),
    });
    try {
      this.#journal.close();
    } catch (error) {
      this.#loseRecord(error);
    }
    for (const step of this.#steps) step.log.close();
    this.#publish(true);
    this.#resolve(this.#outcome);
  }

  #outcomeNow(): RunOutcome {
    const states = this.#steps.map((step) => step.snapshot.state);
    if (this.#settings.mode === 'dry-run') return 'simulated';
    if (this.#undoFailed || this.#lost) return 'failed';
    if (this.#abort.signal.aborted) return 'aborted';
    if (states.some((state) => state === 'failed' || state === 'unknown')) return 'failed';
    if (states.every((state) => state === 'succeeded')) return 'recovered';
    // With exceptions is still recovered: something was restored. A backup with exceptions is none.
    const restored = this.#steps.some(
      (step) => step.kind.backupSet === 'reads' && step.snapshot.state === 'succeeded',
    );
    const restores = this.#steps.some((step) => step.kind.backupSet === 'reads');
    const backsUp = this.#steps.some((step) => step.kind.backupSet === 'writes');
    return backsUp || (restores && !restored) ? 'failed' : 'recovered-with-exceptions';
  }

  #rpo(): number | null {
    const takenAt = this.#settings.backup?.takenAt;
    return takenAt ? this.#startedAt - takenAt.getTime() : null;
  }

  /** Plans and checks one step. That it cannot even be planned is a finding as well. */
  async #look(step: Step, phase: StepContext['phase']): Promise<void> {
    const context = this.#contextOf(step, phase);
    const findings: Finding[] = [];
    try {
      step.snapshot.plan = redactDeep(await step.kind.plan(step.params, context));
      this.#record({ type: 'step.planned', step: step.id, plan: step.snapshot.plan });
    } catch (error) {
      findings.push({ level: 'blocking', message: `it cannot be planned: ${messageOf(error)}` });
    }
    try {
      findings.push(...(await step.kind.check(step.params, context)));
    } catch (error) {
      findings.push({ level: 'blocking', message: `it cannot be checked: ${messageOf(error)}` });
    }
    const named = findings.map((finding) => ({
      ...finding,
      message: redact(finding.message),
      ...(finding.next === undefined ? {} : { next: finding.next.replaceAll('<step>', step.id) }),
    }));
    for (const finding of named) this.#record({ type: 'step.finding', step: step.id, finding });
    step.snapshot.findings = named;
    this.#publish();
  }

  #contextOf(step: Step, phase: StepContext['phase']): StepContext {
    const { mode, cluster, backup, newBackup, folder, id } = this.#settings;
    const gateway: Gateway =
      mode === 'dry-run' || phase === 'preflight'
        ? closedGateway()
        : openGateway(({ channel, text }) => {
            this.#record({ type: 'step.change', step: step.id, channel, text });
            this.#tell(step, `${channel}: ${text}`);
          });
    return {
      runId: id,
      cluster,
      gateway,
      ...(backup ? { backup } : {}),
      ...(newBackup ? { newBackup } : {}),
      workFolder: join(folder, 'safety', step.id),
      phase,
      earlier: { ...step.facts },
      startsEarlier: (service) =>
        this.#before(step).some(
          (one) =>
            one.kind.kind.startsWith('service.') &&
            one.kind.kind !== 'service.stop' &&
            (one.params as { service?: string }).service === service,
        ),
      factsOf: <P, F>(kind: StepKind<P, F>) =>
        this.#steps
          .filter((one) => one.kind.kind === kind.kind && one.snapshot.state === 'succeeded')
          .map((one) => one.facts as F),
    };
  }

  #before(step: Step): Step[] {
    return this.#steps.slice(0, this.#steps.indexOf(step));
  }

  #set(step: Step, state: StepState): void {
    step.snapshot.state = state;
    this.#publish(true);
  }

  #tell(step: Step, line: string): void {
    const at = new Date();
    const text = step.log.write(line, at);
    this.#log.push({ at: at.getTime(), step: step.id, text });
    if (this.#log.length > LOG_LINES * 2) this.#log = this.#log.slice(-LOG_LINES);
    this.#publish();
  }

  #record(happening: Happening): void {
    if (this.#lost || (this.#phase === 'finished' && happening.type !== 'run.finished')) return;
    try {
      const event = this.#journal.append(happening);
      for (const listener of this.#listeners) harmless(() => listener(event));
    } catch (error) {
      this.#loseRecord(error);
    }
    this.#publish();
  }

  /** Nothing is done that cannot be recorded: when the disk takes no more, the run is stopped as by an abort, and has failed. */
  #loseRecord(error: unknown): void {
    if (this.#lost) return;
    this.#lost = `the record of this run cannot be kept (${messageOf(error)}), so it was stopped; make room in ${this.#settings.folder}`;
    this.#stopped = true;
    this.#abort.abort(new Error(this.#lost));
    queueMicrotask(() => this.#abortAll());
  }

  /** At most ten snapshots a second, but at once for a change of state. */
  #publish(now = false): void {
    const tell = () => {
      clearTimeout(this.#publishing);
      this.#publishing = undefined;
      this.#snapshot = this.#take();
      for (const subscriber of this.#subscribers) harmless(subscriber);
    };
    if (now) tell();
    else this.#publishing ??= setTimeout(tell, PUBLISH_MS);
  }

  #take(): RunSnapshot {
    const { id, folder, mode, runbook, cluster, backup } = this.#settings;
    return {
      run: id,
      folder,
      mode,
      scenario: runbook.scenario,
      title: runbook.title,
      outcomeText: runbook.outcome,
      cluster: cluster.name,
      production: cluster.profile.production,
      backup: backup
        ? { id: backup.id, takenAt: backup.takenAt, kind: backup.kind, unproven: backup.unproven }
        : null,
      phase: this.#phase,
      steps: this.#steps.map((step) => ({ ...step.snapshot })),
      attention: this.#attention,
      log: this.#log.slice(-LOG_LINES),
      startedAt: this.#startedAt,
      ...(this.#finishedAt === undefined ? {} : { finishedAt: this.#finishedAt }),
      estimateMs: longestPath(
        this.#steps.map((step) => ({ id: step.id, needs: step.needs, length: step.snapshot.plan?.estimateMs ?? 0 })),
      ),
      ...(this.#outcome ? { outcome: this.#outcome } : {}),
      rpoMs: this.#rpo(),
      standing: this.#standing,
      lost: this.#lost,
      aborting: this.#abort.signal.aborted && this.#phase !== 'finished',
    };
  }
}

function blocking(findings: readonly Finding[]): Finding | undefined {
  return findings.find((finding) => finding.level === 'blocking');
}

/** Long values are whole in the journal; a sentence has no room for them. */
function brief(text: string): string {
  return text.length <= 80 ? text : `${text.slice(0, 79)}…`;
}

function tookOf({ snapshot }: Step): number {
  return snapshot.startedAt === undefined ? 0 : (snapshot.finishedAt ?? Date.now()) - snapshot.startedAt;
}

function harmless(work: () => void): void {
  try {
    work();
  } catch {
    // A broken screen or printer must not stop a recovery; the journal has everything.
  }
}

/** Makes the folder of a new run, for its owner only. */
export function makeRunFolder(runs: string, id: string): string {
  const folder = join(runs, id);
  mkdirSync(folder, { mode: 0o700 });
  return folder;
}
