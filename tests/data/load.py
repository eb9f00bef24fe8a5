"""Load for make-log.sh: several kinds of clients, each with its own loopback
address, for about 95 seconds. Loopback only."""

import argparse
import asyncio
import base64
import random

SECONDS = 95
USERS = ["alice", "bob", "mary ann"]
AGENTS = [
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36",
    "curl/7.88.1",
    'odd "agent" \\ with quotes',
]
PATHS = ["/", "/index.html", "/static/app.js", "/api/items", "/api/items?page=2", "/missing"]


class Client:
    def __init__(self, port, address, rng, user=None, host="127.0.0.1"):
        self.port, self.address, self.rng, self.user, self.host = port, address, rng, user, host
        self.agent = rng.choice(AGENTS)

    async def raw(self, data):
        reader, writer = await asyncio.open_connection(
            self.host, self.port, local_addr=(self.address, 0)
        )
        writer.write(data)
        await writer.drain()
        await reader.read()
        writer.close()
        await writer.wait_closed()

    async def request(self, method="GET", path=None):
        path = path or self.rng.choice(PATHS)
        head = [f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close"]
        head.append(f"User-Agent: {self.agent}")
        if self.user:
            secret = base64.b64encode(f"{self.user}:secret".encode()).decode()
            head.append(f"Authorization: Basic {secret}")
        body = ""
        if method == "POST":
            body = "x=1"
            head.append(f"Content-Length: {len(body)}")
        await self.raw(("\r\n".join(head) + "\r\n\r\n" + body).encode())


async def steady(client, every, until):
    """One request now and then, at an even pace."""
    loop = asyncio.get_running_loop()
    await asyncio.sleep(client.rng.random() * every)
    while loop.time() < until:
        await client.request(client.rng.choice(["GET", "GET", "GET", "HEAD"]))
        await asyncio.sleep(every)


async def bursty(client, size, pause, until):
    """Many requests at once, then silence."""
    loop = asyncio.get_running_loop()
    await asyncio.sleep(client.rng.random() * pause)
    while loop.time() < until:
        for _ in range(size):
            await client.request()
        await asyncio.sleep(pause)


async def greedy(client, rate, start, stop):
    """Far above any sensible limit, for a while."""
    await asyncio.sleep(start)
    loop = asyncio.get_running_loop()
    end = loop.time() + (stop - start)
    while loop.time() < end:
        await client.request("POST" if client.rng.random() < 0.3 else "GET", "/api/items")
        await asyncio.sleep(1 / rate)


async def visitor(client, after):
    """Comes once, looks at three things."""
    await asyncio.sleep(after)
    for _ in range(3):
        await client.request()
        await asyncio.sleep(client.rng.random())


async def garbage(client, after):
    """What a port scanner sends."""
    await asyncio.sleep(after)
    for data in [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n", b"hello\r\n\r\n", b'GET /"q\r\n']:
        await client.raw(data)


async def main(port, ipv6):
    rng = random.Random(20)
    until = asyncio.get_running_loop().time() + SECONDS

    def client(net, n, **more):
        return Client(port, f"127.0.{net}.{n}", rng, **more)

    work = [steady(client(1, n), rng.uniform(1.6, 4), until) for n in range(1, 21)]
    work += [steady(client(2, n, user=user), 1.1, until) for n, user in enumerate(USERS, 1)]
    work += [bursty(client(3, n), 40, rng.uniform(18, 30), until) for n in range(1, 7)]
    work += [greedy(client(4, 1), 6, 5, 60), greedy(client(4, 2), 3, 30, 90)]
    work += [visitor(client(5, n), rng.uniform(0, SECONDS - 5)) for n in range(1, 41)]
    work += [garbage(client(6, 1), 20), garbage(client(6, 2), 50)]
    if ipv6:
        work.append(steady(Client(port, "::1", rng, host="::1"), 0.7, until))
    await asyncio.gather(*work)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--ipv6", action="store_true")
    options = parser.parse_args()
    asyncio.run(main(options.port, options.ipv6))
