"""What all workers admit together."""

import os
import signal

from support import Case, until

POLICY = """
[attribute.ip]
kind = "ip"
[[limit]]
name = "everybody"
key = []
algorithm = "gcra"
quota = "1/d burst 300"
[[limit]]
name = "each"
key = ["ip"]
algorithm = "gcra"
quota = "1/d burst 300"
"""


class Totals(Case):
    def exactly(self, zone, limit, workers, requests=1200):
        for _ in range(10):
            server = self.serve(
                f"tollgate_zone $remote_addr zone=z:1m {zone};\n"
                "access_log ROOT/access.log status;",
                "tollgate zone=z; tollgate_log_level info;",
                workers=workers,
            )
            # Each connection goes to one worker or another, and not all of so many to the same.
            counts = server.flood(requests, connections=24)
            self.assertEqual(counts, {200: limit, 429: requests - limit})
            lines = [line.split() for line in server.access(requests)]
            self.assertEqual(len(lines), requests)
            # By one worker alone, while the others stood still, it would prove nothing.
            if len({pid for pid, _, _ in lines}) > 1:
                break
            server.remove()
        else:
            self.fail("ten times one worker had all")
        self.assertEqual({status for _, status, _ in lines}, {"200", "429"})
        self.assertTrue(
            all((status == "200") == (said == "PASSED") for _, status, said in lines)
        )

    def test_gcra(self):
        for workers in 2, 4:
            with self.subTest(workers=workers):
                self.exactly("rate=1/d burst=500", 500, workers)

    def test_sliding_log(self):
        for workers in 2, 4:
            with self.subTest(workers=workers):
                self.exactly("rate=400/d algorithm=sliding-log keys=100", 400, workers)

    def test_sliding_counter(self):
        self.exactly("rate=400/d algorithm=sliding-counter", 400, 4)

    def test_policy(self):
        for workers in 2, 4:
            with self.subTest(workers=workers):
                server = self.serve_policy(
                    POLICY, "tollgate_policy ROOT/limits.toml zone=p:1m;",
                    "tollgate zone=p; tollgate_log_level info;", workers=workers,
                )
                self.assertEqual(server.flood(900), {200: 300, 429: 600})

    def test_all_or_nothing(self):
        """What one zone rejects is charged by none, also while others do the same."""
        server = self.serve(
            "tollgate_zone all zone=wide:1m rate=1/d burst=300;\n"
            "tollgate_zone $http_user zone=narrow:1m rate=1/d burst=20;",
            "tollgate_log_level info;\n"
            "location = /file { tollgate zone=wide; tollgate zone=narrow; }\n"
            "location = /large { tollgate zone=wide; }\n",
            workers=4,
        )
        for user in range(5):
            counts = server.flood(100, headers={"User": str(user)})
            self.assertEqual(counts, {200: 20, 429: 80})
        # 100 of 300 are spent, not 500.
        self.assertEqual(server.flood(300, path="/large"), {200: 200, 429: 100})

    def test_killed_worker(self):
        """The others go on, a new one joins, and nothing is forgotten."""
        server = self.serve(
            "tollgate_zone all zone=z:1m rate=1/h burst=3000;",
            "tollgate zone=z; tollgate_log_level info;", workers=4,
        )
        killed = []

        def kill(done):
            for at, victim in zip((500, 1000, 1500, 2000), server.workers()):
                until("requests", lambda at=at: done() >= at, 60)
                killed.append(victim)
                os.kill(victim, signal.SIGKILL)
                until("a new worker", lambda v=victim: v not in server.workers()
                      and len(server.workers()) == 4)

        counts = server.flood(6000, connections=16, kill=kill)
        self.assertEqual(len(killed), 4)
        self.assertEqual(server.log().count("exited on signal 9"), 4)
        lost = counts.get(0, 0)
        # A request that died with its worker may have been charged, or not.
        self.assertGreaterEqual(lost, 1)
        self.assertLessEqual(lost, 4 * 16)
        self.assertLessEqual(counts[200], 3000)
        self.assertGreaterEqual(counts[200], 3000 - lost)
        self.assertEqual(server.flood(50), {429: 50})


class Concurrency(Case):
    HTTP = "tollgate_zone $http_user zone=c:1m concurrent=3 ttl=1h;"
    SERVER = """
        tollgate_log_level info;
        location = /large { tollgate zone=c; limit_rate 100; }
        location = /file { tollgate zone=c; }
    """

    def begin(self, server, count):
        sockets = []
        for _ in range(count):
            s, status = server.slow("/large", {"User": "a"})
            self.addCleanup(s.close)
            self.assertEqual(status, 200)
            sockets.append(s)
        return sockets

    def test_ends_with_the_request(self):
        def begin():
            server = self.serve(self.HTTP, self.SERVER.replace("rate 100", "rate 512"))
            for _ in range(50):
                self.assertEqual(server.get(headers={"User": "a"}).status, 200)
            return server

        def ask(server):
            return server, self.begin(server, 3), server.get(headers={"User": "a"}).status

        # It takes some seven seconds to send all.
        server, sockets, status = self.within(6, begin, ask)
        self.assertEqual(status, 429)
        self.assertEqual(server.get(headers={"User": "b"}).status, 200)
        # All of it: the request is over.
        while sockets[0].recv(65536):
            pass
        until("the lease is back", lambda: server.get(headers={"User": "a"}).status == 200)

    def test_ends_with_the_client(self):
        server = self.serve(self.HTTP, self.SERVER)
        sockets = self.begin(server, 3)
        self.assertEqual(server.get(headers={"User": "a"}).status, 429)
        sockets[1].close()
        until("the lease is back", lambda: server.get(headers={"User": "a"}).status == 200)

    def test_ends_after_a_killed_worker(self):
        def begin():
            return self.serve(self.HTTP.replace("1h", "8s"), self.SERVER, workers=1)

        def kill(server):
            self.begin(server, 3)
            os.kill(server.workers()[0], signal.SIGKILL)
            until("a new worker",
                  lambda: "exited on signal 9" in server.log() and server.workers())
            return server, server.get(headers={"User": "a"}).status

        server, status = self.within(8, begin, kill)
        self.assertEqual(status, 429)
        until("leases are over", lambda: server.get(headers={"User": "a"}).status == 200)

    def test_flood(self):
        """Never more at a time than three, by all workers."""
        server = self.serve(self.HTTP, self.SERVER, workers=4)
        self.begin(server, 3)
        self.assertEqual(server.flood(200, headers={"User": "a"}), {429: 200})
        counts = server.flood(400, headers={"User": "b"}, connections=3)
        # Three clients, each with one at a time: the next may come before the last ended.
        self.assertGreater(counts[200], 200)
        self.assertEqual(sum(counts.values()), 400)
        self.assertEqual(server.get(headers={"User": "b"}).status, 200)
