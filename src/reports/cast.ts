import type { JournalEvent } from '../engine/journal.js';
import { wholeEvents } from '../engine/whole-events.js';
import { jsonLine, linesWithoutControls } from '../words.js';
import { modeWords } from './markdown.js';
import { plainLines } from './plain.js';

/** Players show a wait that was longer, an engineer's thinking for one, as so many seconds. */
const IDLE_SECONDS = 2;

/**
 * A run as a recording in the format asciicast v2, a line each: what a run without a terminal would have printed, at the times
 * at which it happened. `fault` is what reading the journal found wrong, empty when it is intact.
 */
export function castLines(recorded: readonly JournalEvent[], fault: string): string[] {
  const { events } = wholeEvents(recorded);
  const [first] = events;
  const begin = first ? Date.parse(first.ts) : 0;
  const started = first?.type === 'run.started' ? first : undefined;
  const header = {
    version: 2,
    width: 80,
    height: 24,
    timestamp: Math.floor(begin / 1000),
    title: started
      ? `${started.title} on ${started.profile}, ${modeWords(started.mode)}, run ${started.run}`
      : 'a run whose beginning is not on record',
    idle_time_limit: IDLE_SECONDS,
  };
  let seconds = 0;
  const output = events.flatMap((event) => {
    // A clock may have been set back: a recording only goes on.
    seconds = Math.max(seconds, (Date.parse(event.ts) - begin) / 1000);
    const lines = plainLines(event).map((line) => [
      seconds,
      'o',
      `${linesWithoutControls(line).replaceAll('\n', '\r\n')}\r\n`,
    ]);
    // Players offer to go from one marker to the next.
    return event.type === 'step.started' ? [[seconds, 'm', event.step], ...lines] : lines;
  });
  const damage = fault === '' ? [] : [[seconds, 'o', `The journal of this run is not whole: ${fault}.\r\n`]];
  return [header, ...output, ...damage].map(jsonLine);
}
