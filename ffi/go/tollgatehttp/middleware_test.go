package tollgatehttp_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tollgate"
	"tollgate/tollgatehttp"
)

func want[T comparable](t testing.TB, what string, is, wanted T) {
	t.Helper()
	if is != wanted {
		t.Fatalf("%s is %v, not %v", what, is, wanted)
	}
}

func policy(t testing.TB, text string) *tollgate.Policy {
	t.Helper()
	p, err := tollgate.NewPolicy(text)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// served is a server on a port of the system's choice, which ends with the test.
func served(t testing.TB, handler http.Handler) string {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.ReadTimeout = 20 * time.Second
	server.Start()
	t.Cleanup(server.Close)
	return server.URL
}

var client = &http.Client{Timeout: 20 * time.Second}

type answer struct {
	status int
	header http.Header
	body   string
}

func ask(t testing.TB, method, url string, headers ...string) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for nth := 0; nth < len(headers); nth += 2 {
		request.Header.Add(headers[nth], headers[nth+1])
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, string(body)}
}

// hour is a wait of an hour that did not begin to run before then, in seconds rounded up.
func hour(t testing.TB, wait string, then time.Time) {
	t.Helper()
	seconds, err := strconv.Atoi(wait)
	if passed := int(time.Since(then) / time.Second); err != nil || seconds > 3600 || seconds < 3600-passed {
		t.Fatalf("a wait of an hour is %q after %d s", wait, passed)
	}
}

func hello(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }

const dialect = `
[attribute.ip]
kind = "ip"
forwarded = "forwarded-for"
trusted_hops = 1
[attribute.user]
[[limit]]
name = "each"
key = ["ip"]
quota = "3/h"
[[limit]]
name = "logins"
routes = ["POST /users/{id}/login"]
key = ["path.id"]
quota = "1/h"
[[limit]]
name = "bytes"
when = { user = true }
key = ["user"]
quota = "1000/h"
cost = "bytes"
algorithm = "gcra"
[[refuse]]
name = "no admin"
routes = ["/admin/**"]
[response]
headers = "x-ratelimit"
reset = "delta"
content_type = "application/json"
body = '{"limit": "{name}", "retry": {retry_after}}'
`

func TestAPolicyOverHTTP(t *testing.T) {
	var settled atomic.Bool
	mux := http.NewServeMux()
	mux.HandleFunc("/", hello)
	mux.HandleFunc("/exact", func(w http.ResponseWriter, r *http.Request) {
		if err := tollgatehttp.Verdict(r).Settle("bytes", 10); err == nil {
			settled.Store(true)
		}
		hello(w, r)
	})
	url := served(t, tollgatehttp.Policy(policy(t, dialect),
		tollgatehttp.Attribute("ip", tollgatehttp.PeerIP),
		tollgatehttp.Attribute("forwarded-for", tollgatehttp.Header("X-Forwarded-For")),
		tollgatehttp.Attribute("user", tollgatehttp.Header("X-User")),
		tollgatehttp.Attribute("unknown", func(*http.Request) string { panic("it is not asked for") }),
		tollgatehttp.Cost("bytes", func(r *http.Request) uint64 {
			n, _ := strconv.ParseUint(r.URL.Query().Get("n"), 10, 64)
			return n
		}),
	)(mux))

	// Allowed answers have the fields, too; a forged entry in front is not looked at.
	for nth := range 3 {
		a := ask(t, "GET", url, "X-Forwarded-For", fmt.Sprintf("10.0.0.%d, 203.0.113.7", nth))
		want(t, "the status", a.status, 200)
		want(t, "the body", a.body, "hello")
		want(t, "the limit", a.header.Get("X-RateLimit-Limit"), "3")
		want(t, "what remains", a.header.Get("X-RateLimit-Remaining"), strconv.Itoa(2-nth))
	}
	a := ask(t, "GET", url, "X-Forwarded-For", "10.0.0.9", "X-Forwarded-For", "203.0.113.7")
	want(t, "the status", a.status, 429)
	wait, _ := strconv.Atoi(a.header.Get("Retry-After"))
	want(t, "a wait of an hour", wait > 3500 && wait <= 3600, true)
	want(t, "the body", a.body, fmt.Sprintf(`{"limit": "each", "retry": %d}`, wait))
	want(t, "its type", a.header.Get("Content-Type"), "application/json")
	want(t, "the reset", a.header.Get("X-RateLimit-Reset"), strconv.Itoa(wait))
	head := ask(t, "HEAD", url, "X-Forwarded-For", "203.0.113.7")
	want(t, "the status of HEAD", head.status, 429)
	want(t, "its body", head.body, "")
	// Without the header it is the peer, and with a garbled one nobody.
	want(t, "the peer itself", ask(t, "GET", url).status, 200)
	want(t, "a garbled list", ask(t, "GET", url, "X-Forwarded-For", "203.0.113.8, nonsense").status, 403)

	want(t, "a route", ask(t, "POST", url+"/users/ann/login", "X-Forwarded-For", "192.0.2.1").status, 200)
	want(t, "the route again", ask(t, "POST", url+"/users/%61nn/login?x", "X-Forwarded-For", "192.0.2.2").status, 429)
	want(t, "of another", ask(t, "POST", url+"/users/bob/login", "X-Forwarded-For", "192.0.2.2").status, 200)
	want(t, "a refusal", ask(t, "GET", url+"/admin/x", "X-Forwarded-For", "192.0.2.3").status, 403)

	want(t, "a cost", ask(t, "GET", url+"?n=900", "X-User", "ann", "X-Forwarded-For", "192.0.2.4").status, 200)
	want(t, "too much of it", ask(t, "GET", url+"?n=900", "X-User", "ann", "X-Forwarded-For", "192.0.2.4").status, 429)
	want(t, "an estimate", ask(t, "GET", url+"/exact?n=90", "X-User", "ann", "X-Forwarded-For", "192.0.2.4").status, 200)
	want(t, "that it was settled", settled.Load(), true)
	want(t, "what that left", ask(t, "GET", url+"?n=90", "X-User", "ann", "X-Forwarded-For", "192.0.2.4").status, 200)
}

const oneAtATime = `
[[limit]]
name = "at once"
key = []
algorithm = "leases"
quota = 1
ttl = "1 h"
[response]
headers = "none"
`

func TestLeasesEndWithTheHandler(t *testing.T) {
	inside, leave := make(chan struct{}), make(chan struct{})
	url := served(t, tollgatehttp.Policy(policy(t, oneAtATime))(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/slow":
			inside <- struct{}{}
			<-leave
		case "/panic":
			panic(http.ErrAbortHandler)
		}
	})))
	done := make(chan int)
	go func() {
		response, err := client.Get(url + "/slow")
		if err != nil {
			done <- 0
			return
		}
		response.Body.Close()
		done <- response.StatusCode
	}()
	<-inside
	want(t, "one more meanwhile", ask(t, "GET", url).status, 429)
	leave <- struct{}{}
	want(t, "the slow one", <-done, 200)
	want(t, "after it", ask(t, "GET", url).status, 200)
	for range 3 {
		if response, err := client.Get(url + "/panic"); err == nil {
			response.Body.Close()
			t.Fatal("a panic was served")
		}
	}
	// The connection breaks before the deferred release: soon, that is.
	status := 0
	for range 2_000 {
		if status = ask(t, "GET", url).status; status == 200 {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	want(t, "after a panic", status, 200)
}

func TestHandlersFlushAndHijack(t *testing.T) {
	flushed := make(chan bool, 1)
	url := served(t, tollgatehttp.Policy(policy(t, oneAtATime))(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hijack" {
			conn, buffered, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			buffered.WriteString("HTTP/1.1 299 Mine\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			buffered.Flush()
			return
		}
		_, is := w.(http.Flusher)
		io.WriteString(w, "first\n")
		flushed <- http.NewResponseController(w).Flush() == nil && is
		<-r.Context().Done()
	})))
	// Flushed: it is here while the handler runs still.
	request, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(response.Body).ReadString('\n')
	want(t, "what was flushed", line, "first\n")
	want(t, "its error", err, nil)
	response.Body.Close()
	want(t, "Flush", <-flushed, true)
	status := 0
	for range 2_000 {
		if status = ask(t, "GET", url+"/hijack").status; status == 299 {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	want(t, "what was hijacked", status, 299)
}

func TestAKeyedLimiterOverHTTP(t *testing.T) {
	k, err := tollgate.NewKeyed("3/h")
	if err != nil {
		t.Fatal(err)
	}
	url := served(t, tollgatehttp.Keyed(k, tollgatehttp.ByIP, tollgatehttp.Units(func(r *http.Request) uint64 {
		n, _ := strconv.ParseUint(r.URL.Query().Get("n"), 10, 64)
		return max(n, 1)
	}))(http.HandlerFunc(hello)))
	a := ask(t, "GET", url+"?n=2")
	want(t, "the status", a.status, 200)
	want(t, "what remains", a.header.Get("X-RateLimit-Remaining"), "1")
	want(t, "more than ever", ask(t, "GET", url+"?n=4").header.Get("Retry-After"), "")
	want(t, "the status", ask(t, "GET", url).status, 200)
	a = ask(t, "GET", url)
	want(t, "the status", a.status, 429)
	want(t, "the body", a.body, "Too Many Requests\n")
	want(t, "the limit", a.header.Get("X-RateLimit-Limit"), "3")
	wait, _ := strconv.Atoi(a.header.Get("Retry-After"))
	want(t, "a wait of 20 minutes", wait > 1190 && wait <= 1200, true)
	reset, _ := strconv.ParseInt(a.header.Get("X-RateLimit-Reset"), 10, 64)
	in := time.Until(time.Unix(reset, 0))
	want(t, "the reset in an hour", in > 3590*time.Second && in <= 3602*time.Second, true)
	k.Close()
	a = ask(t, "GET", url)
	want(t, "without a limiter", a.status, 503)
}

func TestManyClientsGetTheLimit(t *testing.T) {
	p := policy(t, "[attribute.user]\n[[limit]]\nname = 'each'\nkey = ['user']\nquota = '100/h'\n")
	url := served(t, tollgatehttp.Policy(p, tollgatehttp.Attribute("user", tollgatehttp.Header("X-User")))(http.HandlerFunc(hello)))
	var passed, denied atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Add(1)
		go func() {
			defer all.Done()
			for range 25 {
				request, _ := http.NewRequest("GET", url, nil)
				request.Header.Set("X-User", "ann")
				response, err := client.Do(request)
				if err != nil {
					t.Error(err)
					return
				}
				io.Copy(io.Discard, response.Body)
				response.Body.Close()
				if response.StatusCode == 200 {
					passed.Add(1)
				} else {
					denied.Add(1)
				}
			}
		}()
	}
	all.Wait()
	want(t, "what passed", passed.Load(), 100)
	want(t, "what was denied", denied.Load(), 100)
}

func TestAnswersOfOnesOwn(t *testing.T) {
	p := policy(t, "[[limit]]\nname = 'whole'\nkey = []\nquota = '1/h'\n")
	handler := tollgatehttp.Policy(p,
		tollgatehttp.OnDenied(func(w http.ResponseWriter, _ *http.Request, v *tollgate.Verdict) {
			binding, _ := v.Binding()
			http.Error(w, "denied by "+binding.Name, http.StatusTeapot)
		}),
		tollgatehttp.OnError(func(w http.ResponseWriter, r *http.Request, err error) {
			if errors.Is(err, tollgate.ErrClosed) {
				hello(w, r)
			}
		}),
	)(http.HandlerFunc(hello))
	url := served(t, handler)
	begun := time.Now()
	want(t, "the first", ask(t, "GET", url).status, 200)
	a := ask(t, "GET", url)
	want(t, "the denial", a.status, http.StatusTeapot)
	want(t, "its body", a.body, "denied by whole\n")
	hour(t, a.header.Get("Retry-After"), begun)
	p.Close()
	want(t, "without a policy", ask(t, "GET", url).body, "hello")
}

func TestWhatARequestSays(t *testing.T) {
	for remote, says := range map[string][2]string{
		"192.0.2.1:80":          {"192.0.2.1", "192.0.2.1"},
		"[2001:db8:1:2::3]:80":  {"2001:db8:1:2::3", "2001:db8:1:2::/64"},
		"[::ffff:192.0.2.1]:80": {"192.0.2.1", "192.0.2.1"},
		"[fe80::1%eth0]:80":     {"fe80::1", "fe80::/64"},
		"192.0.2.1":             {"192.0.2.1", "192.0.2.1"},
		"@":                     {"", ""},
		"":                      {"", ""},
		"nonsense:80":           {"", ""},
	} {
		r := &http.Request{RemoteAddr: remote}
		want(t, "the peer of "+remote, tollgatehttp.PeerIP(r), says[0])
		want(t, "the key of "+remote, tollgatehttp.ByIP(r), says[1])
	}
	mux := http.NewServeMux()
	var inside, value string
	mux.HandleFunc("GET /users/{id}", func(_ http.ResponseWriter, r *http.Request) {
		inside, value = tollgatehttp.Pattern(nil)(r), tollgatehttp.PathValue("id")(r)
	})
	r := httptest.NewRequest("GET", "/users/7", nil)
	want(t, "the pattern outside", tollgatehttp.Pattern(mux)(r), "GET /users/{id}")
	want(t, "without a mux", tollgatehttp.Pattern(nil)(r), "")
	mux.ServeHTTP(httptest.NewRecorder(), r)
	want(t, "the pattern inside", inside, "GET /users/{id}")
	want(t, "its value", value, "7")
	want(t, "no verdict", tollgatehttp.Verdict(r) == nil, true)
	want(t, "OPTIONS *", func() string {
		conn, err := net.Dial("tcp", strings.TrimPrefix(served(t, tollgatehttp.Policy(policy(t, oneAtATime))(http.HandlerFunc(hello))), "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		io.WriteString(conn, "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n")
		line, _ := bufio.NewReader(conn).ReadString('\n')
		return line
	}(), "HTTP/1.1 200 OK\r\n")
}

func TestTheTypeIsThatOfTheBody(t *testing.T) {
	p := policy(t, "[[limit]]\nname = 'whole'\nkey = []\nquota = '1/h'\n"+
		"[response]\ncontent_type = 'application/problem+json'\nbody = '{}'\n")
	denied := tollgatehttp.OnDenied(func(w http.ResponseWriter, _ *http.Request, _ *tollgate.Verdict) {
		io.WriteString(w, "sorry")
	})
	plain := http.HandlerFunc(hello)
	own := served(t, tollgatehttp.Policy(p, denied)(plain))
	begun := time.Now()
	want(t, "the first", ask(t, "GET", own).body, "hello")
	a := ask(t, "GET", own)
	want(t, "the denial", a.body, "sorry")
	want(t, "its type", a.header.Get("Content-Type"), "text/plain; charset=utf-8")
	hour(t, a.header.Get("Retry-After"), begun)
	want(t, "the policy's type", ask(t, "GET", served(t, tollgatehttp.Policy(p)(plain))).header.Get("Content-Type"),
		"application/problem+json")
	// What an outer handler has set stays.
	inner := tollgatehttp.Policy(p, denied)(plain)
	outer := served(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		inner.ServeHTTP(w, r)
	}))
	want(t, "the outer type", ask(t, "GET", outer).header.Get("Content-Type"), "text/html")
}
