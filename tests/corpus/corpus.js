'use strict';
// The corpus' Node programs: one function per scenario. Node connects in a later turn of its loop than the one that asked for
// it, so no line here is on the stack that opens. What is shared with the other languages: see frame.h.
const fs = require('fs');
const http = require('http');
const net = require('net');

const options = { seed: 1, duration: 30, shape: 'steady', control: false };
for (let i = 3; i < process.argv.length; i++) {
  const name = process.argv[i].slice(2);
  options[name] = name === 'control' ? true : process.argv[++i];
}
const port = +process.env.PEER_PORT, host = '127.0.0.1', duration = +options.duration;
let state = (Number(options.seed) * 2654435761 + 12345) >>> 0;
function random() { // mulberry32
  state = (state + 0x6D2B79F5) >>> 0;
  let t = Math.imul(state ^ (state >>> 15), state | 1);
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
}
const draw = (low, high) => low + Math.floor(random() * (high - low + 1));
const oneIn = (n) => draw(1, n) === 1;
const rate = draw(5, 20), burst = draw(8, 25), period = 2 + 3 * random(), stopAfter = duration * (0.25 + 0.25 * random());
let leaks = 0, began = 0, stopped = false, done = 0;
const truth = options.truth ? fs.openSync(options.truth, 'w') : -1;
function leaked(n = 1) {
  leaks += n;
  const line = `{"scenario":"${process.argv[2]}","shape":"${options.shape}","leaked":${String(leaks).padStart(8)}}\n`;
  if (truth >= 0) fs.writeSync(truth, line, 0);
}
const elapsed = () => (began ? (Date.now() - began) / 1000 : 0);
const level = () => (options.shape === 'stepped' ? 1 + Math.min(3, Math.floor(4 * elapsed() / duration)) : 2);
let atEnd = () => process.exit(0);
function end() { const last = atEnd; atEnd = () => {}; last(); }
function start() { began = Date.now(); setTimeout(end, 1000 * (duration + (options.control ? 150 : 0))); }
function ready(own = 0) {
  leaked(0);
  if (options['ready-fd']) fs.writeSync(+options['ready-fd'], `${own} ${process.pid}\n`);
  if (!options.control) return start();
  process.stdin.on('data', (words) => {
    for (const word of String(words).split('\n')) {
      if (word === 'go' && !began) start();
      if (word === 'stop') stopped = true;
    }
  });
  process.stdin.on('end', end);
}
process.on('SIGTERM', () => end());
function gap() {
  const jitter = 0.7 + 0.6 * random();
  if (options.shape === 'bursty') return done % burst ? 0.02 : period * jitter;
  if (options.shape === 'stepped') return jitter * 2 / (rate * level());
  return jitter / rate;
}
function operations(operation) {
  ready();
  const next = () => {
    const quiet = !began || stopped || (options.shape === 'stops' && elapsed() > stopAfter);
    if (quiet) return setTimeout(next, 100);
    done++;
    operation();
    setTimeout(next, 1000 * gap());
  };
  next();
}
function get(agent, path, answered = (answer) => answer.resume()) {
  return http.get({ host, port, path, agent }, answered).on('error', () => {});
}
function serve(connected) {
  const server = net.createServer({ allowHalfOpen: true }, connected);
  server.listen(0, host, () => ready(server.address().port));
}
const kept = [];

const scenarios = {
  // --- leaks ---
  agent_per_call() {
    operations(() => {
      if (!oneIn(3)) return;
      const agent = new http.Agent({ keepAlive: true });
      kept.push(agent);
      get(agent, '/ok', (answer) => { answer.resume(); leaked(); });
    });
  },
  response_never_read() {
    const n = draw(3, 8), pool = new http.Agent({ keepAlive: true });
    operations(() => {
      if (oneIn(n)) get(false, '/big/200000', (answer) => { kept.push(answer); leaked(); }); // looked at the status only
      else get(pool, '/ok');
    });
  },
  socket_forgotten() {
    const n = draw(3, 10);
    operations(() => {
      const bad = oneIn(n), socket = net.connect({ host, port, allowHalfOpen: true });
      socket.on('error', () => {});
      socket.on('connect', () => socket.write(bad ? 'bye\n' : 'echo\n'));
      socket.on('data', () => (bad ? 0 : socket.destroy()));
      if (bad) socket.on('end', () => { kept.push(socket); leaked(); }); // half open, and nobody ends the other half
    });
  },
  server_forgets() {
    serve((socket) => {
      socket.on('error', () => {});
      let bad = false;
      socket.on('data', (line) => {
        socket.write('ok\n');
        bad = bad || String(line) === 'bad\n';
      });
      socket.on('end', () => { // the half that is ours stays open on the path of the bad ones
        if (!bad) return socket.end();
        kept.push(socket);
        leaked();
      });
    });
  },
  unix_forgotten() { // as clients of a local daemon do
    const n = draw(2, 6);
    operations(() => {
      const bad = oneIn(n), socket = net.connect({ path: process.env.PEER_UNIX });
      socket.on('error', () => {});
      socket.on('connect', () => socket.write('echo\n'));
      socket.on('data', () => (bad ? (kept.push(socket), leaked()) : socket.destroy()));
    });
  },
  // --- innocent ---
  agent_pool() {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 40 }), most = draw(3, 8);
    operations(() => {
      if (oneIn(4)) for (let i = draw(1, Math.max(1, most * level() / 2)); i > 0; i--) get(agent, `/slow/${draw(60, 160)}`);
    });
  },
  fetch_pool() {
    operations(() => { if (oneIn(2)) fetch(`http://${host}:${port}/slow/${draw(10, 80)}`).then((answer) => answer.text()).catch(() => {}); });
  },
  global_agent_exit() {
    operations(() => { if (oneIn(2)) http.get({ host, port, path: '/ok' }, (answer) => answer.resume()).on('error', () => {}); });
  },
  subscribers() {
    let most = draw(10, 30);
    operations(() => {
      if (most === 0 || !oneIn(4)) return;
      const socket = net.connect({ host, port });
      socket.on('error', () => {});
      socket.on('data', () => {});
      socket.write(most-- % 2 ? 'sub 1400\n' : 'mute\n');
    });
  },
  chat() {
    serve((socket) => {
      socket.on('error', () => {});
      socket.on('data', () => socket.write('ok\n'));
      socket.on('end', () => socket.end());
    });
  },
};
scenarios[process.argv[2]]();
