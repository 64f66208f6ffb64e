'use strict';
// LEAK: every second connection of dial() is never closed, while V8 compiles dial() anew every 4 s (here by force; in real programs by
// itself during the first minutes). Each tier gives the same place another stack; they are judged as one place, whichever grows last.
// Begins when a line comes on stdin.
//   node --allow-natives-syntax --no-deprecation jit_splits_site.js
//   sockleak trace -p PID -d 24s    LEAK  about half of all connects, whatever tier they were made in
const net = require('net');
const { TCP, TCPConnectWrap, constants } = process.binding('tcp_wrap');  // connects at once, so that dial() is on the stack
const TICK = 150, STEP = 26;
const held = [];

function dial(port, keep) {
  const handle = new TCP(constants.SOCKET), request = new TCPConnectWrap();
  request.oncomplete = () => { if (keep) held.push(handle); else handle.close(); };
  handle.connect(request, '127.0.0.1', port);
}

const server = net.createServer((peer) => { peer.on('error', () => {}); peer.on('data', (data) => peer.write(data)); });
server.listen(0, '127.0.0.1', () => {
  const port = server.address().port;
  let calls = 0;
  process.stdin.once('data', () => setInterval(() => {
    dial(port, calls % 2 === 0);
    calls++;
    if (calls === STEP) %CompileBaseline(dial);
    if (calls === 2 * STEP) { %PrepareFunctionForOptimization(dial); dial(port, false); %OptimizeFunctionOnNextCall(dial); }
    if (calls === 3 * STEP) %DeoptimizeFunction(dial);
  }, TICK));
});
