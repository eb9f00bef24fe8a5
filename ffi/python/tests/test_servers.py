"""Real servers: gunicorn with four prefork workers, and uvicorn. Over all workers exactly
the limit is admitted. Everything that is started is in a process group of its own, and is
killed with it."""

from __future__ import annotations

import collections
import contextlib
import http.client
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

LIMIT = 300
WORKERS = 4

APP = f"""
import os, time
import tollgate, tollgate.asgi, tollgate.wsgi

TEXT = '''
name = "served"
[attribute.ip]
kind = "ip"

[[limit]]
name = "requests"
routes = ["/limited"]
key = []
algorithm = "gcra"
quota = "{LIMIT}/d"

[[limit]]
name = "slow"
routes = ["/slow"]
key = []
algorithm = "leases"
quota = 2
ttl = "1 h"
'''
POLICY = tollgate.Policy.from_text(TEXT, region=tollgate.Region(os.environ["REGION"]))

def pid_app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield str(os.getpid()).encode()
    if environ["PATH_INFO"] == "/slow" or environ["QUERY_STRING"] == "slow":
        for _ in range(600):
            time.sleep(0.05)
            yield b"."

app = tollgate.wsgi.RateLimitMiddleware(pid_app, policy=POLICY)

async def pid_asgi(scope, receive, send):
    import asyncio
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({{"type": message["type"] + ".complete"}})
            if message["type"] == "lifespan.shutdown":
                return
    await send({{"type": "http.response.start", "status": 200, "headers": []}})
    body = str(os.getpid()).encode()
    if scope["path"] == "/slow":
        await send({{"type": "http.response.body", "body": body, "more_body": True}})
        body = b""
        async def gone():
            while (await receive())["type"] != "http.disconnect":
                pass
        await asyncio.wait_for(gone(), 30)
    await send({{"type": "http.response.body", "body": body}})

asgi = tollgate.asgi.RateLimitMiddleware(pid_asgi, policy=POLICY)
"""


class Server:
    """A server in a process group of its own."""

    def __init__(self, command: list[str], folder: pathlib.Path, region: str) -> None:
        self.log = folder / "log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                env={**os.environ, "REGION": region},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.port = 0

    def wait_for(self, pattern: str, times: int = 1, seconds: float = 30) -> list[str]:
        """What the server said so often."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            found = re.findall(pattern, self.log.read_text())
            if len(found) >= times:
                return found
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        raise AssertionError(f"no {pattern!r} in:\n{self.log.read_text()}")

    def get(self, path: str) -> tuple[int, dict[str, str], str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            fields = {name.lower(): value for name, value in response.getheaders()}
            return response.status, fields, response.read().decode()
        finally:
            connection.close()

    def begin(self, path: str) -> tuple[int, socket.socket]:
        """The status of a response whose body goes on."""
        client = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head:
            more = client.recv(4096)
            if not more:
                break
            head += more
        return int(head.split()[1]), client

    def hold(self, path: str, until: contextlib.ExitStack) -> str:
        """The worker that serves such a request and is busy with it until then."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        until.callback(connection.close)
        connection.request("GET", path)
        response = until.enter_context(connection.getresponse())
        assert response.status == 200
        return response.read1(16).decode()

    def load(self, requests: int, clients: int = 8) -> tuple[collections.Counter[int], set[str]]:
        """Statuses of so many requests at once, and the workers that admitted some."""
        statuses: collections.Counter[int] = collections.Counter()
        workers: set[str] = set()
        mutex, left = threading.Lock(), iter(range(requests))
        start = threading.Barrier(clients)

        def client() -> None:
            start.wait()
            while True:
                with mutex:
                    if next(left, None) is None:
                        return
                try:
                    status, _, body = self.get("/limited")
                except (OSError, http.client.HTTPException):
                    status, body = 0, ""
                with mutex:
                    statuses[status] += 1
                    if status == 200:
                        workers.add(body)

        threads = [threading.Thread(target=client, daemon=True) for _ in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
        return statuses, workers

    def children(self) -> set[int]:
        task = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return {int(child) for child in task.read_text().split()}

    def end(self) -> None:
        """Nothing of the group is left."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(20)
        until = time.monotonic() + 20
        with contextlib.suppress(ProcessLookupError):
            while time.monotonic() < until:
                os.killpg(self.process.pid, 0)
                time.sleep(0.01)
            raise AssertionError("a worker was left behind")


@contextlib.contextmanager
def gunicorn(folder: pathlib.Path, region: str, *more: str) -> Iterator[Server]:
    (folder / "served.py").write_text(APP)
    command = [sys.executable, "-m", "gunicorn", "served:app", "--bind", "127.0.0.1:0"]
    command += ["--workers", str(WORKERS), "--worker-tmp-dir", "/dev/shm", "--no-control-socket"]
    server = Server([*command, *more], folder, region)
    try:
        server.port = int(server.wait_for(r"Listening at: http://127\.0\.0\.1:(\d+)")[0])
        server.wait_for(r"Booting worker", WORKERS)
        yield server
    finally:
        server.end()


@pytest.mark.timeout(110)
@pytest.mark.parametrize("preload", [False, True])
def test_four_workers_admit_the_limit_together(
    tmp_path: pathlib.Path, region_path: str, preload: bool
) -> None:
    more = ["--preload"] if preload else []
    with gunicorn(tmp_path, region_path, *more) as server:
        # Two at once are of two workers, whichever serve the others.
        with contextlib.ExitStack() as at_once:
            busy = {server.hold("/limited?slow", at_once) for _ in range(2)}
        statuses, workers = server.load(LIMIT - 2 + 100)
        assert statuses == {200: LIMIT - 2, 429: 100}
        workers |= busy
        # Not one alone, or there would be nothing to share.
        assert len(workers) > 1 and {int(pid) for pid in workers} <= server.children()
        status, fields, body = server.get("/limited")
        assert status == 429 and int(fields["retry-after"]) > 0
        assert fields["x-ratelimit-limit"] == str(LIMIT) and fields["x-ratelimit-remaining"] == "0"

        # New workers find what the old ones charged.
        before = server.children()
        os.kill(server.process.pid, signal.SIGHUP)
        server.wait_for(r"Booting worker", 2 * WORKERS)
        until = time.monotonic() + 40
        while server.children() & before and time.monotonic() < until:
            time.sleep(0.05)
        assert not server.children() & before
        statuses, _ = server.load(50)
        assert statuses == {429: 50}


@pytest.mark.timeout(110)
def test_a_worker_that_is_killed_under_load(tmp_path: pathlib.Path, region_path: str) -> None:
    with gunicorn(tmp_path, region_path) as server:
        killed: list[int] = []

        def kill() -> None:
            while len(killed) < 2:
                time.sleep(0.05)
                # One that was killed may be seen once more, or be gone by now.
                for victim in sorted(server.children() - set(killed))[:1]:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(victim, signal.SIGKILL)
                        killed.append(victim)

        killer = threading.Thread(target=kill, daemon=True)
        killer.start()
        statuses, _ = server.load(2 * LIMIT)
        killer.join(20)
        assert len(killed) == 2
        # One key, which lives through it all: nothing begins afresh. Requests that a worker
        # took with it were charged or not; so none is admitted too many, and of those
        # that are missing no more than were on their way.
        lost = statuses[0]
        assert LIMIT - lost <= statuses[200] <= LIMIT and lost <= 16, statuses
        assert statuses[429] + statuses[200] + lost == 2 * LIMIT
        server.wait_for(r"Booting worker", WORKERS + 1)
        assert server.get("/limited")[0] == 429


@pytest.mark.timeout(60)
def test_leases_are_free_when_clients_go_away(tmp_path: pathlib.Path, region_path: str) -> None:
    with gunicorn(tmp_path, region_path) as server:
        slow_then_free(server)


def slow_then_free(server: Server) -> None:
    (first, one), (second, other) = server.begin("/slow"), server.begin("/slow")
    try:
        assert (first, second) == (200, 200)
        assert server.get("/slow")[0] == 429
    finally:
        one.close()
        other.close()
    until = time.monotonic() + 20
    while True:
        status, client = server.begin("/slow")
        client.close()
        if status == 200:
            return
        assert time.monotonic() < until, "the leases were not given back"
        time.sleep(0.05)


@pytest.mark.timeout(60)
def test_uvicorn(tmp_path: pathlib.Path, region_path: str) -> None:
    (tmp_path / "served.py").write_text(APP)
    with socket.socket() as listening:
        # The server is handed a socket that listens: no port is guessed.
        listening.bind(("127.0.0.1", 0))
        listening.listen(128)
        os.set_inheritable(listening.fileno(), True)
        code = (
            "import asyncio, socket, sys, uvicorn, served\n"
            "server = uvicorn.Server(uvicorn.Config(served.asgi, workers=1))\n"
            "sockets = [socket.socket(fileno=int(sys.argv[1]))]\n"
            "asyncio.run(server.serve(sockets=sockets))\n"
        )
        command = ["sh", "-c", 'exec "$0" -c "$1" "$2"', sys.executable, code]
        server = Server.__new__(Server)
        server.log, server.port = tmp_path / "log", listening.getsockname()[1]
        with open(server.log, "wb") as log:
            server.process = subprocess.Popen(
                [*command, str(listening.fileno())],
                cwd=tmp_path,
                env={**os.environ, "REGION": region_path},
                pass_fds=[listening.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
    try:
        server.wait_for(r"startup complete")
        statuses, _ = server.load(LIMIT + 50)
        assert statuses == {200: LIMIT, 429: 50}
        slow_then_free(server)
    finally:
        server.end()
