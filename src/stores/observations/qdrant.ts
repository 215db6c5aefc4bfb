import type { Profile } from '../../config/profile.js';
import { freeBytesIfHere } from '../../hosts/files.js';
import { isHere } from '../../hosts/here.js';
import { sizeOf } from '../../words.js';
import type { Qdrant } from '../qdrant/connection.js';
import { mayManage, membershipOf } from '../qdrant/server.js';
import { observeClock } from './clock.js';
import { type Observation, observing } from './observation.js';

/** Less room than this lets no snapshot of any size be made or restored. */
const LITTLE = 1024 ** 3;

/** What a recovery needs of a Qdrant that answers: a key that may manage, room, the time. */
export async function observeQdrant(qdrant: Qdrant, settings: Profile['qdrant']): Promise<Observation[]> {
  const look = observing('Qdrant');
  const may = await mayManage(qdrant);
  if (may === false)
    look.block(
      'its key may not manage: snapshots can be neither made nor restored',
      'name a key with manage rights in the profile: qdrant: { apiKeyFrom: … } (service.api_key of its configuration, no read-only key or token)',
    );
  else if (may) look.ok('its key may manage: snapshots can be made and restored');
  const nodes = Object.values((await membershipOf(qdrant))?.addresses ?? {}).sort();
  if (nodes.length > 1) look.ok(`it is a cluster of ${nodes.length} nodes: ${nodes.join(', ')}`);
  const free =
    settings.dataDir !== undefined && isHere(qdrant.url.hostname)
      ? await freeBytesIfHere(settings.dataDir)
      : undefined;
  if (free !== undefined && free < LITTLE)
    look.warn(
      `${sizeOf(free)} are free on the disk of ${settings.dataDir}: restoring a snapshot takes about twice its size`,
      'make room on that disk',
    );
  await observeClock(look, async () => {
    const { date } = await qdrant.get('/');
    return date === null ? undefined : new Date(date);
  });
  return look.found;
}
