import { expect, test } from 'vitest';
import { realCluster } from '../../support/sandbox.js';

const ROWS = 500_000;

test('rows are read as lines, over the borders of pieces; a reading that is broken off ends its session at once, and one that the server ends is an error', async () => {
  const { postgres } = (await realCluster(10)).cluster;
  const numbers = `SELECT n, 'é\t\\' || n FROM generate_series(1, ${ROWS}) AS n`;
  let count = 0;
  await postgres.reading(async ({ lines, query }) => {
    for await (const page of lines(numbers))
      for (const line of page) {
        count += 1;
        if (line !== `${count}\té\\t\\\\${count}`) throw new Error(`line ${count} is ${line}`);
      }
    // The session goes on.
    expect(await query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });
  expect(count).toBe(ROWS);

  const begun = performance.now();
  const broken = postgres.reading(async ({ lines }) => {
    for await (const _ of lines(numbers)) throw new Error('enough');
  });
  await expect(broken).rejects.toThrow('enough');
  expect(performance.now() - begun).toBeLessThan(3_000);

  const ended = postgres.reading(async ({ lines, query }) => {
    const [own] = await query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    for await (const _ of lines(numbers)) await postgres.read('SELECT pg_terminate_backend($1)', [own!.pid]);
  });
  await expect(ended).rejects.toThrow(/terminat/);

  await expect(
    postgres.reading(async ({ lines }) => {
      for await (const _ of lines('SELECT 1 / (3 - n) FROM generate_series(1, 5) AS n'));
    }),
  ).rejects.toThrow('division by zero');
});
