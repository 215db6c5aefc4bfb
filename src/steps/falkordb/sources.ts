import { contentOf, type GraphContent, graphContent, moreIn, totalOf } from '../../stores/falkordb/graph-content.js';
import {
  countMemoryGraph,
  type MemoryGraph,
  memoryGraphContent,
  missingTables,
} from '../../stores/novamem/memory-graph.js';
import { countOf } from '../../words.js';
import type { Finding, StepContext } from '../step.js';

/** The three places that a graph may be found in. What cannot be counted is absent, and `unknown` says why. */
export interface GraphSources {
  now?: GraphContent;
  postgres?: MemoryGraph;
  backup?: GraphContent;
  unknown: { now: string; postgres: string; backup: string };
}

/** Counts what the graph holds now, what Postgres says of it and what the backup set has, reading only. Never throws. */
export async function graphSources(ctx: StepContext): Promise<GraphSources> {
  const { cluster, backup } = ctx;
  const { falkordb } = cluster;
  const unknown = { now: '', postgres: '', backup: '' };
  const note = (of: 'now' | 'postgres') => (error: unknown) => {
    unknown[of] = error instanceof Error ? error.message : String(error);
    return undefined;
  };
  const now = (async () => {
    const { answers, seen } = await cluster.answering('falkordb');
    if (!answers) throw new Error(`FalkorDB does not answer (${seen})`);
    return graphContent(falkordb, falkordb.graph);
  })().catch(note('now'));
  const postgres = postgresGraph(ctx).catch(note('postgres'));
  const inBackup = contentOf(backup?.inventory?.falkordb, falkordb.graph);
  if (!inBackup) {
    unknown.backup = !backup
      ? 'there is no backup set'
      : backup.inventory?.falkordb
        ? `its inventory has no graph ${falkordb.graph}`
        : 'it has no inventory of FalkorDB';
  }
  const [nowContent, postgresContent] = await Promise.all([now, postgres]);
  return {
    ...(nowContent ? { now: nowContent } : {}),
    ...(postgresContent ? { postgres: postgresContent } : {}),
    ...(inBackup ? { backup: inBackup } : {}),
    unknown,
  };
}

/** Counts the graph that Postgres describes, in one snapshot. Throws with what is missing. */
export async function postgresGraph({ cluster }: StepContext): Promise<MemoryGraph> {
  const { answers, seen } = await cluster.answering('postgres');
  if (!answers) throw new Error(`Postgres does not answer (${seen})`);
  return cluster.postgres.reading(
    async (reading) => {
      const missing = await missingTables(reading);
      if (missing.length > 0) throw new Error(`Postgres has no table ${missing.join(', ')}`);
      return countMemoryGraph(reading);
    },
    { snapshot: true },
  );
}

export const nameOfBackup = ({ backup }: StepContext) => `backup ${backup?.id ?? ''}`.trim();

/** What going the way of `kept` would lose of `other`, as a finding: a warning where that is something. `of`: `backup 2026…`, `Postgres`. */
export function lossFinding(kept: GraphContent, of: string, other: GraphContent): Finding {
  const lost = moreIn(other, kept);
  return lost === ''
    ? { level: 'info', message: `this way loses nothing that ${of} holds, by count` }
    : { level: 'warning', message: `this way loses of what ${of} holds: ${lost}` };
}

/** The three sources beside each other, a row for the nodes and one for each kind of relationship; fits 80 columns. */
export function sourcesTable(ctx: StepContext, { now, postgres, backup, unknown }: GraphSources): string[] {
  const columns: [string, GraphContent | undefined][] = [
    ['now', now],
    ['Postgres', postgres && memoryGraphContent(postgres)],
    ['backup', backup],
  ];
  const kinds = [...new Set(columns.flatMap(([, content]) => Object.keys(content?.relationships ?? {})))].sort();
  const row = (name: string, cell: (content: GraphContent) => number) =>
    [name.padEnd(24), ...columns.map(([, content]) => (content ? countOf(cell(content)) : '?').padStart(14))].join(
      '',
    );
  const reasons = [
    ['now', unknown.now],
    ['Postgres', unknown.postgres],
    [nameOfBackup(ctx), unknown.backup],
  ].filter(([, why]) => why !== '');
  return [
    ['the graph'.padEnd(24), ...columns.map(([name]) => name.padStart(14))].join(''),
    row('nodes', (content) => totalOf(content.nodes)),
    ...kinds.map((kind) => row(kind, (content) => content.relationships[kind] ?? 0)),
    ...reasons.map(([name, why]) => `? ${name}: ${why}`),
  ];
}
