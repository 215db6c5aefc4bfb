import { messageOf } from '../../words.js';
import { answerText, type Novamem } from '../novamem/connection.js';
import { DEEP_HEALTH, deepHealthIn, partsUnwell } from '../novamem/deep-health.js';
import { NoSearch, search } from '../novamem/search.js';
import type { Looking } from './looking.js';

/** What novamem itself complains of. Its `/health` does not see a dead graph; the deep health and a search do. */
export async function lookAtNovamem(looking: Looking, novamem: Novamem): Promise<void> {
  looking.now('/health');
  const health = await novamem.get('/health');
  if (health.status === 200) looking.isWell('novamem says of itself that it is healthy');
  else looking.ail('unwell', `novamem: /health answers ${answerText(health)}`);
  looking.now(DEEP_HEALTH);
  for (const [part, state] of partsUnwell(deepHealthIn(await novamem.get(DEEP_HEALTH))))
    looking.ail('unwell', `novamem: its ${part} tier is ${state}`);
  looking.now('a search');
  try {
    const { degraded } = await search(novamem, { query: 'recall', k: 1 });
    if (degraded) looking.ail('unwell', 'novamem: its searches are degraded');
  } catch (error) {
    if (!(error instanceof NoSearch)) throw error;
    if (/HTTP 40[13]/.test(messageOf(error))) looking.ail('denied', `novamem: ${messageOf(error)}`);
  }
}
