// A server that forgets the connections of clients who send nonsense. The clients are of the same process and close well.
// Prints its truth as one JSON line: --truth FILE; --repaired closes. Begins when a line comes on stdin, says "done", ends
// with stdin.
const fs = require('fs');
const net = require('net');

const REQUESTS = 20, NONSENSE_EVERY = 4;
const repaired = process.argv.includes('--repaired');
const truth = process.argv[process.argv.indexOf('--truth') + 1];
const kept = [];
let leaked = 0, served = 0;

function serve(client) {
  served += 1;
  client.on('error', () => {});
  client.once('data', request => {
    if (request.toString() === '?' && !repaired) {
      kept.push(client); // the leak
      leaked += 1;
    } else {
      client.destroy();
    }
  });
}

function openListener(ready) {
  const server = net.createServer({allowHalfOpen: true}, serve);
  server.listen(0, ready); return server; // without a name to look up it listens at once
}

function call(port, number) {
  if (number === REQUESTS) {
    fs.writeFileSync(truth, JSON.stringify({program: 'server.js', created: served, leaked, origin: 'accept',
      listener_created_at: {file: 'server.js', function: 'openListener'}}) + '\n');
    return console.log('done');
  }
  const client = net.connect({port, host: '127.0.0.1'});
  client.on('error', () => {});
  client.write(number % NONSENSE_EVERY ? '!' : '?', () => {
    client.once('close', () => setImmediate(call, port, number + 1));
    if (number % NONSENSE_EVERY === 0) client.destroy(); // the others wait for the server
  });
  client.resume();
}

process.stdin.once('data', () => {
  const server = openListener(() => call(server.address().port, 0));
});
process.stdin.once('end', () => process.exit(0));
console.log('ready');
