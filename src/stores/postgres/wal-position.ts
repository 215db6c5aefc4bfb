/**
 * A position in the write-ahead log (LSN), in bytes since its beginning: as text `0/3000148`. A number holds it exactly up to
 * 8 PiB, which no log reaches.
 */
export type Lsn = number;

const HIGH = 0x1_0000_0000;

/** Reads `0/3000148`; undefined where the text is no position. */
export function parseLsn(text: string): Lsn | undefined {
  const match = /^([0-9A-F]{1,8})\/([0-9A-F]{1,8})$/i.exec(text);
  if (!match) return undefined;
  const lsn = Number.parseInt(match[1]!, 16) * HIGH + Number.parseInt(match[2]!, 16);
  return Number.isSafeInteger(lsn) ? lsn : undefined;
}

export function lsnText(lsn: Lsn): string {
  const hex = (value: number) => value.toString(16).toUpperCase();
  return `${hex(Math.floor(lsn / HIGH))}/${hex(lsn % HIGH)}`;
}

/** One segment file of the log: its timeline, and its number counted from the log's beginning. */
export interface Segment {
  timeline: number;
  number: number;
}

export const DEFAULT_SEGMENT_BYTES = 16 * 1024 * 1024;

const hex8 = (value: number) => value.toString(16).toUpperCase().padStart(8, '0');

/** The name of a segment's file: `000000010000000000000003`. */
export function segmentName({ timeline, number }: Segment, segmentBytes: number): string {
  const perLog = HIGH / segmentBytes;
  return `${hex8(timeline)}${hex8(Math.floor(number / perLog))}${hex8(number % perLog)}`;
}

/** Which segment a file is by its name; undefined where it is none. */
export function parseSegmentName(name: string, segmentBytes: number): Segment | undefined {
  if (!/^[0-9A-F]{24}$/.test(name)) return undefined;
  const part = (from: number) => Number.parseInt(name.slice(from, from + 8), 16);
  const perLog = HIGH / segmentBytes;
  if (part(0) === 0 || part(16) >= perLog) return undefined;
  return { timeline: part(0), number: part(8) * perLog + part(16) };
}

/** The number of the segment in which a position lies. */
export const segmentNumberAt = (lsn: Lsn, segmentBytes: number): number => Math.floor(lsn / segmentBytes);

/** `00000002.history` → 2; undefined where it is no timeline history. */
export function parseHistoryName(name: string): number | undefined {
  const match = /^([0-9A-F]{8})\.history$/.exec(name);
  return match ? Number.parseInt(match[1]!, 16) : undefined;
}

export const historyName = (timeline: number): string => `${hex8(timeline)}.history`;

/** A part of the log's course: one timeline, from a position up to another, or to its end. */
export interface Stretch {
  timeline: number;
  from: Lsn;
  to?: Lsn;
}

/**
 * The timelines that lead to one, oldest first, as its history file tells them (`1⇥0/3000148⇥reason`, a line for each that
 * was left), itself last and open.
 */
export function courseOf(timeline: number, history: string): Stretch[] {
  const course: Stretch[] = [];
  let from: Lsn = 0;
  for (const line of history.split('\n')) {
    const match = /^\s*(\d+)\s+([0-9A-F]+\/[0-9A-F]+)/i.exec(line);
    const to = match ? parseLsn(match[2]!) : undefined;
    if (!match || to === undefined) continue;
    course.push({ timeline: Number(match[1]), from, to });
    from = to;
  }
  return [...course, { timeline, from }];
}
