import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { homeFolder } from '../../src/config/home.js';
import { rowsOf, type Story, tellStory } from '../support/point-in-time.js';
import { terminals } from '../support/terminals.js';
import { showsWholeScreen } from '../support/whole-screen.js';

const ENTER = '\r';
let story: Story;
const open = terminals();

beforeAll(async () => {
  story = await tellStory();
});

function start(columns: number, rows: number) {
  return open(['postgres-point-in-time', '--profile', story.real.record.name], { columns, rows });
}

/** What was typed at the newest run's questions. */
function typed(): string[] {
  const runs = join(homeFolder(), 'runs');
  const newest = readdirSync(runs).sort().at(-1)!;
  return readFileSync(join(runs, newest, 'journal.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { type: string; typed?: string })
    .flatMap((event) => (event.type === 'confirm.given' ? [event.typed!] : []));
}

const TOO_LATE = '2099-01-01 00:00:00 UTC';

describe.each([
  [80, 24],
  [60, 16],
])('going back to just before a deletion by keys alone at %i×%i', (columns, rows) => {
  it('shows what was deleted and when, refuses a time without a zone, and recovers', async () => {
    const { name } = story.real.record;
    const program = start(columns, rows);
    await program.shows(/enter begin/);
    program.type(ENTER);
    const asked = await program.shows(/To which moment shall Postgres be recovered\?/);
    if (process.env.SHOW) console.log(asked);
    expect(asked).toMatch(/now it is/);
    program.type(`2026-11-21 03:10:00${ENTER}`);
    const refused = await program.shows(/a time without a zone/);
    if (process.env.SHOW) console.log(refused);
    program.type(`${TOO_LATE}${ENTER}`);
    const wrong = await program.shows(/cannot begin/);
    // By the key that is there, and by no command line.
    if (rows > 20)
      expect(wrong.replaceAll(/\s+/g, ' ')).toMatch(
        /Mend retry, and answer another moment: [^-]* everything: latest /,
      );
    expect(wrong).not.toContain('--set');
    program.type('r');
    await program.shows(/To which moment shall Postgres be recovered\?/);
    program.type(`before ${story.deletion}${ENTER}`);
    const confirming = await program.shows(/Type the cluster's name/);
    if (process.env.SHOW) console.log(confirming);
    expect(confirming.replaceAll(/\s+/g, ' ')).toContain(`just before transaction ${story.deletion} ended`);
    program.type(`${name}${ENTER}`);
    expect(await program.shows(/❯ Keep them/)).toMatch(/no memory\s+in Postgres|memory in Postgres any/);
    program.type(ENTER);
    const end = await program.shows(/q quit/);
    if (process.env.SHOW) console.log(end);
    expect(end).toMatch(/✔ \S+ in/);
    await showsWholeScreen(program, name, 'q quit');
    program.type('q');
    expect(await program.exited).toBe(0);
    expect(await rowsOf(story.real)).toBe(200);
    expect(typed()).toEqual([TOO_LATE, `before ${story.deletion}`, name, 'keep']);
  });
});
