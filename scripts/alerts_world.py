"""Two relays, their Postgres, and what can be done to them, for scripts/alerts. Standard library only."""

import contextlib
import itertools
import json
import os
import shlex
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

import seed
from alerts_stage import Pusher, Receivers, Transak

KEY = "dGhlIGFsZXJ0cycgb3duIG1hc3RlciBrZXkgMzIgYnQ="
ADMIN = "rly_alerts_admin_token_of_a_test"
URL = os.environ["DATABASE_URL"]


def sql(text: str) -> str:
    asked = ["psql", "--no-psqlrc", "-qAt", "-v", "ON_ERROR_STOP=1", "-c", text, URL]
    return subprocess.run(asked, check=True, capture_output=True, text=True, timeout=120).stdout.strip()


@contextlib.contextmanager
def session(text: str):
    """Somebody's open console, in which this was said."""
    console = subprocess.Popen(["psql", "--no-psqlrc", "-qAt", URL], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    console.stdin.write(text + "; select 'said';\n")
    console.stdin.flush()
    while console.stdout.readline().strip() != "said":
        if console.poll() is not None:
            raise SystemExit(f"psql refuses: {text}")
    yield
    console.kill()
    console.wait()


def wait(condition, what: str, seconds: float = 60) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > ends:
            raise SystemExit(f"waited in vain for {what}")
        time.sleep(0.1)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Postgres:
    """The one of scripts/with-postgres."""

    def __init__(self) -> None:
        self.data = sql("show data_directory")
        with open(os.path.join(self.data, "postmaster.opts"), encoding="utf-8") as opts:
            words = shlex.split(opts.read())
        self.bin = os.path.dirname(words[0])
        self.options = shlex.join(word for word in words[1:] if word not in ("-D", self.data))
        owner = os.stat(self.data)
        self.owner = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if os.getuid() == 0 else {}

    def pg_ctl(self, *words: str) -> None:
        subprocess.run([os.path.join(self.bin, "pg_ctl"), *words, "-D", self.data], check=True, cwd="/", timeout=60,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **self.owner)

    def stop(self) -> None:
        self.pg_ctl("stop", "-m", "immediate", "-w")

    def start(self) -> None:
        self.pg_ctl("start", "-w", "-l", os.path.join(self.data, "log"), "-o", self.options)


class Relay:
    """One process; at the same address and with the same spool however often it is started."""

    def __init__(self, name: str, folder: str, arguments: dict) -> None:
        self.port, self.process = free_port(), None
        self.log = open(os.path.join(folder, f"{name}.log"), "a", encoding="utf-8")
        self.spool = os.path.join(folder, f"spool-{name}")
        self.arguments = {"listen": f"127.0.0.1:{self.port}", "spool-dir": self.spool, **arguments}

    def start(self, **changes: str) -> "Relay":
        given = {**self.arguments, **{name.replace("_", "-"): value for name, value in changes.items()}}
        words = [word for name, value in given.items() for word in ("--" + name, value)]
        self.process = subprocess.Popen([os.environ["RELAY_BINARY"], "serve", *words], stdout=self.log, stderr=self.log)
        wait(lambda: self.status("/healthz") == 200 or self.process.poll() is not None, "a relay that answers")
        if self.process.poll() is not None:
            raise SystemExit(f"a relay does not start: see the end of {self.log.name}")
        return self

    def status(self, path: str) -> int:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def end(self, how: int = signal.SIGTERM) -> None:
        self.process.send_signal(how)
        self.process.wait(40)

    def spool_file(self) -> str:
        return os.path.join(self.spool, "0", "messages")

    def has_spooled(self) -> bool:
        return os.path.exists(self.spool_file()) and os.path.getsize(self.spool_file()) > 0

    def damage_spool(self) -> None:
        """One bit of the first message."""
        with open(self.spool_file(), "r+b") as file:
            file.seek(100)
            byte = file.read(1)
            file.seek(100)
            file.write(bytes([byte[0] ^ 1]))


class World:
    def __init__(self, folder: str) -> None:
        self.numbers, self.everyday, self.prometheus = itertools.count(1), None, None
        self.postgres, self.pusher, self.transak, self.receivers = Postgres(), Pusher(), Transak(), Receivers()
        arguments = {
            "master-key": KEY, "admin-token": ADMIN, "allow-callback-cidrs": "127.0.0.0/8", "allow-http-callbacks": "true",
            "pusher-url": f"ws://127.0.0.1:{self.pusher.port}", "transak-api-url": f"http://127.0.0.1:{self.transak.port}",
            "metrics-partners": "true", "reconcile-seconds": "2", "spool-max-bytes": str(4 << 20), "database-url": URL,
        }
        self.relays = [Relay(name, folder, arguments) for name in ("one", "two")]

    def call(self, path: str, body: dict | None = None, method: str | None = None) -> dict:
        running = next(relay for relay in self.relays if relay.process.poll() is None)
        request = urllib.request.Request(f"http://127.0.0.1:{running.port}{path}", body and json.dumps(body).encode(),
                                         {"authorization": "Bearer " + ADMIN, "content-type": "application/json"},
                                         method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{method} {path}: {error.code} {error.read().decode()}") from error

    def start(self) -> None:
        for relay in self.relays:
            relay.start()
        self.everyday = Partner(self)
        self.settle()

    def end(self) -> None:
        for relay in self.relays:
            if relay.process:
                relay.end(signal.SIGKILL)

    def settle(self) -> None:
        """Everything is as in the beginning, as far as the relays say."""
        for relay in self.relays:
            wait(lambda: relay.status("/readyz") == 200, "a relay that is ready", 120)
        self.everyday.wait_until_heard()

    def wait_until_over(self, alert: str) -> None:
        wait(lambda: alert not in self.prometheus.firing(), f"the end of {alert}", 180)

    def unrepaired(self, partner: "Partner") -> list:
        return [gap for gap in self.call(f"/v1/gaps?partnerId={partner.id}")["data"] if not gap["repairedAt"]]

    def restart(self, **changes: str) -> None:
        for relay in self.relays:
            relay.end()
            relay.start(**changes)

    @contextlib.contextmanager
    def endpoint(self, partner: "Partner", path: str, pause: float = 0, status: int = 200, **settings):
        made = self.call("/v1/endpoints", {"url": self.receivers.url(path, pause, status), "partnerId": partner.id, **settings})
        yield made["id"]
        self.call(f"/v1/endpoints/{made['id']}", method="DELETE")

    @contextlib.contextmanager
    def partner(self, lives: int = 604_800, **known):
        made = Partner(self, lives, **known)
        yield made
        self.call(f"/v1/partners/{made.id}", method="DELETE")


class Partner:
    def __init__(self, world: World, lives: int = 604_800, is_confirmed: bool = True) -> None:
        self.world, number, now = world, next(world.numbers), int(time.time())
        self.key = f"33333333-0000-4000-8000-{number:012}"
        self.token = seed.sign("not Transak", {"API_KEY": self.key, "iat": now, "exp": now + lives})
        if not is_confirmed:
            world.pusher.unconfirmed.add(self.key)
        self.id = world.call("/v1/partners", {"name": f"Partner {number}", "environment": "STAGING",
                                              "apiKey": self.key, "accessToken": self.token})["id"]
        if is_confirmed:
            self.wait_until_heard()

    def wait_until_heard(self) -> None:
        """By every relay that runs: then what is published is heard by each. A channel is tried again once a minute."""
        channels = lambda: list(self.world.pusher.clients.values())
        running = sum(relay.process.poll() is None for relay in self.world.relays)
        wait(lambda: sum(self.key in confirmed for confirmed in channels()) >= running, "a partner's channel", 120)

    def signed(self, status: str = "COMPLETED", padding: int = 0, signed_with: str = "") -> str:
        """A new order's only event."""
        now = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
        order = {**seed.order(next(self.world.numbers), status, 13), "createdAt": now, "updatedAt": now}
        self.world.transak.orders[order["id"]] = order
        claims = {"webhookData": {**order, "padding": "x" * padding}, "eventID": f"ORDER_{status}", "createdAt": now}
        return seed.sign(signed_with or self.token, claims)

    def publish(self, count: int, **what) -> None:
        for _ in range(count):
            self.world.pusher.publish(self.key, "ORDER_COMPLETED", self.signed(**what))

    def publish_junk(self, count: int, size: int) -> None:
        for _ in range(count):
            self.world.pusher.publish(self.key, "ORDER_COMPLETED", f"{next(self.world.numbers)} " + "x" * size)

    def post(self, **what) -> None:
        """As Transak's webhook; what is answered is not looked at."""
        with contextlib.suppress(RuntimeError):
            self.world.call(f"/ingest/transak/{self.id}", {"data": self.signed(**what)})
