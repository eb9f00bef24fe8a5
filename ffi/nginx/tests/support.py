"""A running nginx with the module, in a directory of its own, and a client for it."""

import contextlib
import ctypes
import http.client
import math
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

MODULE = os.environ["TOLLGATE_MODULE"]
NGINX = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
PATIENCE = 15

CONFIG = """\
load_module {module};
{user}
worker_processes {workers};
daemon off;
master_process {master};
pid {root}/nginx.pid;
error_log {root}/error.log {level};
worker_rlimit_core 0;
events {{ worker_connections 512; }}
http {{
    {access}
    log_format status '$pid $status $tollgate_status';
    client_body_temp_path {root}/body;
    proxy_temp_path {root}/proxy;
    fastcgi_temp_path {root}/fastcgi;
    uwsgi_temp_path {root}/uwsgi;
    scgi_temp_path {root}/scgi;
    lingering_close off;
{http}
    server {{
        listen 127.0.0.1:{port} reuseport;
        root {root}/html;
        default_type text/plain;
{server}
    }}
}}
"""


def die_with_parent():
    """So that nothing stays behind, whatever becomes of the tests."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def until(what, condition, seconds=PATIENCE):
    end = time.monotonic() + seconds
    while True:
        # Before asking: what became true during a pause is seen.
        now = time.monotonic()
        if answer := condition():
            return answer
        if now > end:
            raise AssertionError(f"{what}: not within {seconds} s")
        time.sleep(0.02)


def whole(text, begun, of=3600):
    """The text, with its numbers of seconds as they were when they began to run, which was not
    before `begun`: 7198 is 7200 if two seconds may be gone by now. What no time that passed
    explains stays as it is."""
    passed = time.monotonic() - begun

    def as_it_was(found):
        seconds = -(-int(found[0]) // of) * of
        return str(seconds) if int(found[0]) >= math.ceil(seconds - passed) else found[0]

    return re.sub(r"\d+", as_it_was, text)


class Response:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def all(self, name):
        return self.headers.get_all(name) or []

    def __getitem__(self, name):
        return self.headers.get(name)


class Server:
    def __init__(self, http="", server="", workers=2, master="on", level="info", wrapper=()):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="tollgate-nginx-"))
        self.html = self.root / "html"
        self.html.mkdir()
        (self.html / "index.html").write_text("index\n")
        (self.html / "file").write_text("file\n")
        (self.html / "large").write_text("x" * 4096)
        self.settings = {"workers": workers, "master": master, "level": level}
        self.wrapper = list(wrapper)
        self.port = free_port()
        self.process = None
        self.configure(http, server)

    @property
    def config(self):
        return self.root / "nginx.conf"

    def configure(self, http="", server="", **settings):
        self.settings.update(settings)
        self.config.write_text(
            CONFIG.format(
                module=MODULE,
                user="user root;" if os.geteuid() == 0 else "",
                root=self.root,
                port=self.port,
                access="" if "access_log" in http else "access_log off;",
                http=http.replace("ROOT", str(self.root)),
                server=server.replace("ROOT", str(self.root)).replace("PORT", str(self.port)),
                **self.settings,
            )
        )

    def command(self, *arguments):
        error_log = f"{self.root}/start.log"
        return [NGINX, "-p", str(self.root), "-c", str(self.config), "-e", error_log, *arguments]

    def test(self):
        """nginx -t: whether it is good, and what it said."""
        done = subprocess.run(
            self.command("-t"), capture_output=True, text=True, timeout=60, check=False
        )
        return done.returncode == 0, done.stderr

    def start(self, seconds=PATIENCE):
        for _ in range(5):
            with open(self.root / "stderr", "wb") as stderr:
                self.process = subprocess.Popen(
                    self.wrapper + self.command(), stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL, stderr=stderr, start_new_session=True,
                    preexec_fn=die_with_parent,
                )
            until("nginx starts", self.has_begun, seconds)
            if self.process.poll() is None:
                # The port is open before there are workers.
                if self.settings["master"] == "on":
                    until("workers", lambda: len(self.workers()) == self.settings["workers"],
                          seconds)
                return self
            if "Address already in use" not in self.said():
                break
            # Somebody else was given the port meanwhile.
            old, self.port = self.port, free_port()
            self.config.write_text(self.config.read_text().replace(f":{old}", f":{self.port}"))
        raise AssertionError(f"nginx did not start:\n{self.said()}")

    def has_begun(self):
        if self.process.poll() is not None:
            return True
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    def end(self, seconds=PATIENCE):
        """Has it end, and returns its exit status."""
        last = time.monotonic() + seconds
        while True:
            # A signal that comes after nginx looked for one and before it waits for events is
            # seen at the next event only, where one process does all: so there is another.
            self.process.terminate()
            try:
                return self.process.wait(min(1, seconds))
            except subprocess.TimeoutExpired:
                if time.monotonic() > last:
                    raise

    def stop(self):
        if not self.process:
            return
        if self.process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.end()
        # Also workers whose master is gone.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE)

    def remove(self):
        self.stop()
        shutil.rmtree(self.root, ignore_errors=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.remove()

    def said(self):
        return "".join(
            path.read_text(errors="replace")
            for path in (self.root / "stderr", self.root / "start.log", self.log_path)
            if path.exists()
        )

    @property
    def log_path(self):
        return self.root / "error.log"

    def log(self):
        return self.log_path.read_text(errors="replace")

    def access(self, count):
        """The lines of the access log, once there are so many: they come after responses."""
        path = self.root / "access.log"
        return until(
            f"{count} lines",
            lambda: len(lines := path.read_text().splitlines()) >= count and lines,
        )

    def workers(self):
        """Process ids of the workers that take requests."""
        pid = self.process.pid
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        found = []
        for child in children:
            try:
                words = pathlib.Path(f"/proc/{child}/cmdline").read_bytes()
            except OSError:
                continue
            if b"worker process" in words and b"shutting down" not in words:
                found.append(int(child))
        return found

    def reload(self, good=True):
        """Loads the configuration again; returns what was logged meanwhile."""
        before, seen = set(self.workers()), len(self.log())
        self.process.send_signal(signal.SIGHUP)
        if good:
            until(
                "new workers",
                lambda: (now := set(self.workers())) and not now & before
                and len(now) == self.settings["workers"],
            )
        else:
            until("a refusal", lambda: "[emerg]" in self.log()[seen:])
        return self.log()[seen:]

    def get(self, path="/file", method="GET", headers=None, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, headers=headers or {}, body=body)
            response = connection.getresponse()
            return Response(response.status, response.headers, response.read().decode())
        finally:
            connection.close()

    def statuses(self, count, path="/file", **more):
        return [self.get(path, **more).status for _ in range(count)]

    def flood(self, requests, path="/file", connections=8, headers=None, kill=None):
        """So many requests over several connections at once, one at least over each. Returns
        how many had which status; a connection that breaks is counted as 0, and made anew."""
        left, lock, counts = [requests - connections], threading.Lock(), {}

        def take():
            with lock:
                left[0] -= 1
                return left[0] >= 0

        def run():
            connection, goes_on = None, True
            while goes_on:
                try:
                    if connection is None:
                        connection = http.client.HTTPConnection(
                            "127.0.0.1", self.port, timeout=PATIENCE
                        )
                    connection.request("GET", path, headers=headers or {})
                    response = connection.getresponse()
                    response.read()
                    status = response.status
                except (OSError, http.client.HTTPException):
                    connection.close()
                    connection, status = None, 0
                with lock:
                    counts[status] = counts.get(status, 0) + 1
                goes_on = take()
            if connection:
                connection.close()

        threads = [threading.Thread(target=run) for _ in range(connections)]
        for thread in threads:
            thread.start()
        if kill:
            kill(lambda: sum(counts.values()))
        for thread in threads:
            thread.join(60)
            if thread.is_alive():
                raise AssertionError("a client hangs")
        return counts

    def slow(self, path, headers=None):
        """Begins a request that lasts; what comes back is its open socket, once the
        header was seen."""
        s = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        extra = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        s.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{extra}\r\n".encode())
        head = s.recv(65536).decode()
        return s, int(head.split()[1])

    def report(self, path="/report"):
        found = re.findall(
            r'^tollgate_requests_total\{zone="(.*?)",status="(.*?)"\} (\d+)$',
            self.get(path).body,
            re.MULTILINE,
        )
        return {(zone, status): int(count) for zone, status, count in found}


class Case(unittest.TestCase):
    def serve(self, http="", server="", **settings):
        server = Server(http, server, **settings)
        self.addCleanup(server.remove)
        return server.start()

    def within(self, seconds, begin, ask):
        """What `ask` makes of a server that `begin` gives, in less time than that. Where it took
        longer it says nothing, and is done again with another server."""
        for _ in range(10):
            server = begin()
            begun = time.monotonic()
            answer = ask(server)
            if time.monotonic() - begun < seconds:
                return answer
            server.remove()
        raise AssertionError(f"ten times, not once within {seconds} s")

    def write(self, server, name, text):
        (server.root / name).write_text(text)

    def serve_policy(self, policy, http, server, **settings):
        """With a policy file, which `http` calls ROOT/limits.toml."""
        it = Server(http, server, **settings)
        self.addCleanup(it.remove)
        self.write(it, "limits.toml", policy)
        return it.start()
