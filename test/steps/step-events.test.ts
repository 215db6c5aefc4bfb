import { expect, test } from 'vitest';
import { stepEvents } from '../../src/steps/step-events.js';
import { gate } from '../support/tiny-run.js';

test('events come in the order in which they were told, also while the reader is slow', async () => {
  const lines: string[] = [];
  const events = stepEvents(async (emit) => {
    for (let index = 0; index < 1_000; index += 1) {
      emit.output(`line ${index}`);
      if (index % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
  });
  for await (const event of events) {
    if (event.type === 'output') lines.push(...event.line.split('\n'));
    if (lines.length % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  expect(lines).toEqual(Array.from({ length: 1_000 }, (_, index) => `line ${index}`));
});

test('an error of the work is thrown after everything that was told before it', async () => {
  const seen: string[] = [];
  const following = async () => {
    const events = stepEvents(async (emit) => {
      emit.output('before');
      emit.facts({ made: true });
      throw new Error('broken');
    });
    for await (const event of events) seen.push(event.type);
  };
  await expect(following()).rejects.toThrow('broken');
  expect(seen).toEqual(['output', 'facts']);
});

test('of progress only the newest waits for a slow reader; nothing else is left out', async () => {
  const { opened, open } = gate();
  const events = stepEvents(async (emit) => {
    await opened;
    for (let done = 1; done <= 1_000; done += 1) emit.progress({ done, total: 1_000, unit: 'rows', text: 'rows' });
    emit.output('said');
    emit.progress({ done: 1_000, unit: 'rows', text: 'the end' });
  });
  const first = events.next();
  open();
  const seen = [(await first).value];
  for await (const event of events) seen.push(event);
  expect(seen).toEqual([
    { type: 'progress', done: 1_000, total: 1_000, unit: 'rows', text: 'rows' },
    { type: 'output', line: 'said' },
    { type: 'progress', done: 1_000, unit: 'rows', text: 'the end' },
  ]);
});

test('bytes are counted by the piece and told as a sum', async () => {
  const seen: unknown[] = [];
  const events = stepEvents(async (emit) => {
    const count = emit.bytes(30, 'copying');
    for (let index = 0; index < 3; index += 1) {
      count(10);
      await new Promise((resolve) => setImmediate(resolve));
    }
  });
  for await (const event of events) seen.push(event.type === 'progress' ? event.done : event);
  expect(seen.at(-1)).toBe(30);
});

test('work that tells nothing ends without an event', async () => {
  const seen: unknown[] = [];
  for await (const event of stepEvents(async () => {})) seen.push(event);
  expect(seen).toEqual([]);
});
