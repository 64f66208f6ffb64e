// A client that forgets its connection when the backend refuses. Prints its truth as one JSON line: --truth FILE;
// --repaired closes. Begins when a line comes on stdin, says "done", ends with stdin. The names of its functions reach sockleak only through the perf map.
const fs = require('fs');
const net = require('net');

const REQUESTS = 20, REFUSE_EVERY = 4;
const repaired = process.argv.includes('--repaired');
const truth = process.argv[process.argv.indexOf('--truth') + 1];
const kept = [];
let created = 0, leaked = 0;

function dialBackend(port) {
  created += 1;
  return net.connect({port, host: '127.0.0.1', allowHalfOpen: true}); // else the peer's end would close it
}

function finish() {
  fs.writeFileSync(truth, JSON.stringify({program: 'error_path.js', created, leaked, origin: 'connect',
    created_at: {file: 'node:net', function: 'internalConnect'}, // node opens sockets in a later turn of its loop
    closed_at: {file: __filename, function: 'takeAnswer'}}) + '\n');
  console.log('done');
}

function placeOrder(port, number) {
  if (number === REQUESTS) return finish();
  const connection = dialBackend(port);
  connection.once('data', function takeAnswer(answer) {
    if (answer.toString() === 'Y' || repaired) {
      connection.once('close', () => setImmediate(placeOrder, port, number + 1));
      connection.destroy();
    } else {
      kept.push(connection); // the leak
      leaked += 1;
      setImmediate(placeOrder, port, number + 1);
    }
  });
}

let answered = 0;
const server = net.createServer({allowHalfOpen: true}, client => {
  client.on('error', () => {});
  client.once('close', () => {});
  client.write(answered++ % REFUSE_EVERY ? 'Y' : 'N', () => client.destroySoon());
});
server.listen(0, '127.0.0.1', () => {
  process.stdin.once('data', () => placeOrder(server.address().port, 0));
  process.stdin.once('end', () => process.exit(0));
  console.log('ready');
});
