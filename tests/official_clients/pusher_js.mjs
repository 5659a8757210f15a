// Pusher's own client for JavaScript, pointed at another server.
// Subscribes to one channel, prints the data of the first event on it as JSON, and exits 0; exits 1 after 20 seconds.
//
// Usage: node pusher_js.mjs HOST PORT APP_KEY CHANNEL

import Pusher from "pusher-js";

const [host, port, appKey, channel] = process.argv.slice(2);
const pusher = new Pusher(appKey, {
  cluster: "",
  wsHost: host,
  wsPort: Number(port),
  forceTLS: false,
  enabledTransports: ["ws"],
});

const timer = setTimeout(() => fail(`nothing heard in 20 s; state: ${pusher.connection.state}`), 20_000);

function fail(reason) {
  console.error(reason);
  process.exit(1);
}

pusher.connection.bind("error", (error) => fail(`error: ${JSON.stringify(error)}`));
pusher.subscribe(channel).bind_global((event, data) => {
  if (event.startsWith("pusher:")) return;
  clearTimeout(timer);
  pusher.disconnect();
  console.log(JSON.stringify({ event, data }));
});
