import { Text } from 'ink';
import { SERVICES } from '../config/profile.js';
import type { DeskSnapshot } from '../engine/desk.js';
import { answersText } from '../engine/standing.js';
import { useSpace } from './frame.js';
import { cut } from './text.js';

export const SERVICE_ROWS = SERVICES.length;

/** Every service, and what it says now. */
export function ServiceLines({ services }: Pick<DeskSnapshot, 'services'>) {
  const { columns } = useSpace();
  return SERVICES.map((service) => {
    const state = services[service];
    const [symbol, color] =
      state === undefined
        ? ['◌', 'cyan']
        : !state.answers
          ? ['✗', 'red']
          : service === 'postgres' && state.seen !== 'answers'
            ? ['!', 'yellow']
            : ['●', 'green'];
    const said =
      state === undefined ? 'asking…' : state.answers ? answersText(state.seen) : `no answer: ${state.seen}`;
    return (
      <Text key={service} wrap="truncate">
        {' '}
        <Text aria-hidden color={color}>
          {symbol}
        </Text>{' '}
        {service.padEnd(9)} {cut(said, columns - 14)}
      </Text>
    );
  });
}
