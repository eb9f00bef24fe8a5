package tollgate_test

import (
	"context"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"tollgate"
)

func everythingIsClosed(t *testing.T, k *tollgate.Keyed, l *tollgate.Limiter, s *tollgate.Leases, p *tollgate.Policy, r *tollgate.Region) {
	t.Helper()
	want(t, "Allow", k.Allow("a"), false)
	want(t, "AllowN", k.AllowN("a", 1), false)
	for _, d := range append(k.CheckMany(nil, "a", "b"), k.Check("a"), k.CheckAt("a", 1, 0), k.CheckHash(1, 1),
		k.Peek("a"), k.Refund("a", tollgate.Charge{}), k.Settle("a", tollgate.Charge{}, 1),
		k.Reserve("a", 1, 0), k.Reset("a"), l.Check(), s.Peek("a")) {
		want(t, "the outcome", d.Outcome, tollgate.Failed)
		fails(t, d.Err(), tollgate.ErrClosed)
	}
	want(t, "AllowMany", k.AllowMany(nil, "a")[0], false)
	fails(t, k.Wait(context.Background(), "a"), tollgate.ErrClosed)
	fails(t, k.SetQuota(tollgate.Quota{Units: 1, Period: 1}), tollgate.ErrClosed)
	_, err := k.Quota()
	fails(t, err, tollgate.ErrClosed)
	_, err = k.Counts()
	fails(t, err, tollgate.ErrClosed)
	_, err = k.Gauges()
	fails(t, err, tollgate.ErrClosed)
	want(t, "Now", k.Now(), 0)
	want(t, "Allow", l.Allow(), false)
	lease, d := s.Acquire("a")
	fails(t, d.Err(), tollgate.ErrClosed)
	want(t, "Release", lease.Release(), false)
	want(t, "Release", s.Lease(lease.ID).Release(), false)
	_, err = s.Lease(lease.ID).Renew(0)
	fails(t, err, tollgate.ErrClosed)
	_, err = s.ReleaseAll("a")
	fails(t, err, tollgate.ErrClosed)
	_, err = s.Gauges()
	fails(t, err, tollgate.ErrClosed)
	v := p.Check(tollgate.Request{})
	want(t, "the verdict", v.Allowed(), false)
	fails(t, v.Err(), tollgate.ErrClosed)
	v.Release()
	fails(t, p.Reload(""), tollgate.ErrClosed)
	fails(t, p.SetOverride("", "", ""), tollgate.ErrClosed)
	_, err = p.Explain(tollgate.Request{})
	fails(t, err, tollgate.ErrClosed)
	_, err = p.Unblock("", tollgate.Request{})
	fails(t, err, tollgate.ErrClosed)
	_, err = p.ReleaseLease("", tollgate.LeaseID{})
	fails(t, err, tollgate.ErrClosed)
	want(t, "Limits", len(p.Limits()), 0)
	want(t, "Knows", p.Knows("ip"), false)
	want(t, "Now", p.Now(), tollgate.Moment{})
	want(t, "Size", r.Size(), 0)
	_, err = r.Snapshot()
	fails(t, err, tollgate.ErrClosed)
	_, err = tollgate.NewKeyed("1/s", tollgate.InRegion(r, "a"))
	fails(t, err, tollgate.ErrClosed)
	for _, closer := range []interface{ Close() error }{k, l, s, p, r} {
		fails(t, closer.Close(), nil)
	}
}

const leasing = `
[attribute.user]
[[limit]]
name = "at once"
key = ["user"]
algorithm = "leases"
quota = 1000
capacity = 100
ttl = "1 h"
`

// Everything is used by many while it is closed, and its memory comes back: under the race
// detector, and with collections in between so that it is freed as early as it may be.
func TestCloseRacesWithNothing(t *testing.T) {
	before := settled(-1)
	for range 20 {
		region, err := tollgate.OpenRegion(filepath.Join(t.TempDir(), "region"))
		fails(t, err, nil)
		k, err := tollgate.NewKeyed("1000000/s", tollgate.WithCapacity(100))
		fails(t, err, nil)
		shared, err := tollgate.NewKeyed("1000000/s", tollgate.InRegion(region, "shared"), tollgate.WithCapacity(100))
		fails(t, err, nil)
		l, err := tollgate.NewLimiter("1000000/s")
		fails(t, err, nil)
		s, err := tollgate.NewLeases(1000, time.Hour, tollgate.WithCapacity(100))
		fails(t, err, nil)
		p, err := tollgate.NewPolicy(leasing)
		fails(t, err, nil)
		request := tollgate.Request{Path: "/", Attributes: []tollgate.Attribute{tollgate.Attr("user", "ann")}}

		stop := make(chan struct{})
		var all sync.WaitGroup
		for _, work := range []func(){
			func() { k.Allow("a"); shared.Allow("a") },
			func() { k.Check("b"); shared.Check("b"); l.Check() },
			func() { k.CheckMany(nil, "a", "b", "c"); k.Gauges() },
			func() { lease, _ := s.Acquire("a"); lease.Release() },
			func() { v := p.Check(request); v.Limits(); v.Release() },
			func() { v := p.Check(request); v.Body(); v.Refund() }, // and forgotten
			func() { p.Reload(leasing); p.Knows("user"); p.Limits() },
			func() { region.Size(); region.Snapshot() },
			runtime.GC,
		} {
			all.Add(1)
			go func() {
				defer all.Done()
				for {
					select {
					case <-stop:
						return
					default:
						work()
					}
				}
			}()
		}
		time.Sleep(5 * time.Millisecond)
		var closing sync.WaitGroup
		for _, closer := range []interface{ Close() error }{region, k, shared, l, s, p, k, p} {
			closing.Add(1)
			go func() {
				defer closing.Done()
				closer.Close()
			}()
		}
		closing.Wait()
		time.Sleep(5 * time.Millisecond)
		close(stop)
		all.Wait()
		everythingIsClosed(t, k, l, s, p, region)
	}
	want(t, "what lives after it", settled(before), before)
}

func TestWhatIsForgottenIsFreed(t *testing.T) {
	before := settled(-1)
	func() {
		p, err := tollgate.NewPolicy(leasing)
		fails(t, err, nil)
		for range 100 {
			p.Check(tollgate.Request{})
		}
		for range 100 {
			_, err := tollgate.NewKeyed("1/s")
			fails(t, err, nil)
		}
		if tollgate.Live() < before+100 {
			t.Fatal("nothing is counted")
		}
	}()
	want(t, "what lives after it", settled(before), before)
}

// settled is how many handles live when the collector is done: those wanted, unless it is
// not done for ten seconds.
func settled(wanted int64) (live int64) {
	begun := time.Now()
	for round := 0; round < 50 || wanted >= 0 && time.Since(begun) < 10*time.Second; round++ {
		runtime.GC()
		if live = tollgate.Live(); live == wanted {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	return live
}

func TestAVerdictIsUsedByOneAtATime(t *testing.T) {
	p, err := tollgate.NewPolicy(leasing)
	fails(t, err, nil)
	defer p.Close()
	request := tollgate.Request{Attributes: []tollgate.Attribute{tollgate.Attr("user", "ann")}}
	for range 100 {
		v := p.Check(request)
		var all sync.WaitGroup
		for range 4 {
			all.Add(1)
			go func() {
				defer all.Done()
				v.Limits()
				v.Fields(func(string, string) {})
				v.Release()
				v.Settle("requests", 1)
			}()
		}
		all.Wait()
		fails(t, v.Refund(), tollgate.ErrReleased)
		want(t, "Limits", len(v.Limits()), 0)
	}
	// None of them is held.
	v := p.Check(request)
	defer v.Release()
	limit, _ := v.Binding()
	want(t, "what is left", limit.Remaining, 999)
}
