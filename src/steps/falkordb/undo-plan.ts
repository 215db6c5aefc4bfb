import { basename } from 'node:path';
import { seenIn } from '../../hosts/elsewhere/seen-in.js';
import { type Check, equal } from '../../stores/check.js';
import { graphContent, isEmpty, totalOf } from '../../stores/falkordb/graph-content.js';
import { instantOf, plural } from '../../words.js';
import type { StepContext, UndoPlan } from '../step.js';
import type { FilesFacts } from './files.js';

import type { RebuildFacts } from './rebuilding.js';

// What an undo would do to FalkorDB, and the proof that it did.

async function standingNow({ cluster: { falkordb } }: StepContext, since: Date): Promise<string[]> {
  const content = await graphContent(falkordb, falkordb.graph);
  if (isEmpty(content)) return [];
  const { nodes, relationships } = content;
  return [
    `${plural(totalOf(nodes), 'node')} and ${plural(totalOf(relationships), 'relationship')}, with all that was written since ${instantOf(since)}`,
  ];
}

export async function planFilesUndo(ctx: StepContext, facts: Partial<FilesFacts>, since: Date): Promise<UndoPlan> {
  const { dir, aside = [], memory, placing, emptied } = facts;
  if (!dir || !(aside.length > 0 || memory !== undefined || placing || emptied))
    return { putsBack: '', replaces: [] };
  const running = (facts.wasRunning ?? true) ? '' : ', the server stopped';
  return {
    putsBack:
      memory !== undefined
        ? `what FalkorDB held in memory before${running}`
        : aside.length > 0
          ? `${aside.map(({ from }) => basename(from)).join(', ')} of before${running}`
          : `no files, as before${running}`,
    replaces: await standingNow(ctx, since),
    keeps: `in ${dir}, below …-undone, until you remove it`,
  };
}

export async function filesUndoChecks({ cluster }: StepContext, facts: Partial<FilesFacts>): Promise<Check[]> {
  if (!facts.dir) return [];
  const originals = facts.memory === undefined ? (facts.aside ?? []) : [];
  const { files } = cluster.host('falkordb');
  // Of a server that is left stopped they may not be seen: then it is that none of the moves failed.
  const away = await seenIn(async () => {
    let count = 0;
    for (const { to } of originals) if (await files.exists(to)) count += 1;
    return count;
  });
  const { answers } = await cluster.answering('falkordb');
  const expected = (facts.wasRunning ?? true) ? 'yes' : 'no';
  return [
    ...(originals.length === 0 || away === undefined
      ? []
      : [equal('falkordb', 'files of before in their place', originals.length, originals.length - away)]),
    equal('service falkordb', 'answers', expected, answers ? 'yes' : 'no'),
  ];
}

export async function planRebuildUndo(ctx: StepContext, facts: RebuildFacts, since: Date): Promise<UndoPlan> {
  if (facts.dir) return planFilesUndo(ctx, facts, since);
  const { graph } = ctx.cluster.falkordb;
  if (facts.before === undefined) return { putsBack: '', replaces: [] };
  return {
    putsBack: facts.safety
      ? `the graph ${graph} of before, kept as ${facts.safety}`
      : facts.before === 'empty'
        ? `an empty graph ${graph}, as before`
        : `no graph ${graph}, as before`,
    replaces: await standingNow(ctx, since),
  };
}

export async function rebuildUndoChecks(ctx: StepContext, facts: RebuildFacts): Promise<Check[]> {
  if (facts.dir) return filesUndoChecks(ctx, facts);
  const { falkordb } = ctx.cluster;
  if (facts.before === undefined) return [];
  const graphs = await falkordb.graphs();
  const there = (name: string) => (graphs.includes(name) ? 'yes' : 'no');
  return [
    equal(
      `falkordb graph ${falkordb.graph}`,
      'exists',
      facts.before === 'absent' ? 'no' : 'yes',
      there(falkordb.graph),
    ),
    ...(facts.safety ? [equal(`falkordb graph ${facts.safety}`, 'exists', 'no', there(facts.safety))] : []),
  ];
}
