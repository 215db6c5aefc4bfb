import type { JournalEvent } from '../engine/journal.js';
import { Replay } from '../engine/replay.js';
import { findRun, type RecordedRun } from '../engine/runs.js';
import { wholeEvents } from '../engine/whole-events.js';
import { sleep } from '../hosts/waiting.js';
import { EXIT, Problem } from '../problem.js';
import { outcomeWords } from '../reports/markdown.js';
import { plainLines } from '../reports/plain.js';
import { reportOf } from '../reports/run-report.js';
import { instantOf, jsonLine, messageOf, plural } from '../words.js';
import { print, say } from './print.js';
import { isAtTerminal, isLinear, loadScreens, readAlone, stopHere } from './terminal.js';

/** Off a terminal nobody waits longer for the next line. */
const LONGEST_WAIT_MS = 2_000;

/** `replay RUN`: on the screens of a run, marked as a replay; off a terminal as plain lines, at once or at a speed. */
export async function replayCommand(
  wanted: string,
  { speed, json }: { speed?: number; json?: boolean },
): Promise<number> {
  const recorded = findRun(wanted);
  if (json) {
    for (const event of recorded.events) process.stdout.write(`${jsonLine(event)}\n`);
    if (recorded.fault !== '') say(`The journal of ${recorded.id} is not whole: ${recorded.fault}.`);
  } else if (isAtTerminal()) await show(recorded, speed);
  else await tell(recorded, speed);
  return EXIT.recovered;
}

async function show(recorded: RecordedRun, speed: number | undefined): Promise<void> {
  const replay = new Replay(recorded, speed === undefined ? {} : { speed });
  const { openReplay } = await loadScreens();
  const outside = {
    stop: () => stopHere(),
    read: readAlone,
    // A replay asks for neither.
    shell: async () => {},
    kill: async () => {},
  };
  await openReplay(replay, outside, isLinear()).catch((error: unknown) => {
    throw new Problem(`The screens ended by an error that should not be: ${messageOf(error)}.`, {
      next: `without the screens: novamem-runbook replay ${recorded.id} | cat`,
      exitCode: EXIT.stepFailed,
      cause: error,
    });
  });
  print(`REPLAY of ${recorded.id} left. Nothing was done. Its evidence: novamem-runbook report ${recorded.id}`);
}

async function tell({ id, events: all, fault }: RecordedRun, speed: number | undefined): Promise<void> {
  const { events, lost } = wholeEvents(all);
  const [first] = events;
  const mark = (...lines: string[]) => print(...lines.map((line) => `REPLAY ${line}`));
  mark(
    `of run ${id}${first ? `, recorded from ${instantOf(new Date(first.ts))}` : ''}: what follows is over, and nothing is done now`,
  );
  let before: JournalEvent | undefined;
  for (const event of events) {
    if (speed && before) await sleep(waitBetween(before, event, speed));
    if (process.stdout.destroyed) return;
    mark(...plainLines(event));
    before = event;
  }
  const ended = first?.type === 'run.started' ? outcomeWords(reportOf(events)) : 'its beginning is missing';
  mark(
    `ends: ${ended} · journal ${fault === '' ? 'intact' : `NOT INTACT: ${fault}`}${lost > 0 ? ` · ${plural(lost, 'line')} cannot be read` : ''}`,
  );
}

function waitBetween(before: JournalEvent, event: JournalEvent, speed: number): number {
  const ms = (Date.parse(event.ts) - Date.parse(before.ts)) / speed;
  return Math.max(0, Math.min(LONGEST_WAIT_MS, ms));
}
