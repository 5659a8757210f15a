"""Runs the release before (OLD_BINARY) and the one to come (NEW_BINARY) on one database (DATABASE_URL), sends orders to
both, and counts what a receiver is told: before, beside, and after. Standard library only. See docs/upgrade.md.
"""

import collections
import http.server
import json
import os
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request

import seed

TOLD: collections.Counter = collections.Counter()
KEY = "dXBncmFkZSB0ZXN0IG1hc3RlciBrZXkgMzIgYnl0ZXM="
ADMIN = "rly_upgrade_test_admin_token"


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        TOLD[body["data"].get("id")] += 1
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Relay:
    """A running relay. Without the stream: everything comes through Transak's webhook."""

    def __init__(self, binary: str, folder: str) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.log_path = os.path.join(folder, f"log-{port}")
        self.process = subprocess.Popen(
            [binary, "serve", "--listen", f"127.0.0.1:{port}", "--roles", "api,dispatch", "--master-key", KEY,
             "--admin-token", ADMIN, "--spool-dir", os.path.join(folder, f"spool-{port}"),
             "--allow-callback-cidrs", "127.0.0.0/8", "--allow-http-callbacks", "true"],
            stderr=open(self.log_path, "w", encoding="utf-8"))

    def log(self) -> str:
        with open(self.log_path, encoding="utf-8") as log:
            return log.read()

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(self.url + "/readyz", timeout=5) as answer:
                return answer.status == 200
        except (urllib.error.URLError, ConnectionError):
            return False

    def ready(self) -> "Relay":
        wait(lambda: self.is_ready() or self.process.poll() is not None, "readiness")
        if self.process.poll() is not None:
            raise SystemExit(f"a relay does not start:\n{self.log()}")
        return self

    def use(self) -> None:
        os.environ["RELAY_URL"] = self.url

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        if self.process.wait(40) != 0:
            raise SystemExit(f"a relay did not stop well:\n{self.log()}")


def wait(condition, what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"waited in vain for {what}: told {sum(TOLD.values())} callbacks")
        time.sleep(0.05)


def tell(relays: list, numbers: range, partner: str, token: str) -> None:
    """Each order's three events, to one relay after the other; then all of them are told once."""
    for number in numbers:
        relays[number % len(relays)].use()
        seed.hear(partner, token, number)
    ids = [seed.order(number, "", 0)["id"] for number in numbers]
    wait(lambda: all(TOLD[order] >= 3 for order in ids), "callbacks")
    for relay in relays:
        relay.use()
        for order in ids:
            timeline = seed.call(f"/v1/orders/{order}/timeline", None)
            if timeline["status"] != "COMPLETED" or len(timeline["entries"]) != 3:
                raise SystemExit(f"{relay.url} shows {timeline}")


def main() -> None:
    os.environ["RELAY_TOKEN"] = ADMIN
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        old = Relay(os.environ["OLD_BINARY"], folder).ready()
        old.use()
        now = int(time.time())
        token = seed.sign("not Transak", {"API_KEY": seed.API_KEY, "iat": now, "exp": now + 604800})
        partner = seed.call("/v1/partners", {"name": "Upgrade", "environment": "STAGING", "apiKey": seed.API_KEY,
                                             "accessToken": token})["id"]
        url = f"http://127.0.0.1:{server.server_port}/callback"
        seed.call("/v1/endpoints", {"url": url, "partnerId": partner})
        tell([old], range(0, 10), partner, token)
        new = Relay(os.environ["NEW_BINARY"], folder).ready()
        tell([old, new], range(10, 50), partner, token)
        old.stop()
        tell([new], range(50, 60), partner, token)
        again = subprocess.run([os.environ["OLD_BINARY"], "serve", "--listen", "127.0.0.1:0", "--master-key", KEY,
                                "--spool-dir", os.path.join(folder, "again")],
                               stderr=subprocess.PIPE, timeout=60, check=False, text=True) \
            if old_is_older(new) else None
        new.stop()
    twice = sum(count - 3 for count in TOLD.values())
    print(f"upgrade-test: {len(TOLD)} orders heard by two versions, {sum(TOLD.values())} callbacks, {twice} of them repeats")
    if again is not None:
        print(f"upgrade-test: the old one, started on the new schema: exit {again.returncode}, {again.stderr.splitlines()[-1]}")
    if len(TOLD) != 60 or twice:
        raise SystemExit(1)


def old_is_older(new: Relay) -> bool:
    """Whether the new one has migrations that the old one does not know: then the old one must refuse to start."""
    checked = subprocess.run([os.environ["OLD_BINARY"], "migrate"], stderr=subprocess.PIPE, timeout=60, check=False)
    return checked.returncode != 0 and new.process.poll() is None


main()
