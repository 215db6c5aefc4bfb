import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { tempFolder } from '../support/temp.js';
import { terminals } from '../support/terminals.js';
import { showsWholeScreen } from '../support/whole-screen.js';

const DOWN = '\u001b[B';
const PAGE_DOWN = '\u001b[6~';
const ID = '20261121T020000Z';

/** Two roots with the same backup set in each, and a profile of a cluster that is gone. */
function copiedSet(): { home: string; profile: string } {
  const home = tempFolder('copied');
  const [first, second] = ['here', 'on-the-other-disk'].map((root) => join(home, root, ID)) as [string, string];
  mkdirSync(first, { recursive: true });
  writeFileSync(join(first, 'novamem.dump'), 'ten bytes.');
  const at = '2026-11-21T02:00:00.000Z';
  writeFileSync(
    join(first, 'manifest.json'),
    JSON.stringify({
      version: 1,
      id: ID,
      startedAt: at,
      finishedAt: at,
      skewMs: 0,
      parts: {
        postgres: {
          file: 'novamem.dump',
          bytes: 10,
          sha256: 'a'.repeat(64),
          at,
          toolVersion: '16',
          serverVersion: '16',
        },
        qdrant: [],
        falkordb: [],
      },
      notExact: [],
    }),
  );
  cpSync(first, second, { recursive: true });
  const profile = join(home, 'profile.yaml');
  writeFileSync(
    profile,
    `
name: acme-test
postgres: { url: "postgres://novamem@127.0.0.1:1/novamem" }
qdrant:   { url: "http://127.0.0.1:1" }
falkordb: { url: "redis://127.0.0.1:1" }
backups: [ ${join(home, 'here')}, ${join(home, 'on-the-other-disk')} ]
`,
  );
  return { home, profile };
}

const open = terminals();

it('says of two copies of a backup set where each is, and that they are the same', async () => {
  const { home, profile } = copiedSet();
  const program = open(['whole-cluster-lost', '--profile', profile], {
    environment: { NOVAMEM_RUNBOOK_HOME: home },
  });
  const shown = await program.shows(/❯ .* manifest {2}in \S*here$/m);
  expect(shown).toMatch(/^ {2}20261121T020000Z +the same set, copied {2}in \S*on-the-other-disk$/m);
  expect(shown.match(/the same set/g)).toHaveLength(1);
  expect(shown.replaceAll(/\n +/g, '')).toMatch(/Same set +also in \S+on-the-other-disk/);
  program.resize(60, 16);
  await program.shows(/❯ .* old .*… {2}in …\S*here$/m);
  program.type(DOWN);
  const other = await program.shows(/❯ .*the same set, .* {2}in …\S*-disk$/m);
  expect(other).toMatch(/^ Skew +its stores are 0 ms apart$/m);
  expect(other.replaceAll(/\n +/g, '')).toMatch(/Same set +also in \S+here\S+ \(equal manifests\)/);
  program.type(PAGE_DOWN);
  const rest = await program.shows(/^ Folder .*\n {12}\S+\n+─/m);
  expect(rest.replaceAll(/\n +/g, '')).toMatch(/Folder +\S+on-the-other-disk/);
  // Another room keeps what is highlighted, and a digit chooses nothing: it only goes there.
  program.resize(60, 15);
  await program.shows(/❯ .*the same set, [\s\S]*^(?:.*\n){2,}.*esc back/m);
  program.type('1');
  await program.shows(/❯ .* old .*\n {2}.*the same set/);
  await showsWholeScreen(program, 'acme-test', 'esc back');
});
