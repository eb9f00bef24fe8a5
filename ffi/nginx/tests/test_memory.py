"""One process under valgrind: what a request does to memory, from start to end."""

import re
import shutil
import unittest

from support import Case, Server
from test_responses import POLICY

HTTP = """
tollgate_zone $http_user zone=z:1m rate=1/h burst=3;
tollgate_zone $http_user zone=log:1m rate=3/h algorithm=sliding-log keys=50;
tollgate_zone $http_user zone=c:1m concurrent=2;
tollgate_policy ROOT/limits.toml zone=p:1m;
log_format all '$tollgate_status $tollgate_zone $tollgate_limit $tollgate_remaining';
access_log ROOT/access.log all;
"""
SERVER = """
tollgate zone=z; tollgate zone=log; tollgate zone=c;
tollgate_attribute user $http_user; tollgate_cost bytes $http_bytes;
error_page 404 /file;
location = /report { tollgate_report; tollgate off; }
location = /try { try_files /none /file; }
location = /policy { tollgate zone=p; tollgate zone=c; alias ROOT/html/file; }
location = /large { tollgate zone=c; limit_rate 100; }
"""


@unittest.skipUnless(shutil.which("valgrind"), "valgrind is not installed")
class Memory(Case):
    def test_valgrind(self):
        it = Server(
            HTTP, SERVER, workers=1, master="off",
            wrapper=["valgrind", "--leak-check=full", "--show-leak-kinds=definite",
                     "--fair-sched=no", "--log-file=/dev/stderr", "-q", "--error-exitcode=9"],
        )
        self.addCleanup(it.remove)
        self.write(it, "limits.toml", POLICY)
        it.start(seconds=60)
        for path in "/file", "/", "/none", "/try", "/policy":
            for user in "a", "b", path:
                it.statuses(4, path, headers={"User": user, "Bytes": "3"})
        it.get("/policy", headers={"Host": "caf\u00e9".encode().decode("latin-1")})
        it.get("/policy", headers={"Bytes": "x"})
        for user in "robot", "monitor":
            it.get("/policy", headers={"User": user})
        sockets = [it.slow("/large", {"User": "slow"})[0] for _ in range(2)]
        self.assertEqual(it.get("/large", headers={"User": "slow"}).status, 429)
        for s in sockets:
            s.close()
        self.assertGreater(it.report()["z", "passed"], 3)
        code = it.end(60)
        said = (it.root / "stderr").read_text()
        # nginx's own shortcuts: epoll's padding and the like are not this module's.
        ours = [b for b in re.split(r"(?m)^==\d+== *$", said) if "tollgate" in b]
        self.assertEqual((ours, code == 9 and not said), ([], False), said[-4000:])
