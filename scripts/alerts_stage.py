"""What stands around the relays when alerts are provoked: Pusher, Transak's REST API, receivers. Standard library only."""

import base64
import contextlib
import hashlib
import http.server
import json
import re
import socket
import socketserver
import struct
import threading
import time


def start(server: socketserver.BaseServer) -> int:
    """Serves until the process ends; answers the port."""
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


class Quiet(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128

    def handle_error(self, *_: object) -> None:
        """A relay that was killed hangs up in the middle."""


class Transak:
    """Knows the orders that were played."""

    def __init__(self) -> None:
        self.orders: dict[str, dict] = {}
        self.fails_for: set[str] = set()
        self.ahead = 0.0
        transak = self

        class Rest(Quiet):
            def date_time_string(self, timestamp: float | None = None) -> str:
                return super().date_time_string(time.time() + transak.ahead)

            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                if self.headers["x-api-key"] in transak.fails_for:
                    self.answer(500)
                elif path.startswith("/partners/api/v2/order/"):
                    order = transak.orders.get(path.rpartition("/")[2])
                    missing = {"error": {"statusCode": 400, "name": "Bad Request", "message": "Order not found"}}
                    self.answer(200 if order else 400, json.dumps({"data": order} if order else missing).encode())
                else:
                    self.answer(200, b'{"meta":{"totalCount":0},"data":[]}')

        self.port = start(Server(("127.0.0.1", 0), Rest))


class Receivers:
    """Each path is an endpoint: it answers after so many seconds with this status."""

    def __init__(self) -> None:
        self.behaviour: dict[str, tuple[float, int]] = {}
        receivers = self

        class Receiver(Quiet):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                pause, status = receivers.behaviour.get(self.path, (0, 200))
                ends = time.monotonic() + pause
                while time.monotonic() < ends and receivers.behaviour.get(self.path) == (pause, status):
                    time.sleep(0.05)
                self.answer(status)

        self.port = start(Server(("127.0.0.1", 0), Receiver))

    def url(self, path: str, pause: float = 0, status: int = 200) -> str:
        self.behaviour[path] = (pause, status)
        return f"http://127.0.0.1:{self.port}{path}"


class Pusher:
    """Version 7 of the protocol, as far as a subscriber needs it."""

    def __init__(self) -> None:
        self.refuses, self.hangs_up = False, False
        self.unconfirmed: set[str] = set()
        self.clients: dict[socket.socket, set[str]] = {}
        self.lock = threading.Lock()
        pusher = self

        class Client(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                try:
                    pusher.serve(self.request, self.rfile)
                except (OSError, struct.error):
                    pass
                finally:
                    with pusher.lock:
                        pusher.clients.pop(self.request, None)

        class Listener(socketserver.ThreadingTCPServer):
            request_queue_size = 128

        self.port = start(Listener(("127.0.0.1", 0), Client))

    def serve(self, client: socket.socket, read) -> None:
        if self.refuses:
            return
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            if not (line := read.readline()):
                return
            head += line
        key = re.search(rb"(?i)sec-websocket-key: *(\S+)", head).group(1)
        accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        client.sendall(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
                       b"sec-websocket-accept: " + accept + b"\r\n\r\n")
        established = json.dumps({"socket_id": "1.1", "activity_timeout": 120})
        self.send(client, {"event": "pusher:connection_established", "data": established})
        if self.hangs_up:
            return
        with self.lock:
            self.clients[client] = set()
        while frame := self.read(read):
            self.hear(client, *frame)

    def hear(self, client: socket.socket, kind: int, data: bytes) -> None:
        if kind == 9:
            with self.lock:
                client.sendall(frame(10, data))
        if kind != 1:
            return
        said = json.loads(data)
        channel = (said.get("data") or {}).get("channel")
        if said["event"] == "pusher:ping":
            self.send(client, {"event": "pusher:pong", "data": "{}"})
        elif said["event"] == "pusher:subscribe" and channel not in self.unconfirmed:
            self.clients[client].add(channel)
            self.send(client, {"event": "pusher_internal:subscription_succeeded", "data": "{}", "channel": channel})
        elif said["event"] == "pusher:unsubscribe":
            self.clients[client].discard(channel)

    def read(self, read) -> tuple[int, bytes] | None:
        head = read.read(2)
        if len(head) < 2 or head[0] & 15 == 8:
            return None
        length = head[1] & 127
        if length > 125:
            length = int.from_bytes(read.read(2 if length == 126 else 8), "big")
        mask = read.read(4)
        return head[0] & 15, bytes(byte ^ mask[at % 4] for at, byte in enumerate(read.read(length)))

    def send(self, client: socket.socket, said: dict) -> None:
        with self.lock:
            client.sendall(frame(1, json.dumps(said).encode()))

    def publish(self, channel: str, event: str, data: str) -> None:
        for client, channels in list(self.clients.items()):
            if channel in channels:
                with contextlib.suppress(OSError):
                    self.send(client, {"event": event, "channel": channel, "data": data})

    def drop_all(self) -> None:
        for client in list(self.clients):
            client.shutdown(socket.SHUT_RDWR)


def frame(kind: int, data: bytes) -> bytes:
    length = len(data)
    if length < 126:
        return bytes([0x80 | kind, length]) + data
    if length < 1 << 16:
        return bytes([0x80 | kind, 126]) + length.to_bytes(2, "big") + data
    return bytes([0x80 | kind, 127]) + length.to_bytes(8, "big") + data


@contextlib.contextmanager
def stand_in():
    """A program that answers to whoever scrapes it, and shows nothing."""

    class Empty(Quiet):
        def do_GET(self) -> None:
            self.answer(200)

    server = Server(("127.0.0.1", 0), Empty)
    yield start(server)
    server.shutdown()
    server.server_close()
