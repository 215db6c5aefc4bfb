import type { JournalEvent } from './journal.js';

/** The events of a journal that can be told: a line that was damaged may be JSON and no event. `lost`: how many were left out. */
export function wholeEvents(events: readonly JournalEvent[]): { events: JournalEvent[]; lost: number } {
  const whole = events.filter(isEvent);
  // What stands before its beginning cannot be told of any step.
  const start = whole.findIndex((event) => event.type === 'run.started');
  const kept = start === -1 ? whole : whole.slice(start);
  return { events: kept, lost: events.length - kept.length };
}

/** Without these parts an event of its type tells nothing. */
const PARTS: Partial<Record<JournalEvent['type'], readonly string[]>> = {
  'run.started': ['steps', 'fingerprint'],
  'run.resumed': ['fingerprint'],
  'run.locked': ['tookOver', 'without'],
  'step.planned': ['plan'],
  'step.finding': ['finding'],
  'step.check': ['check'],
  'run.finished': ['standing'],
};

function isEvent(event: unknown): event is JournalEvent {
  const fields = (event ?? {}) as Record<string, unknown>;
  const { type, ts } = fields;
  if (typeof type !== 'string' || typeof ts !== 'string' || Number.isNaN(Date.parse(ts))) return false;
  const parts = PARTS[type as JournalEvent['type']] ?? [];
  return parts.every((part) => typeof fields[part] === 'object' && fields[part] !== null);
}
