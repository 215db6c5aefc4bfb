import { basename } from 'node:path';
import { z } from 'zod';
import { SERVICE_TITLES } from '../../config/profile.js';
import { seenIn } from '../../hosts/elsewhere/seen-in.js';
import { type Check, equal } from '../../stores/check.js';
import { contentText, graphContent, isEmpty, moreIn, NOTHING } from '../../stores/falkordb/graph-content.js';
import {
  diskLost,
  filesFaults,
  formOf,
  holdNothing,
  persistenceFilesIn,
  persistenceOf,
} from '../../stores/falkordb/persistence.js';
import { memoryGraphContent } from '../../stores/novamem/memory-graph.js';
import { type Finding, readingPlan, type StepContext, type StepKind } from '../step.js';
import { stepEvents } from '../step-events.js';
import { graphSources, sourcesTable } from './sources.js';

const params = z.strictObject({});
type Params = z.infer<typeof params>;
type Facts = { table: string[] };

const STAYING = ['postgres', 'qdrant'] as const;

/** Counts what is left of the graph and where else it is, before anybody chooses a way. Proves that the other two stores are there. */
export const falkordbSurvey: StepKind<Params, Facts> = {
  kind: 'falkordb.survey',
  effect: 'read',
  backupSet: 'compares',
  params,
  plan: async () =>
    readingPlan('Count the graph: what it holds now, what Postgres and the backup hold', [
      'count memories and relations by kind in Postgres, nodes and relationships by kind in FalkorDB (read-only)',
    ]),
  check: async (_p, ctx) => [
    ...(await stayingFindings(ctx)),
    ...(await stillThereFindings(ctx)),
    ...(await memoryFindings(ctx)),
    ...(await filesFindings(ctx)),
  ],
  run: (_p, ctx) =>
    stepEvents<Facts>(async (emit) => {
      const table = sourcesTable(ctx, await graphSources(ctx));
      emit.facts({ table });
      for (const line of table) emit.output(line);
    }),
  verify: (_p, ctx) =>
    Promise.all(
      STAYING.map(async (store): Promise<Check> => {
        const { answers, seen } = await ctx.cluster.answering(store);
        return equal(store, 'answers', 'yes', answers ? 'yes' : `no (${seen})`);
      }),
    ),
  probe: async () => 'not-started',
};

/** The ways out of a lost graph leave the other stores as they are: without them another runbook is needed. */
async function stayingFindings({ cluster }: StepContext): Promise<Finding[]> {
  const asked = await Promise.all(STAYING.map(async (store) => ({ store, ...(await cluster.answering(store)) })));
  return asked
    .filter((one) => !one.answers)
    .map(({ store, seen }) => ({
      level: 'blocking',
      message: `${SERVICE_TITLES[store]} does not answer (${seen}), and this runbook leaves it as it is`,
      next: `start ${SERVICE_TITLES[store]}; if it is lost, too, bring it back first: novamem-runbook ${store === 'qdrant' ? 'qdrant-lost' : 'postgres-corrupt'}`,
    }));
}

/** A graph that holds all that Postgres says is not lost, whatever else is wrong. */
async function stillThereFindings(ctx: StepContext): Promise<Finding[]> {
  const { now, postgres } = await graphSources(ctx);
  if (!now) return [];
  if (isEmpty(now)) return [{ level: 'info', message: `the graph ${ctx.cluster.falkordb.graph} is absent or empty` }];
  const findings: Finding[] = [{ level: 'info', message: `the graph holds now: ${contentText(now)}` }];
  if (!postgres) return findings;
  const missing = moreIn(memoryGraphContent(postgres), now);
  return [
    ...findings,
    missing === ''
      ? {
          level: 'warning',
          message: 'by count the graph holds all that Postgres says: is it lost at all?',
          next: 'find out what is wrong before you replace it',
        }
      : { level: 'info', message: `missing in the graph of what Postgres says: ${missing}` },
  ];
}

/** Of a server whose files are gone under it: what it still holds is newer than any backup. */
async function memoryFindings({ cluster }: StepContext): Promise<Finding[]> {
  const { falkordb } = cluster;
  if (!(await cluster.answering('falkordb')).answers) return [];
  const why = await diskLost(falkordb, await persistenceOf(falkordb), cluster.host('falkordb').files);
  const content = await graphContent(falkordb, falkordb.graph).catch(() => NOTHING);
  if (why === '' || isEmpty(content)) return [];
  return [
    {
      level: 'warning',
      message: `${why}, but FalkorDB still holds the graph in memory: until it is stopped, that is the newest graph there is`,
      next: `${falkordb.clientCommand} --rdb FOLDER/dump.rdb, then restore from there: --backup FOLDER`,
    },
  ];
}

/** Of a server that is down: what its files look like. That they are whole may be all there is to know. */
async function filesFindings({ cluster }: StepContext): Promise<Finding[]> {
  const { dataDir } = cluster.profile.falkordb;
  const { answers } = await cluster.answering('falkordb');
  if (answers || dataDir === undefined) return [];
  const { files: there } = cluster.host('falkordb');
  const found = await seenIn(async () =>
    (await there.exists(dataDir)) ? persistenceFilesIn(dataDir, there) : ([] as string[]),
  );
  if (!found)
    return [{ level: 'info', message: `FalkorDB is down, and its files in ${dataDir} cannot be seen meanwhile` }];
  if (found.length === 0) return [{ level: 'info', message: `FalkorDB is down, and ${dataDir} holds nothing of it` }];
  const findings: Finding[] = [];
  for (const path of found) {
    const files = await formOf(path, there);
    const faults = await filesFaults(files, there).then(
      ({ faults }) => faults,
      (error: Error) => [error.message],
    );
    if (faults[0])
      findings.push({ level: 'info', message: `FalkorDB is down; its ${basename(path)} is damaged: ${faults[0]}` });
    else if (await holdNothing(files, there))
      findings.push({ level: 'info', message: `FalkorDB is down; its ${basename(path)} holds nothing` });
    else if (files.form === 'appendonlydir')
      findings.push({
        level: 'warning',
        message: `FalkorDB is down, but its ${path} looks whole: starting it may bring the graph back`,
        next: `copy it elsewhere first, then: ${(await cluster.driver('falkordb')?.commands())?.start ?? 'start FalkorDB by hand'}`,
      });
    else
      findings.push({
        level: 'warning',
        message: `FalkorDB is down, but its ${path} looks whole. With "appendonly yes" the server would ignore it, begin empty and save over it`,
        next: 'copy it to a folder of its own, and restore from there: --backup FOLDER',
      });
  }
  return findings;
}
