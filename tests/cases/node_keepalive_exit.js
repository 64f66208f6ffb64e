'use strict';
// INNOCENT under check: http.globalAgent and fetch() keep idle connections in their pools, and the end of the process closes them.
// Nothing was forgotten.
//   sockleak check -- node node_keepalive_exit.js    no LEAK, no SUSPECT of 0.50 or more; exit status 0
const http = require('http');
const server = http.createServer((request, response) => response.end('ok'));

function ask(path) {
  return new Promise((done, failed) => http.get({ port: server.address().port, host: '127.0.0.1', path }, (response) => {
    response.resume();
    response.on('end', done);
  }).on('error', failed));
}

server.listen(0, '127.0.0.1', async () => {
  for (let i = 0; i < 20; i++) await ask('/' + i);
  const response = await fetch(`http://127.0.0.1:${server.address().port}/`);
  await response.text();
  server.close();
});
