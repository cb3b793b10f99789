// Faye's server, with its in-memory engine.
import http from 'node:http';
import faye from 'faye';

const server = http.createServer();
// A client that is busy elsewhere for a few seconds keeps its connection.
server.keepAliveTimeout = 0;
server.requestTimeout = 0;
new faye.NodeAdapter({ mount: '/cometd', timeout: 30 }).attach(server);
server.listen(Number(process.env.PORT ?? 0), '127.0.0.1', 4096, () => {
    console.log(`listening on http://127.0.0.1:${server.address().port}/cometd`);
});
