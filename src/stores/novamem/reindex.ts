import type { Gateway } from '../../hosts/gateway.js';
import { messageOf } from '../../words.js';
import { tlsFaultIn } from '../tls/tls-fault.js';
import { answerText, type Novamem } from './connection.js';

export const REINDEX = '/v1/admin/reindex';

/** Whether a server has the path that re-embeds everything, and what was seen. `unknown`: it could not be asked. */
export interface ReindexSupport {
  has: 'yes' | 'no' | 'unknown';
  seen: string;
}

/** What a server was last found to have: it stays true while the service is stopped for the recovery. */
const lastSeen = new WeakMap<Novamem, ReindexSupport>();

/**
 * Asks without any chance of starting one. novamem's router answers 404 to every other method on a path that only takes
 * POST, so such a 404 alone proves nothing; but it publishes a description of its paths. First that is read
 * (`/openapi.json`), then OPTIONS is sent, whose `Allow` a router may answer by itself.
 */
export async function reindexSupport(novamem: Novamem): Promise<ReindexSupport> {
  try {
    const support = await ask(novamem);
    lastSeen.set(novamem, support);
    return support;
  } catch (error) {
    const before = lastSeen.get(novamem);
    return before && before.has !== 'unknown'
      ? { ...before, seen: `${before.seen} (before it was stopped)` }
      : { has: 'unknown', seen: messageOf(error) };
  }
}

async function ask(novamem: Novamem): Promise<ReindexSupport> {
  const described = await novamem.get('/openapi.json');
  const paths = (described.body as { paths?: Record<string, { post?: unknown }> } | null)?.paths;
  if (paths?.[REINDEX]?.post) return { has: 'yes', seen: `/openapi.json has POST ${REINDEX}` };
  const { status, allow } = await novamem.options(REINDEX);
  const says = allow.toUpperCase().split(/[\s,]+/);
  if (says.includes('POST')) return { has: 'yes', seen: `OPTIONS ${REINDEX} allows ${allow}` };
  if (status === 401 || status === 403) return { has: 'unknown', seen: `OPTIONS ${REINDEX} answers HTTP ${status}` };
  return {
    has: 'no',
    seen: `${paths ? '/openapi.json does not have it' : `/openapi.json answers HTTP ${described.status}`}, OPTIONS ${REINDEX} answers HTTP ${status}`,
  };
}

/** How the server took it. `unanswered`: it was sent, and may be at work. */
export type ReindexAnswer = { taken: 'yes' | 'unanswered'; seen: string };

/** Starts it. An answer that takes longer than the patience is none: it is never sent a second time by itself. */
export async function startReindex(gateway: Gateway, novamem: Novamem): Promise<ReindexAnswer> {
  const change = { channel: 'http', text: reindexText(novamem) } as const;
  return gateway.change(change, async () => {
    let answer: Awaited<ReturnType<Novamem['ask']>>;
    try {
      answer = await novamem.ask(REINDEX, {});
    } catch (error) {
      if (tlsFaultIn(error) || /ECONNREFUSED/.test(messageOf(error))) throw error;
      return { taken: 'unanswered', seen: messageOf(error) };
    }
    const seen = answerText(answer).slice(0, 200);
    if (answer.status >= 200 && answer.status < 300) return { taken: 'yes', seen };
    // It is at it already, or a proxy has given up: what was asked for is under way.
    if ([408, 409, 502, 504].includes(answer.status)) return { taken: 'unanswered', seen };
    throw new Error(`POST ${REINDEX} answered ${seen}: nothing was started`);
  });
}

export const reindexText = ({ address, curlArguments }: Novamem) =>
  `curl -fsS ${curlArguments}-H 'content-type: application/json' -d '{}' -X POST ${address}${REINDEX}`;
