import { z } from 'zod';
import type { SearchRequest } from '../../config/profile.js';
import { shellWord } from '../../hosts/command.js';
import { type Answer, answerText, type Novamem } from './connection.js';

const SEARCH = '/v1/search';

/** One memory that was found, best first: its score, and what each tier added to it. */
export const searchResultSchema = z.object({
  id: z.string(),
  score: z.number(),
  signals: z.record(z.string(), z.number()).default({}),
});
export type SearchResult = z.infer<typeof searchResultSchema>;

const searchAnswerSchema = z.object({
  results: z.array(searchResultSchema.extend({ content: z.string().optional() })),
  degraded: z.boolean().default(false),
});
export type SearchAnswer = z.infer<typeof searchAnswerSchema>;

/** The answer is not one of a search: this server, or this token, has none. */
export class NoSearch extends Error {
  override name = 'NoSearch';
  constructor(answer: Answer) {
    super(`${SEARCH} answered ${answerText(answer).slice(0, 200)}`);
  }
}

/** Searches as the user of the profile's token. A degraded search that found nothing is an answer (HTTP 503), any other is a NoSearch. */
export async function search(novamem: Novamem, request: SearchRequest): Promise<SearchAnswer> {
  const answer = await novamem.ask(SEARCH, request);
  const parsed = searchAnswerSchema.safeParse(answer.body);
  if (!parsed.success || (answer.status !== 200 && answer.status !== 503)) throw new NoSearch(answer);
  // Whatever else it says: with this status a tier failed, which is not the same as nothing found.
  return { ...parsed.data, degraded: parsed.data.degraded || answer.status === 503 };
}

/** The search as a person could paste it. */
export function searchText({ address, curlArguments }: Novamem, request: SearchRequest): string {
  const body = shellWord(JSON.stringify(request));
  return `curl -fsS ${curlArguments}-H 'content-type: application/json' -d ${body} ${address}${SEARCH}`;
}
