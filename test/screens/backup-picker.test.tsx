import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, test } from 'vitest';
import { findProfile } from '../../src/config/profiles.js';
import { Desk } from '../../src/engine/desk.js';
import { BackupPicker } from '../../src/screens/backup-picker.js';
import { type TestScreen, testScreen } from '../support/screen.js';
import { tempFolder } from '../support/temp.js';

let screen: TestScreen;
afterEach(() => screen.close());

const PROFILE = `name: acme
postgres: { url: "postgres://novamem@127.0.0.1:1/novamem" }
qdrant: { url: "http://127.0.0.1:1" }
falkordb: { url: "redis://127.0.0.1:1" }
`;

test('where no backup is found, what is to be typed next names the profile as it was named', async () => {
  const file = join(tempFolder('profile'), 'our acme.yaml');
  writeFileSync(file, PROFILE);
  const desk = { ...new Desk(findProfile(file), {}, 'live', 'latest').getSnapshot(), backups: [] };
  const card = desk.scenarios.find(({ restores }) => restores === 'must')!;
  screen = testScreen(<BackupPicker desk={desk} card={card} dry={false} onChoose={() => {}} onBack={() => {}} />, {
    columns: 200,
  });
  await screen.shows(`leave with ctrl-c, then name a folder: novamem-runbook --profile '${file}' --backup FOLDER`);
});
