package tollgate_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tollgate"
)

const several = `
name = "test"
[attribute.ip]
kind = "ip"
[attribute.user]
[[limit]]
name = "each"
key = ["ip"]
quota = "5/min"
overrides = { by = "user", root = "50/min" }
largest = "100/min"
[[limit]]
name = "tokens"
key = ["user"]
quota = "100/min"
algorithm = "gcra"
cost = "tokens"
missing = "skip"
[[limit]]
name = "at once"
routes = ["POST /jobs"]
key = []
algorithm = "leases"
quota = 1
ttl = "1 h"
[[limit]]
name = "watched"
key = []
quota = "1/min"
mode = "shadow"
[[refuse]]
name = "no admin"
routes = ["example.com/admin/**"]
[[exempt]]
name = "health"
routes = ["/health"]
[[penalty]]
name = "ladder"
key = ["ip"]
denials = 3
within = "1 min"
blocks = ["1 h"]
[response]
body = '{"limit": "{name}", "retry": {retry_after}}'
`

func policy(t testing.TB, text string, options ...tollgate.Option) *tollgate.Policy {
	t.Helper()
	p, err := tollgate.NewPolicy(text, options...)
	fails(t, err, nil)
	t.Cleanup(func() { p.Close() })
	return p
}

func fields(t testing.TB, v *tollgate.Verdict) map[string]string {
	t.Helper()
	all := map[string]string{}
	fails(t, v.Fields(func(name, value string) { all[strings.ToLower(name)] = value }), nil)
	return all
}

func TestAPolicyDecidesAllAtOnce(t *testing.T) {
	now := begin
	p := policy(t, several, tollgate.WithClock(func() time.Time { return now }))
	from := func(ip, user string) tollgate.Request {
		return tollgate.Request{Method: "GET", Path: "/", Attributes: []tollgate.Attribute{
			tollgate.Attr("ip", ip), tollgate.Attr("user", user), tollgate.Attr("unknown", "x"),
		}}
	}
	request := from("203.0.113.7", "alice")
	request.Costs = []tollgate.Cost{tollgate.Costs("tokens", 30), tollgate.Costs("unknown", 1)}
	v := p.Check(request)
	fails(t, v.Err(), nil)
	want(t, "the outcome", v.Outcome, tollgate.Allowed)
	want(t, "the status", v.Status, 0)
	limits := v.Limits()
	want(t, "how many were asked", len(limits), 3)
	want(t, "the first", limits[0].Name, "each")
	want(t, "what it has left", limits[0].Remaining, 4)
	binding, ok := v.Binding()
	want(t, "what binds", ok && binding.Binds && binding.Name == "tokens", true)
	want(t, "what it took", binding.Units, 30)
	want(t, "when it is full", binding.FullAfter, 18*time.Second)
	want(t, "its algorithm", binding.Algorithm, tollgate.GCRA)
	want(t, "the shadow", limits[2].Shadow, true)
	fails(t, v.Settle("tokens", 50), nil)
	fails(t, v.Settle("bytes", 50), tollgate.ErrName)
	binding, _ = v.Binding()
	want(t, "what is left", binding.Remaining, 50)
	fails(t, v.Refund(), nil)
	binding, _ = v.Binding()
	want(t, "what is left", binding.Remaining, 100)
	body, err := v.Body()
	want(t, "the body", body, "")
	fails(t, err, nil)
	v.Release()
	v.Release()
	want(t, "the outcome still", v.Outcome, tollgate.Allowed)
	fails(t, v.Fields(func(string, string) {}), tollgate.ErrReleased)

	request = from("203.0.113.7", "")
	for range 5 {
		v := p.Check(request)
		want(t, "the outcome", v.Outcome, tollgate.Allowed)
		v.Release()
	}
	now = now.Add(10 * time.Second)
	v = p.Check(request)
	want(t, "the outcome", v.Outcome, tollgate.Later)
	want(t, "the status", v.Status, 429)
	want(t, "the wait", v.RetryAfter, 50*time.Second)
	body, err = v.Body()
	want(t, "the body", body, `{"limit": "each", "retry": 50}`)
	fails(t, err, nil)
	want(t, "a field", fields(t, v)["retry-after"], "50")
	want(t, "a field", fields(t, v)["x-ratelimit-remaining"], "0")
	v.Release()
	for range 2 {
		p.Check(request).Release()
	}
	v = p.Check(request)
	want(t, "the cause", v.Cause, tollgate.CauseBlocked)
	want(t, "its name", v.Name(), "ladder")
	_, ok = v.Binding()
	want(t, "a limit that binds", ok, false)
	v.Release()
	held, err := p.Unblock("ladder", request)
	want(t, "Unblock", held, true)
	fails(t, err, nil)
	held, err = p.Unblock("ladder", request)
	want(t, "Unblock again", held, false)
	fails(t, err, nil)

	v = p.Check(tollgate.Request{Method: "GET", Host: "EXAMPLE.com:443", Path: "/admin/x?y"})
	want(t, "the cause", v.Cause, tollgate.CauseRefused)
	want(t, "the outcome", v.Outcome, tollgate.Never)
	want(t, "the status", v.Status, 403)
	want(t, "the wait", v.RetryAfter, tollgate.Forever)
	v.Release()
	v = p.Check(tollgate.Request{Path: "/health"})
	want(t, "the cause", v.Cause, tollgate.CauseExempt)
	v.Release()
	v = p.Check(tollgate.Request{Path: "/"})
	want(t, "the cause", v.Cause, tollgate.CauseMissing)
	want(t, "what is missing", v.Missing(), "ip")
	want(t, "for", v.Name(), "each")
	v.Release()
	want(t, "the name after it", v.Name(), "")

	job := from("192.0.2.1", "")
	job.Method, job.Path = "POST", "/jobs"
	v = p.Check(job)
	want(t, "a job", v.Allowed(), true)
	want(t, "a second job", p.Check(job).Outcome, tollgate.Later)
	v.Release()
	v = p.Check(job)
	want(t, "a job", v.Allowed(), true)
	var lease tollgate.LeaseID
	for _, limit := range v.Limits() {
		if limit.Leased {
			lease = limit.Lease
		}
	}
	held, err = p.ReleaseLease("at once", lease)
	want(t, "its release", held, true)
	fails(t, err, nil)
	held, err = p.ReleaseLease("at once", lease)
	want(t, "again", held, false)
	fails(t, err, nil)
	_, err = p.ReleaseLease("once", lease)
	fails(t, err, tollgate.ErrName)

	fails(t, p.SetOverride("each", "bob", "9/min"), nil)
	v = p.CheckAt(from("192.0.2.9", "bob"), p.Now())
	want(t, "bob's limit", v.Limits()[0].Limit, 9)
	v.Release()
	fails(t, p.SetOverride("each", "bob", "x"), tollgate.ErrQuota)
	fails(t, p.SetOverride("each", "bob", ""), tollgate.ErrQuota)
	fails(t, p.SetOverride("no", "bob", "9/min"), tollgate.ErrName)
	fails(t, p.RemoveOverride("each", "bob"), nil)
	why, err := p.Explain(from("192.0.2.9", "bob"))
	fails(t, err, nil)
	if !strings.Contains(why, "applies: each") {
		t.Fatal(why)
	}
	want(t, "the limits", fmt.Sprint(p.Limits()), "[each tokens at once watched]")
	_, err = p.Explain(tollgate.Request{Method: "\xff"})
	fails(t, err, tollgate.ErrUTF8)
	v = p.Check(tollgate.Request{Method: "\xff"})
	fails(t, v.Err(), tollgate.ErrUTF8)
	want(t, "no verdict", v.Allowed(), false)
	v.Release()
	// More attributes than are told in one place, and long ones; the last counts.
	crowd := tollgate.Request{Path: "/" + strings.Repeat("x", 100_000)}
	for nth := range 1000 {
		crowd.Attributes = append(crowd.Attributes, tollgate.Attr("ip", fmt.Sprintf("192.0.3.%d", nth%256)))
	}
	for nth := range 1000 {
		crowd.Attributes = append(crowd.Attributes, tollgate.Attr(fmt.Sprint(nth), "x"))
	}
	v = p.Check(crowd)
	want(t, "of many attributes", v.Outcome, tollgate.Allowed)
	v.Release()
	v = p.Check(from("192.0.3.231", ""))
	want(t, "what the last of them has left", v.Limits()[0].Remaining, 3)
	v.Release()
}

func TestAPolicyIsReplacedUnderTraffic(t *testing.T) {
	file := filepath.Join(t.TempDir(), "limits.toml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("[attribute.ip]\nkind = 'ip'\n[[limit]]\nname = 'each'\nkey = ['ip']\nquota = '5/h'\n")
	p, err := tollgate.LoadPolicy(file)
	fails(t, err, nil)
	defer p.Close()
	request := tollgate.Request{Path: "/", Attributes: []tollgate.Attribute{
		tollgate.Attr("ip", "192.0.2.1"), tollgate.Attr("user", "ann"),
	}}
	v := p.Check(request)
	want(t, "allowed", v.Allowed(), true)
	want(t, "Knows", p.Knows("ip") && !p.Knows("user"), true)
	write("[[limit]]\nname = 1\n")
	err = p.ReloadFile(file)
	fails(t, err, tollgate.ErrPolicy)
	if !strings.Contains(err.Error(), "limits.toml:2:8") {
		t.Fatal(err)
	}
	// A name that was not known before is.
	write("[attribute.ip]\nkind = 'ip'\n[attribute.user]\n[[limit]]\nname = 'each'\nkey = ['ip']\nquota = '3/h'\n" +
		"[[limit]]\nname = 'users'\nkey = ['user']\nquota = '10/h'\n")
	fails(t, p.ReloadFile(file), nil)
	want(t, "Knows", p.Knows("user"), true)
	// The verdict of before is of the policy of before.
	want(t, "its limit", v.Limits()[0].Limit, 5)
	v.Release()
	v = p.Check(request)
	want(t, "allowed", v.Allowed(), true)
	want(t, "what was charged", v.Limits()[0].Remaining, 1)
	want(t, "the new limit", v.Limits()[1].Remaining, 9)
	p.Close()
	want(t, "a verdict that outlives it", v.Limits()[1].Name, "users")
	fails(t, v.Refund(), nil)
	v.Release()
}

func TestTheStarter(t *testing.T) {
	p, err := tollgate.LoadPolicy("../../examples/policies/starter.toml")
	fails(t, err, nil)
	defer p.Close()
	request := tollgate.Request{Method: "POST", Path: "/login", Attributes: []tollgate.Attribute{tollgate.Attr("ip", "203.0.113.7")}}
	for range 5 {
		want(t, "allowed", p.Check(request).Allowed(), true)
	}
	v := p.Check(request)
	defer v.Release()
	binding, _ := v.Binding()
	want(t, "what denies", binding.Name, "login")
	want(t, "the type", fields(t, v)["content-type"], "application/json")
}

func TestHowFullEachLimitIs(t *testing.T) {
	now := begin
	p := policy(t, `
[attribute.user]
[[limit]]
name = "each"
key = ["user"]
quota = "5/min"
capacity = 8
[[limit]]
name = "large"
key = []
algorithm = "size"
quota = "1 MB"
cost = "bytes"
unit = "bytes"
missing = "skip"
`, tollgate.WithClock(func() time.Time { return now }))
	unaccounted := 0
	for nth := range 200 {
		v := p.Check(tollgate.Request{Method: "GET", Path: "/",
			Attributes: []tollgate.Attribute{tollgate.Attr("user", fmt.Sprint(nth))}})
		for _, limit := range v.Limits() {
			if limit.Unaccounted {
				unaccounted++
			}
		}
		v.Release()
	}
	said, err := p.Gauges()
	fails(t, err, nil)
	want(t, "how many", len(said), 2)
	each := said[0]
	if each.Name != "each" || !each.Keeps || each.Capacity != 8 || each.LiveKeys < 8 || each.Memory == 0 {
		t.Fatalf("%+v", each)
	}
	if unaccounted == 0 || each.Saturated != uint64(unaccounted) {
		t.Fatalf("%d were not accounted, of %+v", unaccounted, each)
	}
	want(t, "a size", said[1], tollgate.LimitGauges{Name: "large"})
	// By the policy's own clock.
	now = now.Add(time.Hour)
	said, err = p.Gauges()
	fails(t, err, nil)
	want(t, "an hour later", said[0].LiveKeys, 0)
	p.Close()
	_, err = p.Gauges()
	fails(t, err, tollgate.ErrClosed)
}
