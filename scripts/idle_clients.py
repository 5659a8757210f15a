"""Many clients of the stream of events in one process; see scripts/idle-clients. Standard library only."""

import asyncio
import os
import sys
import time
from urllib.parse import urlsplit

URL, TOKEN, PID = urlsplit(os.environ["RELAY_URL"]), os.environ["RELAY_TOKEN"], os.environ["RELAY_PID"]


def resident_mib() -> float:
    with open(f"/proc/{PID}/status", encoding="ascii") as status:
        line = next(line for line in status if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


async def follow(connected: asyncio.Semaphore, told: asyncio.Semaphore) -> None:
    reader, writer = await asyncio.open_connection(URL.hostname, URL.port)
    writer.write(f"GET /v1/events/stream HTTP/1.1\r\nhost: relay\r\nauthorization: Bearer {TOKEN}\r\n\r\n".encode())
    await reader.readuntil(b": events follow\n\n")
    connected.release()
    await reader.readuntil(b"id: evt_")
    told.release()
    await asyncio.sleep(3600)


async def main(count: int) -> None:
    before = resident_mib()
    print(f"{before:8.1f} MiB without clients")
    connected, told = asyncio.Semaphore(0), asyncio.Semaphore(0)
    clients = []
    for _ in range(count):
        clients.append(asyncio.create_task(follow(connected, told)))
        if len(clients) % 50 == 0:
            for _ in range(50):
                await connected.acquire()
    # Let them go from catching up to being idle.
    await asyncio.sleep(3)
    idle = resident_mib()
    print(f"{idle:8.1f} MiB with {count} idle clients, {(idle - before) * 1024 / count:.1f} KiB each")
    began = time.monotonic()
    seed = await asyncio.create_subprocess_exec(sys.executable, "scripts/seed.py")
    for _ in range(count):
        await asyncio.wait_for(told.acquire(), 30)
    print(f"{resident_mib():8.1f} MiB after all {count} were told of an order, {time.monotonic() - began:.2f} s after it began")
    await seed.wait()
    for client in clients:
        client.cancel()


asyncio.run(main(int(sys.argv[1])))
