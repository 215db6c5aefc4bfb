import type { HostSettings } from '../config/profile.js';
import { elsewhere } from './elsewhere/elsewhere.js';
import { HERE, type Host } from './host.js';

/** The host that a profile's settings name; without any it is this machine. */
export const hostOf = (settings: HostSettings | undefined): Host =>
  settings === undefined ? HERE : elsewhere(settings, HERE);
