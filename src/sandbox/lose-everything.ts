import { wholeClusterLost } from './disasters/backups.js';
import { sceneOf } from './disasters/disaster.js';

/** Really loses a sandbox's three stores. Answers what was done. */
export const loseEverything = (name: string): Promise<string[]> => wholeClusterLost.strike(sceneOf(name));
