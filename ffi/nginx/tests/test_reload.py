"""`nginx -s reload`: what goes on, what starts afresh, what is refused."""

import pathlib
import re
import signal
import socket

from support import Case, until

LIMITS = """
[attribute.user]
[[limit]]
name = "each"
key = ["user"]
algorithm = "{algorithm}"
quota = "{quota}"
capacity = 100
[response]
headers = "none"
"""


def zone(rate="1/h burst=10", key="$http_user", size="1m", more=""):
    return f"tollgate_zone {key} zone=z:{size} rate={rate} {more};"


SERVER = "tollgate zone=z;\nlocation = /report { tollgate_report; tollgate off; }"


class Reload(Case):
    def spent(self, server, user, count):
        """Spends so much, all of which passes."""
        self.assertEqual(server.statuses(count, headers={"User": user}), [200] * count)

    def left(self, server, user):
        """How many more pass."""
        left = 0
        while server.get(headers={"User": user}).status == 200:
            left += 1
            self.assertLess(left, 2000)
        return left

    def begin(self, first, spend=7):
        server = self.serve(first, SERVER)
        self.spent(server, "a", spend)
        return server

    def test_state_is_kept(self):
        server = self.begin(zone())
        self.assertNotIn("afresh", server.reload())
        server.reload()
        self.assertEqual(server.report()["z", "passed"], 7)
        self.assertEqual(self.left(server, "a"), 3)
        self.assertEqual(self.left(server, "b"), 10)

    def test_under_load(self):
        """Not one more than the limit while workers are replaced again and again."""
        server = self.serve(zone("1/h burst=1500"), "tollgate zone=z; tollgate_log_level info;")

        def reload(done):
            for at in 400, 800, 1200, 1600, 2000:
                until("requests", lambda at=at: done() >= at, 60)
                server.reload()

        counts = server.flood(4000, headers={"User": "a"}, kill=reload)
        lost = counts.pop(0, 0)
        # A worker that goes closes connections that wait, and a request may just come.
        self.assertLess(lost, 100)
        self.assertEqual(counts[200], 1500)
        self.assertEqual(counts[429], 2500 - lost)

    def test_another_rate(self):
        """What was charged stays charged; the new quota holds at once."""
        for rate, left in [("1/h burst=12", 5), ("1/h burst=8", 1), ("30/h burst=10", 9)]:
            with self.subTest(rate=rate):
                server = self.begin(zone())
                server.configure(zone(rate), SERVER)
                self.assertNotIn("afresh", server.reload())
                # 7 h of debt: 30/h burst 10 has 20 min, and is spent beyond it.
                left = 0 if rate.startswith("30/h") else left
                self.assertEqual(self.left(server, "a"), left)

    def test_the_file_alone(self):
        server = self.serve_policy(
            LIMITS.format(algorithm="sliding-log", quota="10/h"),
            "tollgate_policy ROOT/limits.toml zone=z:1m;",
            SERVER + " tollgate_attribute user $http_user;",
        )
        self.spent(server, "a", 4)
        self.write(server, "limits.toml", LIMITS.format(algorithm="sliding-log", quota="6/h"))
        self.assertNotIn("afresh", server.reload())
        self.assertEqual(self.left(server, "a"), 2)

        # More than there is room for in a log of ten.
        self.write(server, "limits.toml", LIMITS.format(algorithm="sliding-log", quota="20/h"))
        log = server.reload()
        self.assertIn('[warn]', log)
        self.assertIn('tollgate zone "z" starts afresh', log)
        self.assertEqual(self.left(server, "a"), 20)

        # Another algorithm is another limit, beside which the former stays.
        self.write(server, "limits.toml", LIMITS.format(algorithm="gcra", quota="20/h"))
        self.assertNotIn("afresh", server.reload())
        self.assertEqual(self.left(server, "a"), 20)
        self.write(server, "limits.toml", LIMITS.format(algorithm="sliding-log", quota="20/h"))
        server.reload()
        self.assertEqual(self.left(server, "a"), 0)

    def test_a_bad_file(self):
        server = self.serve_policy(
            LIMITS.format(algorithm="sliding-log", quota="10/h"),
            "tollgate_policy ROOT/limits.toml zone=z:1m;",
            SERVER + " tollgate_attribute user $http_user;",
        )
        self.spent(server, "a", 4)
        workers = server.workers()
        self.write(server, "limits.toml", LIMITS.format(algorithm="sliding-log", quota="10"))
        log = server.reload(good=False)
        self.assertIn("limits.toml:7:9: error", log)
        self.assertEqual(server.workers(), workers)
        self.assertEqual(self.left(server, "a"), 6)

    def test_afresh(self):
        for second, said in [
            (zone(size="2m"), "its size was 1048576 bytes and is 2097152"),
            (zone(key="$http_user$uri"), 'its key was "$http_user" and is "$http_user$uri"'),
            (zone(more="keys=50"), "capacity"),
        ]:
            with self.subTest(second=second):
                server = self.begin(zone())
                server.configure(second, SERVER)
                log = server.reload()
                self.assertIn('tollgate zone "z" starts afresh', log)
                self.assertIn(said, log)
                self.assertEqual(self.left(server, "a"), 10)
                # From there on it is kept again.
                self.assertNotIn("afresh", server.reload())
                self.assertEqual(self.left(server, "a"), 0)

    def test_another_name(self):
        server = self.begin(zone())
        both = zone() + zone().replace("zone=z:", "zone=y:")
        server.configure(both, "tollgate zone=y;")
        server.reload()
        self.assertEqual(self.left(server, "a"), 10)
        server.configure(both, SERVER)
        server.reload()
        self.assertEqual(self.left(server, "a"), 3)

    def test_zones_from_limit_req(self):
        server = self.serve(
            "limit_req_zone $http_user zone=z:1m rate=1r/s;", "limit_req zone=z burst=5 nodelay;"
        )
        server.get(headers={"User": "a"})
        server.configure(zone(), SERVER)
        server.reload()
        self.assertEqual(self.left(server, "a"), 10)
        server.configure(
            "limit_req_zone $http_user zone=z:1m rate=1r/s;", "limit_req zone=z burst=5 nodelay;"
        )
        server.reload()
        self.assertEqual(server.get(headers={"User": "a"}).status, 200)

    def test_memory_is_given_back(self):
        """Zones that start afresh, and configurations that fail, leave no memory behind."""
        server = self.begin(zone(size="4m"))
        maps = pathlib.Path(f"/proc/{server.process.pid}/maps")

        def shared():
            found = re.findall(r"^(\w+)-(\w+) rw-s.*/dev/zero", maps.read_text(), re.MULTILINE)
            return sum(int(end, 16) - int(start, 16) for start, end in found)

        before = shared()
        self.assertGreaterEqual(before, 4 << 20)
        for n in range(6):
            server.configure(zone(size="4m", more=f"keys={100 + n}"), SERVER)
            self.assertIn("afresh", server.reload())
            self.assertEqual(self.left(server, "a"), 10)
        # A port that another has: found after the zones were made.
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            port = other.getsockname()[1]
            for n in range(3):
                server.configure(
                    zone(size="4m", more=f"keys={200 + n}")
                    + zone(size="4m").replace("zone=z:", f"zone=y{n}:"),
                    SERVER + f" listen 127.0.0.1:{port};",
                )
                seen = len(server.log())
                server.process.send_signal(signal.SIGHUP)
                until("a failure", lambda seen=seen: "still could not bind()" in
                      server.log()[seen:])
        self.assertEqual(server.get(headers={"User": "a"}).status, 429)
        server.configure(zone(size="4m", more="keys=105"), SERVER)
        server.reload()
        until("former workers end", lambda: shared() <= before + (1 << 16))
        self.assertEqual(server.get(headers={"User": "a"}).status, 429)

    def test_a_configuration_that_fails(self):
        """Another rate does not hold where the configuration that has it fails at the end,
        by a port that another has."""
        server = self.begin(zone())
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            listen = f" listen 127.0.0.1:{other.getsockname()[1]};"
            server.configure(zone("1/h burst=20"), SERVER + listen)
            seen = len(server.log())
            server.process.send_signal(signal.SIGHUP)
            until("a failure", lambda: "still could not bind()" in server.log()[seen:])
        self.assertEqual(self.left(server, "a"), 3)
        server.configure(zone("1/h burst=20"), SERVER)
        self.assertNotIn("afresh", server.reload())
        self.assertEqual(self.left(server, "a"), 10)

    def test_another_algorithm(self):
        server = self.begin(zone("10/h", more="algorithm=sliding-log keys=100"))
        for rate, more, left, afresh in [
            ("8/h", "algorithm=sliding-log keys=100", 1, False),
            ("20/h", "algorithm=sliding-log keys=100", 20, True),
            ("5/h", "algorithm=sliding-counter keys=100", 5, True),
            ("6/day", "algorithm=calendar keys=100", 6, False),
            ("2/d", "keys=100", 2, True),
        ]:
            with self.subTest(rate=rate, more=more):
                server.configure(zone(rate, more=more), SERVER)
                self.assertEqual("afresh" in server.reload(), afresh)
                self.assertEqual(self.left(server, "a"), left)

    def test_as_many_keys_as_fit(self):
        """Without `keys`: the table that is there stays as large as it is."""
        log, counter, calendar = (
            f"algorithm={name}" for name in ("sliding-log", "sliding-counter", "calendar")
        )
        for first, steps in [
            (("10/h", log), [("8/h", log, 1), ("10/h", log, 2), ("20/h", log, None),
                             ("15/h", log, 0)]),
            (("10/h", log), [("10/min", log, 3), ("10/d", log, None)]),
            (("10/h", counter), [("20/h", counter, 13), ("25/h", counter, 5),
                                 ("30/d", counter, None)]),
            (("10/year", calendar), [("20/year", calendar, 13), ("30/month", calendar, None)]),
            (("10/h", log), [("5/h", counter, None), ("9/h", counter, 4)]),
        ]:
            with self.subTest(first=first):
                server = self.begin(zone(first[0], more=first[1]))
                for rate, more, left in steps:
                    server.configure(zone(rate, more=more), SERVER)
                    log = server.reload()
                    self.assertEqual("afresh" in log, left is None, log)
                    left = int(rate.split("/")[0]) if left is None else left
                    self.assertEqual(self.left(server, "a"), left, rate)

    def test_a_zone_afresh_has_its_own_size(self):
        """Where the former count of keys does not do, the new zone has as many as fit."""
        def used(server):
            return int(re.search(r"zone_used_bytes.* (\d+)", server.get("/report").body)[1])

        server = self.begin(zone("100/h", more="algorithm=sliding-log"))
        server.configure(zone("10/h", more="algorithm=sliding-log"), SERVER)
        self.assertNotIn("afresh", server.reload())
        for rate in "200/h", "10/min":
            more = f"algorithm={'gcra' if rate == '10/min' else 'sliding-log'}"
            server.configure(zone(rate, more=more), SERVER)
            self.assertIn("afresh", server.reload())
            self.assertGreater(used(server), 800_000)

    def test_fewer_at_once(self):
        http = "tollgate_zone $http_user zone=c:1m concurrent={};"
        inside = "tollgate zone=c; location = /large { tollgate zone=c; limit_rate 100; }"
        server = self.serve(http.format(3), inside)
        s, status = server.slow("/large", {"User": "a"})
        self.addCleanup(s.close)
        self.assertEqual(status, 200)
        server.configure(http.format("1 ttl=30min"), inside)
        self.assertNotIn("afresh", server.reload())
        self.assertEqual(server.get(headers={"User": "a"}).status, 429)
        self.assertEqual(server.get(headers={"User": "b"}).status, 200)
        for more in "4 ttl=30min", "1 ttl=2h":
            server.configure(http.format(more), inside)
            self.assertIn("afresh", server.reload())

    def test_a_long_request(self):
        """One of the former workers ends its lease in the zone that is carried over."""
        def begin():
            return self.serve(
                "tollgate_zone $http_user zone=c:1m concurrent=1 ttl=1h;",
                "tollgate zone=c;\nlocation = /large { tollgate zone=c; limit_rate 512; }",
            )

        def ask(server):
            s, status = server.slow("/large", {"User": "a"})
            self.addCleanup(s.close)
            self.assertEqual(status, 200)
            server.reload()
            return server, s, server.get(headers={"User": "a"}).status

        # It takes some seven seconds to send all.
        server, s, status = self.within(6, begin, ask)
        self.assertEqual(status, 429)
        while s.recv(65536):
            pass
        until("it ends", lambda: server.get(headers={"User": "a"}).status == 200)
