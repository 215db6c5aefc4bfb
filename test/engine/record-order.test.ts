import { expect, test } from 'vitest';
import { type JournalEvent, readJournal } from '../../src/engine/journal.js';
import type { StepContext } from '../../src/steps/step.js';
import { type Emitter, stepEvents } from '../../src/steps/step-events.js';
import { step, type TinyFacts, type TinyRun, tinyKind, tinyRun } from '../support/tiny-run.js';

// What a process that resumes would know, had this one been killed in the very moment of a change.

async function onDiskAtTheChange(work: (emit: Emitter<TinyFacts>, change: () => Promise<void>) => Promise<void>) {
  let onDisk: JournalEvent['type'][] = [];
  const kind = tinyKind('tiny.telling', {
    run: (_p, { gateway }: StepContext) =>
      stepEvents<TinyFacts>((emit) =>
        work(emit, () =>
          gateway.change({ channel: 'sql', text: 'a change' }, async () => {
            onDisk = readJournal(tiny.run.journalFile).events.map((event) => event.type);
          }),
        ),
      ),
  });
  const tiny: TinyRun = tinyRun([step('telling', kind)]);
  expect(await tiny.toEnd()).toBe('recovered');
  return onDisk.slice(onDisk.indexOf('step.started') + 1);
}

test('what a step told before a change is on record before the change is, and that before it is made', async () => {
  const seen = await onDiskAtTheChange(async (emit, change) => {
    emit.facts({ ran: true });
    emit.safetyCopy('all', '/somewhere', 'read back');
    await change();
  });
  expect(seen).toEqual(['step.facts', 'step.safety-copy', 'step.change']);
});

test('however much of it there is', async () => {
  const seen = await onDiskAtTheChange(async (emit, change) => {
    for (let nth = 0; nth < 100; nth += 1) emit.facts({ ran: true });
    await change();
  });
  expect(seen).toEqual([...Array.from({ length: 100 }, () => 'step.facts'), 'step.change']);
});
