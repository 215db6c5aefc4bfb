import type { Novamem } from './connection.js';

/** What a sandbox's stand-in for novamem calls itself, in `/openapi.json`: it scores otherwise than novamem does. */
export const STAND_IN_TITLE = 'novamem stand-in';

/** Whether this is a sandbox's stand-in and not novamem. Rejects when nothing answers. */
export async function isStandIn(novamem: Novamem): Promise<boolean> {
  const { body } = await novamem.get('/openapi.json');
  return (body as { info?: { title?: unknown } } | null)?.info?.title === STAND_IN_TITLE;
}
