import http from 'node:http';
import https from 'node:https';
import { shortened } from '../../words.js';
import type { Qdrant } from './connection.js';

// Requests that the vendor's client cannot make: whose body or answer is a stream, or that take longer than its patience.

export function requestTo(
  qdrant: Qdrant,
  method: string,
  url: URL,
  signal: AbortSignal | undefined,
  headers: http.OutgoingHttpHeaders,
): http.ClientRequest {
  const options = {
    method,
    signal,
    agent: false as const,
    ...qdrant.endpoint.tlsOptions,
    headers: { ...headers, ...(qdrant.apiKey === undefined ? {} : { 'api-key': qdrant.apiKey }) },
  };
  return (qdrant.endpoint.isSecure ? https : http).request(url, options);
}

export function responseOf({ endpoint }: Qdrant, request: http.ClientRequest): Promise<http.IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.once('response', resolve);
    request.on('error', (error) => void endpoint.explained(error).then(reject));
  });
}

export async function answerOf(
  qdrant: Qdrant,
  request: http.ClientRequest,
): Promise<{ status: number; body: string }> {
  const response = await responseOf(qdrant, request);
  return { status: response.statusCode ?? 0, body: await textOf(response) };
}

export async function textOf(response: http.IncomingMessage): Promise<string> {
  const LONGEST = 64 * 1024;
  let text = '';
  for await (const chunk of response) if (text.length < LONGEST) text += (chunk as Buffer).toString('utf8');
  return text;
}

export function wordsOf(body: string): string {
  try {
    return shortened((JSON.parse(body) as { status?: { error?: string } }).status?.error ?? body);
  } catch {
    return shortened(body);
  }
}

/** Node calls an answer that ends too early "aborted", which nobody did. */
export const wordsOfBreak = ({ message }: Error) => (message === 'aborted' ? 'the answer broke off' : message);
