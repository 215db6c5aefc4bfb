import { readFileSync } from 'node:fs';
import type { Profile } from '../config/profile.js';

/** Behind a lock it would wait for ever. */
const PATIENCE = 20_000;

/** Has the sandbox's stand-in remember what is written today, as users would. */
export async function remember(profile: Profile, contents: readonly string[]): Promise<void> {
  const { url, tokenFrom } = profile.novamem!;
  const token = readFileSync(tokenFrom!.slice('file:'.length), 'utf8').trim();
  for (const content of contents) {
    const response = await fetch(`${url}/v1/remember`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ content }),
      signal: AbortSignal.timeout(PATIENCE),
    });
    if (!response.ok) throw new Error(`the stand-in did not remember: HTTP ${response.status}`);
  }
}

/** What somebody remembers after the last backup was taken: it is what a restore loses. */
export const WRITTEN_TODAY = [
  'the rollout of the billing change was stopped at noon',
  'atlas decided to keep the old queue until spring',
  'the certificate of the staging login ends next week',
] as const;

/** What somebody remembers while nobody has noticed yet what happened: going back to before it loses it. */
export const WRITTEN_SINCE = [
  'the new search index went live on the staging cluster',
  'team Orion takes over the nightly report in December',
] as const;
