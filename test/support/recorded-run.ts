import { findRun, type RecordedRun } from '../../src/engine/runs.js';
import { readingPlan } from '../../src/steps/step.js';
import { stepEvents } from '../../src/steps/step-events.js';
import { equal } from '../../src/stores/check.js';
import { step, type TinyFacts, tinyKind, tinyRun } from './tiny-run.js';

/**
 * A run that was recorded by the engine itself: `first` is confirmed, `second` fails and is tried again, `third` is blocked and
 * skipped. `runs`: the folder in which its own is made.
 */
export async function recordedRun(runs?: string): Promise<RecordedRun> {
  let attempts = 0;
  const kinds = {
    replace: tinyKind('tiny.replace', {
      effect: 'destroy',
      plan: async () => ({ ...readingPlan('replace all', ['cp a b']), destroys: ['12 memories'] }),
      run: () =>
        stepEvents<TinyFacts>(async (emit) => {
          for (const line of ['one', 'two', 'three']) emit.output(line);
          emit.facts({ ran: true });
        }),
    }),
    moody: tinyKind('tiny.moody', {
      verify: async () => {
        attempts += 1;
        return [equal('tiny step', 'rows', 2, attempts), equal('tiny step', 'tables', 2, attempts)];
      },
    }),
    blocked: tinyKind('tiny.blocked', {
      check: async () => [{ level: 'blocking', message: 'nothing answers', next: 'start it' }],
    }),
  };
  const tiny = tinyRun(
    [step('first', kinds.replace), step('second', kinds.moody, ['first']), step('third', kinds.blocked, ['second'])],
    runs === undefined ? {} : { runs },
  );
  await tiny.begin();
  await tiny.until('first', 'asking');
  tiny.run.intend({ type: 'confirm', step: 'first', typed: 'acme-test' });
  await tiny.until('second', 'deciding');
  tiny.run.intend({ type: 'retry', step: 'second' });
  await tiny.until('third', 'deciding');
  tiny.run.intend({ type: 'skip', step: 'third' });
  await tiny.run.finished;
  return findRun(tiny.folder);
}
