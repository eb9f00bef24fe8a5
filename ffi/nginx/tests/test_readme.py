"""What the READMEs show is what runs."""

import os
import pathlib
import re
import signal
import subprocess
import tempfile
import time

from support import Case, Server, until, whole

HERE = pathlib.Path(__file__).resolve().parent.parent


def block(text, language):
    return re.search(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)[1]


class Readme(Case):
    def begin(self, snippet, policy):
        """Runs the snippet itself; only the place of the module, and where to listen and
        to write, are added."""
        server = Server()
        self.addCleanup(server.remove)
        config = re.sub(r"^load_module \S+;", "load_module " + os.environ["TOLLGATE_MODULE"] + ";",
                        snippet, flags=re.MULTILINE)
        self.assertEqual(config.count("server {"), 1)
        around = server.config.read_text()
        temporary = "".join(re.findall(r"^ +\w+_temp_path .*\n", around, re.MULTILINE))
        config = config.replace("server {", "server { "
                                f"listen 127.0.0.1:{server.port}; root {server.html};")
        config = config.replace("http {", "http { access_log off;\n" + temporary)
        main = re.sub(r"^events .*\n", "", around[: around.index("http {")], flags=re.MULTILINE)
        server.config.write_text(re.sub(r"^load_module.*\n", "", main, flags=re.MULTILINE) + config)
        self.write(server, "limits.toml", policy)
        for name in "api", "files", "health":
            (server.html / name).mkdir()
            (server.html / name / "index.html").write_text(name)
        lines = server.config.read_text().splitlines()
        loads = [line for line in lines if line.startswith("load_module")]
        lines = loads + [line for line in lines if line not in loads]
        server.config.write_text("\n".join(lines) + "\n")
        return server.start()

    def test_ten_lines(self):
        text = (HERE.parent / "README.md").read_text().split("\n## nginx\n")[1]
        snippet = block(text, "nginx")
        self.assertLessEqual(len(snippet.splitlines()), 10)
        policy = block((HERE / "README.md").read_text(), "toml")

        def begin():
            server = self.begin(snippet, policy)
            counts = server.flood(2000, "/")
            self.assertGreaterEqual(counts[200], 20)
            self.assertGreater(counts[429], 0)
            return server

        # By nobody's name, so by address; a unit comes back after three seconds.
        statuses = self.within(3, begin, lambda server: server.statuses(22, "/api/"))
        self.assertEqual(statuses, [200] * 20 + [429] * 2)

    def test_example(self):
        text = (HERE / "README.md").read_text()

        def begin():
            server = self.begin(block(text, "nginx"), block(text, "toml"))
            self.assertEqual(server.statuses(30, "/health/"), [200] * 30)
            self.assertEqual(server.get("/files/")["X-RateLimit-Limit"], "4")
            self.assertEqual(server.get("/")["X-RateLimit-Limit"], "200")
            return server

        def ask(server):
            begun = time.monotonic()
            responses = [server.get("/api/") for _ in range(21)]
            return responses, whole(responses[20].body, begun, of=3)

        responses, body = self.within(3, begin, ask)
        self.assertEqual([r.status for r in responses], [200] * 20 + [429])
        self.assertEqual(responses[0]["RateLimit"], '"anonymous";r=19;t=3')
        self.assertEqual(body, '{"detail": "Rate limit exceeded", "retry_after": 3}')

    def test_every_directive_is_there(self):
        """And nothing that is not."""
        text = (HERE / "README.md").read_text()
        sources = "".join(path.read_text() for path in (HERE / "src").glob("*.c"))
        commands = set(re.findall(r'^    \{ ngx_string\("(tollgate\w*)"\),\n      NGX_', sources,
                                  re.MULTILINE))
        self.assertEqual(set(re.findall(r"^### (\w+)$", text, re.MULTILINE)), commands)
        variables = set(re.findall(r'\{ ngx_string\("(tollgate_\w+)"\), NULL', sources))
        section = text.split("\n## Variables\n")[1].split("\n## ")[0]
        self.assertEqual(set(re.findall(r"\$(tollgate_\w+)", section)), variables)

    def test_setup_leaves_no_symbols(self):
        """The library's names are hidden: another module may have one in Rust."""
        done = subprocess.run(["nm", "-D", "--defined-only", os.environ["TOLLGATE_MODULE"]],
                              capture_output=True, text=True, timeout=60, check=True)
        names = [line.split()[-1] for line in done.stdout.splitlines()]
        self.assertIn("ngx_modules", names)
        self.assertEqual([n for n in names if not n.startswith(("ngx_http_tollgate", "ngx_mod"))], [])

    def test_setup_wants_the_whole_of_python(self):
        """Debian's python3-minimal has no unittest."""
        with tempfile.TemporaryDirectory() as place:
            python = pathlib.Path(place, "python3")
            python.write_text("#!/bin/sh\nexit 1\n")
            python.chmod(0o755)
            done = subprocess.run(
                [HERE / "setup.sh", place, "--no-install", "--python"], capture_output=True,
                text=True, timeout=60, check=False,
                env={**os.environ, "PATH": f"{place}:{os.environ['PATH']}"},
            )
        self.assertEqual((done.returncode, done.stderr), (1, "missing: python3\n"))

    def test_nothing_is_left(self):
        server = self.serve("tollgate_zone a zone=z:1m rate=1/s;", "tollgate zone=z;")
        pids = [server.process.pid, *server.workers()]
        self.assertEqual(len(pids), 3)
        os.kill(pids[0], signal.SIGKILL)
        server.remove()
        until("they end", lambda: not any(pathlib.Path(f"/proc/{pid}").exists() for pid in pids))
