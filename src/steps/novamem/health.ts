import { z } from 'zod';
import { steadyNow, waitFor } from '../../hosts/waiting.js';
import { equal } from '../../stores/check.js';
import { type Answer, answerText } from '../../stores/novamem/connection.js';
import { DEEP_HEALTH, deepChecks } from '../../stores/novamem/deep-health.js';
import { tlsFaultIn } from '../../stores/tls/tls-fault.js';
import { durationOf, messageOf } from '../../words.js';
import { readingPlan, type StepKind } from '../step.js';
import { stepEvents } from '../step-events.js';

const params = z.strictObject({ patienceSeconds: z.number().int().positive().max(86_400).default(60) });
type Params = z.infer<typeof params>;
type Facts = { waitedMs: number };

const isHealthy = ({ status, body }: Answer) => status === 200 && (body as { ok?: unknown })?.ok === true;

export const novamemHealth: StepKind<Params, Facts> = {
  kind: 'novamem.health',
  effect: 'read',
  provesAll: true,
  params,
  async plan(_p, { cluster, phase }) {
    if (!cluster.novamem)
      return readingPlan('Check the health of novamem', [], {
        notApplicable: 'the profile does not say where novamem is',
      });
    if (phase === 'ready' && !cluster.driver('novamem') && !(await cluster.answering('novamem')).answers) {
      return readingPlan('Check the health of novamem', [], {
        notApplicable: 'novamem does not answer and must be started by hand: its health is not proven',
      });
    }
    const { address, tlsArguments, curlArguments } = cluster.novamem;
    return readingPlan('Check the health of novamem', [
      `curl -fsS ${tlsArguments}${address}/health`,
      `curl -fsS ${curlArguments}${address}${DEEP_HEALTH}`,
    ]);
  },
  async check(_p, { cluster }) {
    const { novamem } = cluster;
    if (!novamem)
      return [
        {
          level: 'warning',
          message: 'the profile does not say where novamem is: its health cannot be proven',
          next: 'add novamem.url',
        },
      ];
    const seen = await novamem.get('/health').then(answerText, (error: unknown) => {
      const fault = tlsFaultIn(error);
      if (fault) throw fault;
      return messageOf(error);
    });
    return [{ level: 'info', message: `${novamem.address}/health now: ${seen}` }];
  },
  run: (p, { cluster }, signal) =>
    stepEvents<Facts>(async (emit) => {
      const started = steadyNow();
      let seen = '';
      const healthy = await waitFor(
        async () => {
          const answer = await cluster.novamem!.get('/health').catch((error: unknown) => messageOf(error));
          const text = typeof answer === 'string' ? answer : answerText(answer);
          if (text !== seen) emit.output(`/health: ${text}`);
          seen = text;
          return typeof answer !== 'string' && isHealthy(answer) ? true : undefined;
        },
        { timeoutMs: p.patienceSeconds * 1000, signal },
      );
      emit.facts({ waitedMs: steadyNow() - started });
      if (!healthy)
        throw new Error(`novamem was not healthy within ${durationOf(p.patienceSeconds * 1000)}; last seen: ${seen}`);
    }),
  async verify(_p, { cluster }) {
    const answer = await cluster.novamem!.get('/health');
    return [
      equal('novamem', '/health', 'HTTP 200 ok', isHealthy(answer) ? 'HTTP 200 ok' : answerText(answer)),
      // `/health` covers Postgres and Qdrant only.
      ...(await deepChecks(cluster.novamem!)),
    ];
  },
  async probe(_p, { cluster }) {
    const answer = await cluster.novamem?.get('/health').catch(() => undefined);
    return answer && isHealthy(answer) ? 'done' : 'not-started';
  },
};
