// The CometD project's server for Node.
import http from 'node:http';
import cometd from 'cometd-nodejs-server';

const bayeux = cometd.createCometDServer({ timeout: 30000, maxInterval: 60000 });
const server = http.createServer(bayeux.handle);
// A client that is busy elsewhere for a few seconds keeps its connection.
server.keepAliveTimeout = 0;
server.requestTimeout = 0;
server.timeout = 0;
server.listen(Number(process.env.PORT ?? 0), '127.0.0.1', 4096, () => {
    console.log(`listening on http://127.0.0.1:${server.address().port}/cometd`);
});
