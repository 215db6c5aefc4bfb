import { z } from 'zod';
import type { LostMemories } from '../../stores/novamem/lost-memories.js';
import type { SalvagedTable } from '../../stores/postgres/salvage-rows.js';

// What a salvage is asked for, and what it leaves.

export const salvageParams = z.strictObject({
  /** A folder with room for a second copy, which the server's user can reach. */
  folder: z.string().min(1).optional(),
  /** Keep the working copy and what was done to it. */
  keep: z.boolean().default(false),
  /** Give the working copy a new write-ahead log where its server does not start with its own. */
  resetWal: z.enum(['last-resort', 'never']).default('last-resort'),
  /** After this time no more rows are looked for. */
  patienceSeconds: z
    .number()
    .int()
    .positive()
    .max(7 * 86_400)
    .default(4 * 3_600),
});
export type SalvageParams = z.infer<typeof salvageParams>;

export interface SalvageFacts {
  /** The folder that is worked in. */
  working: string;
  /** Why there is nothing that could be salvaged: then nothing of what follows is there. */
  nothing?: string;
  /** Of the salvaged rows. */
  dump: string;
  /** Where the dump lies: a backup set of loose files. */
  folder: string;
  tables: SalvagedTable[];
  /** Why the write-ahead log had to be thrown away. */
  walReset?: string;
  /** Indexes, constraints and the like that could not be made with the salvaged rows. */
  notMade: string[];
  /** Foreign keys that hold for new rows only. */
  notValid: string[];
  /** Memories that are known to have been there and cannot come back, with their ids in a file. */
  lost: LostMemories & { file: string };
}
