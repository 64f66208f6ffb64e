// A bound UDP socket made and closed, argv[2] times, argv[3] frames below the event loop: what bench_runtimes.py runs.
'use strict';
const dgram = require('dgram');
const count = Number(process.argv[2]);
const depth = Number(process.argv[3]);

function deeper(left, then) {
  if (left > 0) return deeper(left - 1, then);
  const socket = dgram.createSocket('udp4');
  socket.bind(0, '127.0.0.1', () => socket.close(then));
  return socket;
}

console.log('ready');
process.stdin.on('data', () => {
  const begin = process.hrtime.bigint();
  let left = count;
  const next = () => {
    if (left-- > 0) deeper(depth, next);
    else console.log(Number(process.hrtime.bigint() - begin) / count);
  };
  next();
});
