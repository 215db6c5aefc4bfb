import { isAbsolute, normalize } from 'node:path';
import { z } from 'zod';
import { agreementSchema } from '../crosscheck/agreement.js';
import { falkordbInventorySchema } from '../falkordb/inventory.js';
import { goldenSearchSchema } from '../novamem/golden-searches.js';
import { postgresInventorySchema } from '../postgres/inventory.js';
import { collectionInventorySchema, qdrantInventorySchema } from '../qdrant/inventory.js';

/** A path inside the backup set; one that leads out of it is refused. */
const insidePath = z
  .string()
  .refine(
    (path) => path !== '' && !isAbsolute(path) && !normalize(path).startsWith('..') && !path.includes('\0'),
    'must be a path inside the backup set',
  );

const instant = z.iso.datetime();

const partFields = {
  file: insidePath,
  bytes: z.number().int().nonnegative(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  /** The instant whose data this part holds. */
  at: instant,
  toolVersion: z.string(),
  serverVersion: z.string(),
};

export const postgresPartSchema = z.object(partFields);
export const qdrantPartSchema = z.object({
  ...partFields,
  collection: z.string().min(1),
  /** Which of its shards, where the nodes of a cluster share them; absent for a Qdrant that is alone. */
  shard: z.number().int().nonnegative().optional(),
  /** With a shard: what `PUT /collections/{c}` takes to make the collection again, which a shard's snapshot does not do. */
  creation: z.record(z.string(), z.unknown()).optional(),
});
export const falkordbPartSchema = z.object({
  ...partFields,
  form: z.enum(['appendonlydir', 'appendonly.aof', 'dump.rdb']),
});

const lsn = z.string().regex(/^[0-9A-F]+\/[0-9A-F]+$/);

/** A base backup: a folder that pg_basebackup made, proven by its own `backup_manifest`, which is proven here. */
export const postgresBasePartSchema = z.object({
  folder: insidePath,
  files: z.number().int().nonnegative(),
  bytes: z.number().int().nonnegative(),
  /** Of its `backup_manifest`, which has the checksums of all its files. */
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  /** When it had ended: it can be recovered to any later moment that the WAL archive covers, and to no earlier one. */
  at: instant,
  timeline: z.number().int().positive(),
  startLsn: lsn,
  endLsn: lsn,
  systemIdentifier: z.string(),
  toolVersion: z.string(),
  serverVersion: z.string(),
});

/** What is in the stores, for each that was read. */
export const inventorySchema = z.object({
  takenAt: instant,
  postgres: postgresInventorySchema.optional(),
  qdrant: qdrantInventorySchema.optional(),
  falkordb: falkordbInventorySchema.optional(),
  agreement: agreementSchema.optional(),
});
export type Inventory = z.infer<typeof inventorySchema>;

const movingSchema = z.object({
  qdrant: z.record(z.string(), collectionInventorySchema),
  falkordb: falkordbInventorySchema.optional(),
});
export type Moving = z.infer<typeof movingSchema>;

/** `manifest.json`: written last, so a backup set without one is incomplete. */
export const manifestSchema = z.object({
  version: z.literal(1),
  id: z.string(),
  /** Absent for an adopted set of an unknown cluster. */
  cluster: z.string().optional(),
  startedAt: instant,
  finishedAt: instant,
  /** When a folder of loose files was given this manifest; absent for a set that this program made. */
  adoptedAt: instant.optional(),
  /** Milliseconds between the oldest and the newest store's instant. */
  skewMs: z.number().nonnegative(),
  parts: z.object({
    postgres: postgresPartSchema.optional(),
    postgresBase: postgresBasePartSchema.optional(),
    /** One snapshot a collection, or each of its shards: of two, the one that is uploaded last would replace the other. */
    qdrant: z.array(qdrantPartSchema).superRefine((parts, context) => {
      for (const [index, { collection, shard }] of parts.entries())
        if (parts.findIndex((one) => one.collection === collection && one.shard === shard) < index)
          context.addIssue({ code: 'custom', path: [index, 'collection'], message: 'has a snapshot already' });
    }),
    /** One entry a file: an append-only directory has several. */
    falkordb: z.array(falkordbPartSchema),
  }),
  /** Absent for an adopted set. */
  inventory: inventorySchema.optional(),
  /** What was moving while it was read: its counts are not exact. */
  notExact: z.array(z.string()),
  /** The inventory at the beginning of what was moving: the truth lies between it and `inventory`. */
  moving: movingSchema.default({ qdrant: {} }),
  /** What novamem found when the backup was taken. */
  goldenSearches: goldenSearchSchema.array().default([]),
  /** Who found it: a sandbox's stand-in scores otherwise than novamem. Absent in older sets. */
  goldenSearchesBy: z.enum(['novamem', 'stand-in']).optional(),
});
export type Manifest = z.infer<typeof manifestSchema>;
export type PostgresPart = z.infer<typeof postgresPartSchema>;
export type PostgresBasePart = z.infer<typeof postgresBasePartSchema>;
export type QdrantPart = z.infer<typeof qdrantPartSchema>;
export type FalkordbPart = z.infer<typeof falkordbPartSchema>;

export const MANIFEST_FILE = 'manifest.json';
/** Lies in a set that is being made, until its manifest is written. */
export const UNFINISHED_FILE = 'UNFINISHED';
