// A server that reads what it is sent, counts it, and answers as Qdrant does after an upload. Says its port.
import http from 'node:http';

const server = http.createServer((request, response) => {
  let bytes = 0;
  request.on('data', (chunk) => {
    bytes += chunk.length;
  });
  request.on('end', () => response.end(JSON.stringify({ result: true, status: 'ok', bytes })));
});
server.listen(0, '127.0.0.1', () => process.send({ port: server.address().port }));
process.on('disconnect', () => process.exit(0));
