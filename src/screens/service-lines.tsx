import { Text } from 'ink';
import { SERVICES, type ServiceName } from '../config/profile.js';
import type { DeskSnapshot } from '../engine/desk.js';
import { answersText } from '../engine/standing.js';
import { useSpace } from './frame.js';
import { lookOf, type Mark } from './marks.js';
import { cut } from './text.js';

export const SERVICE_ROWS = SERVICES.length;

/** Every service, and what it says now. */
export function ServiceLines({ services }: Pick<DeskSnapshot, 'services'>) {
  const { columns } = useSpace();
  return SERVICES.map((service) => {
    const state = services[service];
    const mark = markOf(service, state);
    const said =
      state === undefined ? 'asking…' : state.answers ? answersText(state.seen) : `no answer: ${state.seen}`;
    return (
      <Text key={service} wrap="truncate">
        {' '}
        <Text aria-hidden {...lookOf(mark)}>
          {mark.symbol}
        </Text>{' '}
        {service.padEnd(9)} {cut(said, columns - 14)}
      </Text>
    );
  });
}

function markOf(service: ServiceName, state: DeskSnapshot['services'][ServiceName]): Pick<Mark, 'symbol' | 'color'> {
  if (state === undefined) return { symbol: '◌' };
  if (!state.answers) return { symbol: '✗', color: 'red' };
  return service === 'postgres' && state.seen !== 'answers' ? { symbol: '!' } : { symbol: '●', color: 'green' };
}
