import { join } from 'node:path';
import { z } from 'zod';
import { PACKAGE_ROOT } from '../../config/package-root.js';
import { profileWord } from '../../config/profiles.js';
import { commandText } from '../../hosts/command.js';
import { runCommand } from '../../hosts/run-command.js';
import { equal } from '../../stores/check.js';
import { durationOf } from '../../words.js';
import { readingPlan, type StepContext, type StepKind } from '../step.js';
import { type Emitter, stepEvents } from '../step-events.js';

const params = z.strictObject({
  /** The scenario whose runbook restores the backup set into the throw-away cluster, or a runbook file. */
  scenario: z.string().min(1).default('whole-cluster-lost'),
});
type Params = z.infer<typeof params>;

interface Facts {
  /** The drill's own run, with a record and reports of its own. */
  run: string;
  outcome: string;
  rtoMs: number;
  comparisons: number;
  different: number;
}

/** This program, built: the drill is a process of its own, since its cluster is another one. */
const PROGRAM = join(PACKAGE_ROOT, 'bin', 'novamem-runbook.js');

/** What of the lines of `drill --json` is followed here. */
const eventSchema = z.looseObject({
  type: z.string(),
  run: z.string(),
  step: z.string().optional(),
  steps: z.array(z.unknown()).optional(),
  outcome: z.string().optional(),
  reason: z.string().optional(),
  tookMs: z.number().optional(),
  rtoMs: z.number().optional(),
  check: z.object({ subject: z.string(), what: z.string(), ok: z.boolean() }).optional(),
});

/** Puts the backup set to the proof in a throw-away cluster, by `novamem-runbook drill`. The cluster itself is not touched. */
export const backupDrill: StepKind<Params, Facts> = {
  kind: 'backup.drill',
  effect: 'write',
  backupSet: 'proves',
  params,
  async plan(p, ctx) {
    return readingPlan(
      `Restore ${ctx.backup ? `backup set ${ctx.backup.id}` : 'the newest backup set'} into a throw-away cluster by ${p.scenario}, and compare`,
      [`novamem-runbook ${commandText({ file: 'drill', args: argumentsOf(p, ctx) })}`],
      { onAbort: 'nothing: the throw-away cluster is taken down' },
    );
  },
  async check(_p, ctx) {
    if (ctx.backup?.inventory) return [];
    return [
      {
        level: 'blocking',
        message: ctx.backup
          ? `nothing says what the backup set ${ctx.backup.id} must hold: it has no ${ctx.backup.kind === 'manifest' ? 'inventory' : 'manifest'}, so that a drill could prove nothing`
          : 'there is no backup set that could be put to the proof',
        next: `take one: novamem-runbook backup --profile ${ctx.cluster.name}`,
      },
    ];
  },
  run: (p, ctx, signal) =>
    stepEvents<Facts>(async (emit) => {
      const following = new Following(emit);
      const { exitCode, failure } = await runCommand(
        ctx.gateway,
        { file: process.execPath, args: [PROGRAM, 'drill', '--json', ...argumentsOf(p, ctx)] },
        { signal, onLine: (line, from) => (from === 'stdout' ? following.take(line) : emit.output(line)) },
      );
      emit.facts(following.facts);
      if (following.facts.outcome === '')
        throw new Error(
          `the drill did not come to its end (${failure || `exit code ${exitCode}`}); its throw-away cluster is taken down, and the cluster itself was not touched`,
        );
    }),
  verify: async (_p, _ctx, { outcome, comparisons, different }) => [
    equal('drill', 'outcome', outcome === EXCEPTIONS ? EXCEPTIONS : 'recovered', outcome),
    equal('drill', 'comparisons', 'some', comparisons > 0 ? 'some' : 'none'),
    equal('drill', 'comparisons that differ', 0, different),
  ],
  conclusion: ({ run, outcome, rtoMs = 0, comparisons }) => ({
    text: `${outcome === EXCEPTIONS ? 'proven with exceptions' : 'proven'} in ${durationOf(rtoMs)} by ${comparisons} comparisons: novamem-runbook report ${run}`,
    exception: outcome === EXCEPTIONS,
  }),
  // A drill that was broken off has proven nothing, and its cluster is gone.
  probe: async () => 'not-started',
};

const EXCEPTIONS = 'recovered-with-exceptions';

/** What the drill's own journal has told so far. */
class Following {
  readonly facts: Facts = { run: '', outcome: '', rtoMs: 0, comparisons: 0, different: 0 };
  #steps = 0;
  #ended = 0;

  constructor(readonly emit: Emitter<Facts>) {}

  take(line: string): void {
    const { success, data: event } = eventSchema.safeParse(jsonOf(line));
    if (!success) {
      this.emit.output(line);
      return;
    }
    this.facts.run = event.run;
    switch (event.type) {
      case 'run.started':
        this.#steps = event.steps?.length ?? 0;
        break;
      case 'step.started':
        this.emit.output(`${event.step}: started`);
        break;
      case 'step.check':
        this.facts.comparisons += 1;
        if (event.check?.ok) break;
        this.facts.different += 1;
        this.emit.output(`${event.step}: NOT EQUAL ${event.check?.subject}, ${event.check?.what}`);
        break;
      case 'step.finished':
        this.#ended += 1;
        this.emit.output(
          `${event.step}: ${event.outcome} after ${durationOf(event.tookMs ?? 0)}${event.reason ? `: ${event.reason}` : ''}`,
        );
        this.emit.progress({
          done: this.#ended,
          total: this.#steps,
          unit: 'items',
          text: `steps of the drill, the last: ${event.step}`,
        });
        break;
      case 'run.finished':
        this.facts.outcome = event.outcome ?? '';
        this.facts.rtoMs = event.rtoMs ?? 0;
    }
  }
}

function argumentsOf({ scenario }: Params, { cluster, backup }: StepContext): string[] {
  return [
    ...['--profile', profileWord(cluster.profile)],
    ...(backup ? ['--backup', backup.folder] : []),
    ...['--scenario', scenario],
    // Whose backup it is was asked before this run began, and accepted on its record where it is another cluster's.
    ...['--accept', 'backup'],
  ];
}

function jsonOf(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
