// Started as a real novamem would be: all it knows of its stores is in novamem's own variables. It is the sandbox's stand-in.
import { StandIn } from '../../dist/sandbox/stand-in.js';

const { NOVAMEM_WARM_URL, NOVAMEM_COLD_URL, NOVAMEM_COLD_API_KEY, NOVAMEM_GRAPH_URL, NOVAMEM_PORT, DRILL_TOKEN } =
  process.env;
const warm = new URL(NOVAMEM_WARM_URL);
const graph = new URL(NOVAMEM_GRAPH_URL);
const standIn = new StandIn({
  port: Number(NOVAMEM_PORT),
  token: DRILL_TOKEN,
  postgres: {
    host: warm.hostname,
    port: Number(warm.port),
    user: warm.username,
    password: warm.password,
    database: warm.pathname.slice(1),
  },
  qdrant: { port: Number(new URL(NOVAMEM_COLD_URL).port), apiKey: NOVAMEM_COLD_API_KEY },
  falkordb: { port: Number(graph.port), password: graph.password, graph: 'novamem' },
});
await standIn.start();
