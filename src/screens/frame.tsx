import { Box, Text, useWindowSize } from 'ink';
import { type ReactNode, useContext } from 'react';
import { useLesson } from './lessons/lesson.js';
import { useLinear } from './linear.js';
import { PASSING, SCREEN } from './linear-output.js';
import { ReplayContext, type ReplayKeys, replayKeys, standingAloud, standingOf, useReplay } from './replaying.js';
import { cut, wrap } from './text.js';

/**
 * The size of the window in cells, and how many rows a frame leaves for its body. What is told line by line has no window: no line
 * is cut off, and there are as many as a person can listen to before asking for more.
 */
export function useSpace(): { columns: number; rows: number; bodyRows: number } {
  const { columns, rows } = useWindowSize();
  const replayRows = useContext(ReplayContext) ? replayRowsOf(rows) : 0;
  return useLinear() ? ALOUD : { columns, rows, bodyRows: Math.max(3, rows - FRAME_ROWS - replayRows) };
}

/** What a replay says, and where it stands. */
const replayRowsOf = (rows: number) => (rows < 20 ? 2 : 3);

const ALOUD = { columns: 1000, rows: 34, bodyRows: 30 };

const FRAME_ROWS = 4;

interface FrameProps {
  cluster: string;
  production: boolean;
  /** What this screen is about: `outage`, `whole cluster lost`. */
  title: string;
  /** What kind of run it is, where that is no outage: `DRILL`, `UNDO`. The title gives way to them. */
  marks?: readonly string[];
  /** The clock, or whatever belongs at the right end. */
  right: string;
  /** What is asked, of how many, by which step: it stands in the rule above the body. */
  asked?: string;
  /** What a key does now: `enter open`. */
  keys: string[];
  /** Which keys of a replay work now. */
  replayed?: ReplayKeys;
  children: ReactNode;
}

/** Header, body and footer: the header never scrolls away, the footer names the keys that work now. */
export function Frame({
  cluster,
  production,
  title,
  marks = [],
  right,
  asked = '',
  keys,
  replayed = 'all',
  children,
}: FrameProps) {
  const { columns, rows, bodyRows } = useSpace();
  const linear = useLinear();
  const replay = useReplay();
  const lesson = useLesson();
  const more = replay ? replayKeys(replay.replay, replayed) : [];
  if (linear) {
    const told = [...keys, ...more].join(', ');
    return (
      <Box flexDirection="column">
        <Text>
          {SCREEN}
          {[title, ...marks].join(' · ')} {told}
        </Text>
        <Text>
          {replay ? 'REPLAY, ' : lesson ? 'LESSON, ' : ''}
          {cluster}
          {production ? ', PRODUCTION' : ''}, {[title, ...marks].join(' · ')}
          {PASSING}
          {right}
        </Text>
        {asked !== '' && <Text>{asked}</Text>}
        {children}
        {replay && <Lines lines={[replay.status.said, standingAloud(replay.status)]} />}
        <Text>Keys: {told}</Text>
      </Box>
    );
  }
  const name = ` ${cluster}`;
  const banner = production ? '  PRODUCTION' : '';
  const mark = replay ? ' REPLAY ' : lesson ? ' LESSON ' : '';
  const rest = Math.max(0, columns - mark.length - name.length - banner.length - right.length - 2);
  const rule = '─'.repeat(columns);
  const said = replay ? wrapped(replay.status.said, columns - 2, replayRowsOf(rows) - 1) : [];
  const standing = replay ? [[standingOf(replay.status), ...more].join('  ')] : [];
  const inRule = cut(asked, columns - 4);
  return (
    <Box
      flexDirection="column"
      height={bodyRows + FRAME_ROWS + said.length + standing.length}
      width={columns}
      overflow="hidden"
    >
      <Text wrap="truncate">
        <Text bold inverse>
          {mark}
        </Text>
        <Text bold>{name}</Text>
        <Text bold color="red">
          {banner}
        </Text>
        {titled(title, marks, rest)} {right}
      </Text>
      {asked === '' ? (
        <Text dimColor>{rule}</Text>
      ) : (
        <Text wrap="truncate">
          <Text dimColor>─</Text> {inRule} <Text dimColor>{rule.slice(inRule.length + 3)}</Text>
        </Text>
      )}
      <Box flexDirection="column" height={bodyRows} flexShrink={0} overflow="hidden">
        {children}
      </Box>
      <Text dimColor>{rule}</Text>
      <Lines lines={said} bold />
      <Text wrap="truncate"> {footerOf(keys, columns - 2)}</Text>
      <Lines lines={standing.map((line) => ` ${cut(line, columns - 2)}`)} />
    </Box>
  );
}

/** The title and the marks in exactly so many cells: the title is cut, the marks never are as long as there is room for them. */
export function titled(title: string, marks: readonly string[], width: number): string {
  const kept = marks.map((mark) => ` · ${mark}`).join('');
  const room = width - kept.length;
  return cut(`${room > 0 ? cut(` · ${title}`, room) : ''}${kept}`, width).padEnd(width);
}

/** The text in exactly so many rows. */
function wrapped(text: string, width: number, rows: number): string[] {
  const lines = wrap(text, width);
  return Array.from(
    { length: rows },
    (_, row) => ` ${row < rows - 1 ? (lines[row] ?? '') : cut(lines.slice(row).join(' '), width)}`,
  );
}

const HELP = '? help';

/**
 * The keys in one row. Where there is no room for all, what is in parentheses is left out unless it is a count, then those before the
 * help, which names all of them, and the last, which leads out.
 */
export function footerOf(keys: readonly string[], width: number): string {
  const joined = keys.join('  ');
  if (joined.length <= width) return joined;
  const shown = keys.map((key) => key.replace(/ \((?!\d+\)).*\)$/, ''));
  const short = shown.join('  ');
  if (short.length <= width) return short;
  const last = shown.pop() ?? '';
  const rest = shown.filter((key) => key !== HELP);
  const kept = [...shown.filter((key) => key === HELP), last];
  while (rest.length > 1 && [...rest, '…', ...kept].join('  ').length > width) rest.pop();
  return cut([...rest, '…', ...kept].join('  '), width);
}

/** Lines as they are, one row each. */
export function Lines({ lines, bold = false }: { lines: readonly string[]; bold?: boolean }) {
  return lines.map((line, index) => (
    // Without a fixed height, rows that find no room are drawn over each other instead of being cut off.
    // biome-ignore lint/suspicious/noArrayIndexKey: rows have no identity but their place
    <Box key={index} height={1} flexShrink={0}>
      <Text bold={bold} wrap="truncate">
        {line === '' ? ' ' : line}
      </Text>
    </Box>
  ));
}
