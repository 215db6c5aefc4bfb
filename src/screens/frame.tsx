import { Box, Text, useWindowSize } from 'ink';
import type { ReactNode } from 'react';
import { useLinear } from './linear.js';
import { PASSING, SCREEN } from './linear-output.js';
import { cut } from './text.js';

/**
 * The size of the window in cells, and how many rows a frame leaves for its body. What is told line by line has no window: no line
 * is cut off, and there are as many as a person can listen to before asking for more.
 */
export function useSpace(): { columns: number; rows: number; bodyRows: number } {
  const { columns, rows } = useWindowSize();
  return useLinear() ? ALOUD : { columns, rows, bodyRows: Math.max(3, rows - FRAME_ROWS) };
}

const ALOUD = { columns: 1000, rows: 34, bodyRows: 30 };

const FRAME_ROWS = 4;

interface FrameProps {
  cluster: string;
  production: boolean;
  /** What this screen is about: `outage`, `whole cluster lost`. */
  title: string;
  /** The clock, or whatever belongs at the right end. */
  right: string;
  /** What is asked, of how many, by which step: it stands in the rule above the body. */
  asked?: string;
  /** What a key does now: `enter open`. */
  keys: string[];
  children: ReactNode;
}

/** Header, body and footer: the header never scrolls away, the footer names the keys that work now. */
export function Frame({ cluster, production, title, right, asked = '', keys, children }: FrameProps) {
  const { columns, bodyRows } = useSpace();
  const linear = useLinear();
  if (linear) {
    const told = keys.join(', ');
    return (
      <Box flexDirection="column">
        <Text>
          {SCREEN}
          {title} {told}
        </Text>
        <Text>
          {cluster}
          {production ? ', PRODUCTION' : ''}, {title}
          {PASSING}
          {right}
        </Text>
        {asked !== '' && <Text>{asked}</Text>}
        {children}
        <Text>Keys: {told}</Text>
      </Box>
    );
  }
  const name = ` ${cluster}`;
  const banner = production ? '  PRODUCTION' : '';
  const rest = Math.max(0, columns - name.length - banner.length - right.length - 2);
  const rule = '─'.repeat(columns);
  const inRule = cut(asked, columns - 4);
  return (
    <Box flexDirection="column" height={bodyRows + FRAME_ROWS} width={columns} overflow="hidden">
      <Text wrap="truncate">
        <Text bold>{name}</Text>
        <Text bold color="red">
          {banner}
        </Text>
        {cut(` · ${title}`, rest).padEnd(rest)} {right}
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
      <Text wrap="truncate"> {footerOf(keys, columns - 2)}</Text>
    </Box>
  );
}

/** The keys in one row. Where there is no room for all, what is in parentheses is left out, then those before the last: it leads out. */
export function footerOf(keys: readonly string[], width: number): string {
  const joined = keys.join('  ');
  if (joined.length <= width) return joined;
  const shown = keys.map((key) => key.replace(/ \(.*\)$/, ''));
  const last = shown.pop() ?? '';
  const short = [...shown, last].join('  ');
  if (short.length <= width) return short;
  while (shown.length > 1 && [...shown, '…', last].join('  ').length > width) shown.pop();
  return cut([...shown, '…', last].join('  '), width);
}

/** Lines as they are, one row each. */
export function Lines({ lines, dim = false }: { lines: readonly string[]; dim?: boolean }) {
  return lines.map((line, index) => (
    // Without a fixed height, rows that find no room are drawn over each other instead of being cut off.
    // biome-ignore lint/suspicious/noArrayIndexKey: rows have no identity but their place
    <Box key={index} height={1} flexShrink={0}>
      <Text dimColor={dim} wrap="truncate">
        {line === '' ? ' ' : line}
      </Text>
    </Box>
  ));
}
