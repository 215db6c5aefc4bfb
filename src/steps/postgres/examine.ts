import { z } from 'zod';
import { commandText } from '../../hosts/command.js';
import { type Check, equal } from '../../stores/check.js';
import { amcheckCommand, amcheckOf } from '../../stores/postgres/amcheck.js';
import { checksumFailures, type Damage, examineDamage } from '../../stores/postgres/damage.js';
import { conditionOf, lostText, secondLook } from '../../stores/postgres/readable-rows.js';
import { describeServer } from '../../stores/postgres/server.js';
import { toolsFor } from '../../stores/postgres/tools.js';
import { durationOf, messageOf } from '../../words.js';
import { type Finding, readingPlan, type StepContext, type StepKind } from '../step.js';
import { stepEvents } from '../step-events.js';
import { damageLines, damageSummary } from './damage-words.js';
import { downFindings } from './down.js';

const params = z.strictObject({
  /** After this time nothing more is read, and what was not looked at is said. */
  patienceSeconds: z.number().int().positive().max(86_400).default(600),
});
type Params = z.infer<typeof params>;

/** Finds what is damaged in a Postgres that answers, and how much of it can still be read. */
export const postgresExamine: StepKind<Params, Damage> = {
  kind: 'postgres.examine',
  effect: 'read',
  params,

  async plan(p, { cluster: { postgres } }) {
    const server = await describeServer(postgres).catch(() => undefined);
    const amcheck =
      server?.databaseExists && server.refusal === ''
        ? await amcheckOf(postgres, await toolsFor(server.major)).catch(() => undefined)
        : undefined;
    return readingPlan(
      `Examine Postgres: every row and every page, ${durationOf(p.patienceSeconds * 1000)} at most`,
      [
        `SELECT count(t::text) FROM ONLY EACH_TABLE AS t WHERE ${conditionOf({ from: 0, to: 1024 })} …`,
        'SELECT pg_read_binary_file(EACH_FILE_OF_THE_DATABASE, …), and compare the checksum of every page',
        ...(amcheck?.usable ? [commandText(amcheckCommand(postgres, amcheck.program))] : []),
      ],
    );
  },

  async check(_p, ctx) {
    const down = await downFindings(ctx);
    if (down.length > 0) return down;
    try {
      return await serverFindings(ctx);
    } catch (error) {
      return [{ level: 'warning', message: `Postgres answers, but lets nobody in: ${messageOf(error)}` }];
    }
  },

  run: (p, { cluster }, signal) =>
    stepEvents<Damage>(async (emit) => {
      const damage = await examineDamage(cluster.postgres, {
        onProgress: (done, total, text) => emit.progress({ done, total, unit: 'bytes', text }),
        onLine: (line) => emit.output(line),
        patienceMs: p.patienceSeconds * 1000,
        signal,
      });
      emit.facts(damage);
      for (const line of damageLines(damage)) emit.output(line);
    }),

  /** A second look: what could not be read still cannot, and the server has stood the reading. */
  async verify(_p, { cluster }, damage): Promise<Check[]> {
    const checks = [
      equal('postgres', 'answers after the examination', true, (await cluster.answering('postgres')).answers),
    ];
    for (const { table, lost } of damage.tables) {
      const [first] = lost;
      if (!first) continue;
      const now = await secondLook(cluster.postgres, table, first);
      checks.push(equal(`postgres table ${table}`, `${lostText(first)}, looked at twice`, 'damaged', now));
    }
    return checks;
  },
  probe: async () => 'not-started',
  conclusion: (damage) => ({ text: damageSummary(damage as Damage), exception: false }),
};

async function serverFindings({ cluster: { postgres } }: StepContext): Promise<Finding[]> {
  const server = await describeServer(postgres);
  const through = await postgres.maintenanceDatabase();
  const [settings] = await postgres.read<{ checksums: string }>(
    `SELECT current_setting('data_checksums') AS checksums`,
    [],
    through,
  );
  const failures = Object.entries(await checksumFailures(postgres, through));
  const findings: Finding[] = [
    {
      level: 'info',
      message: `Postgres ${server.version} at ${postgres.address}, data checksums ${settings?.checksums}`,
    },
  ];
  if (settings?.checksums !== 'on')
    findings.push({
      level: 'warning',
      message:
        'without data checksums a page with altered content shows in no error: what is found here is the least that is damaged',
    });
  for (const [name, count] of failures) {
    const message = `the server has counted ${count} checksum failures in ${name}`;
    findings.push(
      name.startsWith(`${postgres.database}_before_`)
        ? { level: 'info', message: `${message}, which an earlier recovery has kept aside` }
        : { level: 'warning', message },
    );
  }
  if (!server.databaseExists)
    return [
      ...findings,
      { level: 'warning', message: `there is no database ${postgres.database}: it is lost, not damaged` },
    ];
  if (server.refusal !== '')
    return [
      ...findings,
      { level: 'warning', message: `the database ${postgres.database} lets nobody in: ${server.refusal}` },
    ];
  if (!server.role.superuser)
    findings.push({
      level: 'warning',
      message: `${server.role.name} is no superuser: tables are read, but not indexes and catalogs page by page`,
      next: 'put a superuser into postgres.url of the profile to look at everything',
    });
  const amcheck = await amcheckOf(postgres, await toolsFor(server.major));
  if (!amcheck.usable)
    findings.push({ level: 'info', message: amcheck.why, ...(amcheck.next ? { next: amcheck.next } : {}) });
  return findings;
}
