import { readdirSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { postgresBaseBackup } from '../../../src/steps/postgres/base-backup.js';
import { postgresPointInTime } from '../../../src/steps/postgres/point-in-time.js';
import { postgresRawCopy } from '../../../src/steps/postgres/raw-copy.js';
import { onOwnVolume, whyNoVolume } from '../../support/own-volume.js';
import {
  blocking,
  differences,
  failedChecks,
  look,
  recover,
  rowsOf,
  type Story,
  tellStory,
  undo,
} from '../../support/point-in-time.js';
import { findings, perform } from '../../support/sandbox.js';

vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

const missing = whyNoVolume();

describe.skipIf(missing)(
  `a data directory that is a mount point${missing ? ` (not run here: ${missing})` : ''}`,
  () => {
    let story: Story;
    let dataDir: string;
    beforeAll(async () => {
      story = await tellStory();
      dataDir = await onOwnVolume(story.real);
    });

    const kept = () => readdirSync(dataDir).filter((name) => /novamem-runbook/.test(name));
    const identity = () => {
      const { uid, gid, mode, ino } = statSync(dataDir);
      return { uid, gid, mode, ino };
    };

    test('is recovered in its place, with what was there kept in it, and put back by an undo', async () => {
      const { real } = story;
      const before = identity();
      const found = await look(real, { target: story.before });
      expect(blocking(found)).toEqual([]);
      expect(found.map(({ message }) => message)).toContainEqual(
        expect.stringMatching(
          /cannot be renamed .*: what is in it is moved into \S+\.novamem-runbook-before-\S+ instead/,
        ),
      );
      const recovered = await recover(real, { target: story.before });
      expect(recovered.error).toBeUndefined();
      expect(await failedChecks(recovered)).toEqual([]);
      expect(await differences(real, story.inventory)).toEqual([]);
      const { aside } = recovered.facts;
      expect(kept().map((name) => join(dataDir, name))).toEqual([aside]);
      expect(identity()).toEqual(before);
      const said = await undo(recovered);
      expect(said.join('\n')).toMatch(/what had been recovered is kept as .*-undone/);
      expect(await rowsOf(real)).toBe(1);
      expect(identity()).toEqual(before);
    });
  },
);
