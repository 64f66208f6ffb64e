// A client with a keep-alive agent that forgets a response where the server is busy: neither read nor destroyed, it keeps
// its connection. Prints its truth as one JSON line: --truth FILE; --repaired reads it; --pool: nobody is busy, so that all
// connections idle in the agent's pool. Begins when a line comes on stdin, says "done", ends with stdin.
const fs = require('fs');
const http = require('http');
const net = require('net');

const REQUESTS = 20, REFUSE_EVERY = 4, TOGETHER = 4;
const repaired = process.argv.includes('--repaired'), pool = process.argv.includes('--pool');
const truth = process.argv[process.argv.indexOf('--truth') + 1];
const agent = new http.Agent({keepAlive: true, maxFreeSockets: TOGETHER, allowHalfOpen: true});
const kept = [];
let created = 0, leaked = 0, asked = 0;

agent.createConnection = options => {
  created += 1;
  return net.createConnection(options);
};

function fetchPage(port, done) {
  http.get({agent, port, host: '127.0.0.1'}, response => {
    if (response.statusCode === 503 && !repaired) {
      kept.push(response); // the leak
      leaked += 1;
      response.socket.once('end', done); // the server has said goodbye
      return;
    }
    response.once('close', done);
    response.resume();
  });
}

function finish() {
  fs.writeFileSync(truth, JSON.stringify({program: 'http_client.js', created, leaked, origin: 'connect'}) + '\n');
  console.log('done');
}

function fetchPages(port, number) {
  if (number === REQUESTS) return setImmediate(finish); // what was read is back in the pool then
  fetchPage(port, () => setImmediate(fetchPages, port, number + 1));
}

function fillPool(port) {
  let left = TOGETHER;
  for (let i = 0; i < TOGETHER; i += 1) fetchPage(port, () => { if ((left -= 1) === 0) setImmediate(finish); });
}

const server = http.createServer({keepAliveTimeout: 0}, (request, response) => {
  const busy = !pool && asked++ % REFUSE_EVERY === 0;
  response.writeHead(busy ? 503 : 200, busy ? {Connection: 'close'} : {});
  response.end('ok');
});
server.listen(0, '127.0.0.1', () => {
  const {port} = server.address();
  process.stdin.once('data', () => pool ? fillPool(port) : fetchPages(port, 0));
  process.stdin.once('end', () => process.exit(0));
  console.log('ready');
});
