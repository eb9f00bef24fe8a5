package tollgate_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tollgate"
)

func want[T comparable](t testing.TB, what string, is, wanted T) {
	t.Helper()
	if is != wanted {
		t.Fatalf("%s is %v, not %v", what, is, wanted)
	}
}

func fails(t testing.TB, err, wanted error) {
	t.Helper()
	if !errors.Is(err, wanted) {
		t.Fatalf("the error is %v, not %v", err, wanted)
	}
}

func TestEverythingOfAKey(t *testing.T) {
	k := keyed(t, "600/min burst 100", tollgate.WithClock(still), tollgate.WithCounts(),
		tollgate.WithRoomFor(tollgate.Quota{Units: 6000, Period: time.Minute}))
	want(t, "a check", k.Check("a").Remaining, 99)
	want(t, "AllowN", k.AllowN("a", 99), true)
	want(t, "AllowN of too many", k.AllowN("a", 1), false)
	want(t, "another key", k.Allow("b"), true)
	want(t, "Peek", k.Peek("a").Remaining, 0)
	want(t, "Reset", k.Reset("a").Remaining, 100)

	estimate := k.CheckN("a", 20)
	settled := k.Settle("a", estimate.Charge, 35)
	want(t, "Settle", settled.Remaining, 65)
	want(t, "the charge then", settled.Charge.Units, 35)
	want(t, "Refund", k.Refund("a", settled.Charge).Remaining, 100)

	want(t, "all of it", k.CheckN("a", 100).Outcome, tollgate.Allowed)
	want(t, "a denial", k.Check("a").RetryAfter, 100*time.Millisecond)
	want(t, "in seconds", k.Check("a").RetryAfterSeconds(), 1)
	turn := k.Reserve("a", 10, time.Second)
	want(t, "Reserve", turn.Outcome, tollgate.Allowed)
	want(t, "its wait", turn.Wait, time.Second)
	want(t, "too soon", k.Reserve("a", 10, time.Second).Outcome, tollgate.Later)
	want(t, "more than ever", k.CheckN("a", 101).Outcome, tollgate.Never)
	want(t, "a hash", k.CheckHash(1, 1).Remaining, 99)
	want(t, "the same hash", k.CheckHash(1, 1).Remaining, 98)

	if err := k.SetQuota(tollgate.Quota{Units: 6000, Period: time.Minute}); err != nil {
		t.Fatal(err)
	}
	want(t, "the new quota", k.Check("c").Remaining, 5999)
	q, err := k.Quota()
	want(t, "Quota", q, tollgate.Quota{Units: 6000, Period: time.Minute, Burst: 6000})
	fails(t, err, nil)
	fails(t, k.SetQuota(tollgate.Quota{Units: 1, Period: time.Hour, Burst: 1000}), tollgate.ErrRoom)
	fails(t, k.SetQuota(tollgate.Quota{}), tollgate.ErrQuota)

	counts, err := k.Counts()
	fails(t, err, nil)
	if counts.Allowed < 5 || counts.Denied < 3 || counts.Unaccounted != 0 {
		t.Fatalf("%+v", counts)
	}
	gauges, err := k.Gauges()
	fails(t, err, nil)
	if gauges.LiveKeys < 3 || gauges.Capacity != 10_000 || gauges.Memory < 240_000 {
		t.Fatalf("%+v", gauges)
	}
	_, err = keyed(t, "1/s").Counts()
	fails(t, err, tollgate.ErrUnsupported)
}

func TestAHashIsAKeyLikeOthers(t *testing.T) {
	k := keyed(t, "600/min burst 100", tollgate.WithClock(still))
	estimate := k.CheckHash(7, 20)
	want(t, "CheckHash", estimate.Remaining, 80)
	want(t, "PeekHash", k.PeekHash(7).Remaining, 80)
	settled := k.SettleHash(7, estimate.Charge, 35)
	want(t, "SettleHash", settled.Remaining, 65)
	want(t, "the charge then", settled.Charge.Units, 35)
	want(t, "RefundHash", k.RefundHash(7, settled.Charge).Remaining, 100)
	want(t, "all of it", k.CheckHash(7, 100).Outcome, tollgate.Allowed)
	want(t, "ReserveHash", k.ReserveHash(7, 10, time.Second).Wait, time.Second)
	want(t, "too soon", k.ReserveHash(7, 10, time.Second).Outcome, tollgate.Later)
	want(t, "another hash", k.PeekHash(8).Remaining, 100)
	want(t, "ResetHash", k.ResetHash(7).Remaining, 100)
	k.Close()
	for _, d := range []tollgate.Decision{k.CheckHash(7, 1), k.PeekHash(7), k.SettleHash(7, estimate.Charge, 1),
		k.RefundHash(7, estimate.Charge), k.ReserveHash(7, 1, 0), k.ResetHash(7)} {
		fails(t, d.Err(), tollgate.ErrClosed)
	}
}

func TestNoWaitIsNoWait(t *testing.T) {
	for _, none := range []time.Duration{0, -time.Second} {
		k := keyed(t, "1/s burst 1", tollgate.WithClock(still), tollgate.WithLongestWait(none))
		want(t, "what need not wait", k.Reserve("a", 1, time.Minute).Outcome, tollgate.Allowed)
		want(t, "what must", k.Reserve("a", 1, time.Minute).Outcome, tollgate.Later)
		fails(t, k.Wait(t.Context(), "a"), tollgate.ErrTooLong)
	}
	k := keyed(t, "1/s burst 1", tollgate.WithClock(still))
	k.Check("a")
	want(t, "by default", k.Reserve("a", 1, time.Minute).Wait, time.Second)
}

func TestWhoIsDeniedMost(t *testing.T) {
	k := keyed(t, "1/h", tollgate.WithClock(still), tollgate.WithDeniedMost(10))
	for range 6 {
		k.Check("often")
		k.CheckHash(7, 1)
	}
	k.CheckHash(7, 1)
	k.Check("once")
	k.Check("once")
	k.Check("never")
	keys, err := k.DeniedMost()
	fails(t, err, nil)
	want(t, "how many", len(keys), 3)
	want(t, "the first", keys[0], tollgate.DeniedKey{Hash: 7, Hashed: true, Denials: 6})
	want(t, "the second", keys[1], tollgate.DeniedKey{Name: "often", Denials: 5})
	want(t, "the third", keys[2], tollgate.DeniedKey{Name: "once", Denials: 1})
	none, err := keyed(t, "1/h").DeniedMost()
	fails(t, err, nil)
	want(t, "none", len(none), 0)
	_, err = keyed(t, "1/h", tollgate.WithDeniedMost(1_000_000)).DeniedMost()
	fails(t, err, nil)
	k.Close()
	_, err = k.DeniedMost()
	fails(t, err, tollgate.ErrClosed)
}

func TestLeasesOfHashes(t *testing.T) {
	l, err := tollgate.NewLeases(2, time.Minute, tollgate.WithClock(still))
	fails(t, err, nil)
	first, d := l.AcquireHash(7)
	want(t, "the first", d.Remaining, 1)
	_, d = l.AcquireHash(7)
	want(t, "the second", d.Allowed(), true)
	third, d := l.AcquireHash(7)
	want(t, "the third", d.Allowed() || third.Release(), false)
	want(t, "Release", first.Release(), true)
	want(t, "PeekHash", l.PeekHash(7).Remaining, 1)
	want(t, "another", l.PeekHash(8).Remaining, 2)
	count, err := l.ReleaseAllHash(7)
	fails(t, err, nil)
	want(t, "ReleaseAllHash", count, 1)
	l.Close()
	_, d = l.AcquireHash(7)
	fails(t, d.Err(), tollgate.ErrClosed)
	fails(t, l.PeekHash(7).Err(), tollgate.ErrClosed)
	_, err = l.ReleaseAllHash(7)
	fails(t, err, tollgate.ErrClosed)
}

func TestALimiterIsOfOneThing(t *testing.T) {
	l, err := tollgate.NewLimiter("3/h", tollgate.WithCounts())
	fails(t, err, nil)
	defer l.Close()
	want(t, "Allow", l.Allow(), true)
	d := l.CheckN(2)
	want(t, "CheckN", d.Remaining, 0)
	want(t, "Allow", l.Allow(), false)
	want(t, "Refund", l.Refund(d.Charge).Remaining, 2)
	want(t, "AllowN", l.AllowN(2), true)
	want(t, "Check", l.Check().Outcome, tollgate.Later)
	want(t, "CheckAt", l.CheckAt(1, l.Now()).Outcome, tollgate.Later)
	want(t, "Peek", l.Peek().Remaining, 0)
	want(t, "Reset", l.Reset().Remaining, 3)
	want(t, "Settle", l.Settle(l.Check().Charge, 2).Remaining, 1)
	want(t, "Reserve", l.Reserve(3, time.Hour).Outcome, tollgate.Allowed)
	counts, err := l.Counts()
	fails(t, err, nil)
	if counts.Denied != 3 {
		t.Fatalf("%+v", counts)
	}
}

func TestGoroutinesAdmitTheLimitTogether(t *testing.T) {
	const limit, goroutines = 5_000, 8
	k := keyed(t, "5000/h", tollgate.WithAlgorithm(tollgate.SlidingLog), tollgate.WithCapacity(4))
	var admitted atomic.Int64
	var all sync.WaitGroup
	for nth := range goroutines {
		all.Add(1)
		go func() {
			defer all.Done()
			for range limit / 2 {
				var passed bool
				switch nth % 3 {
				case 0:
					passed = k.Allow("key")
				case 1:
					passed = k.Check("key").Allowed()
				default:
					passed = k.AllowMany(nil, "key")[0]
				}
				if passed {
					admitted.Add(1)
				}
			}
		}()
	}
	all.Wait()
	want(t, "what was admitted", admitted.Load(), limit)
}

func TestLeases(t *testing.T) {
	now := begin
	jobs, err := tollgate.NewLeases(2, time.Minute, tollgate.WithClock(func() time.Time { return now }))
	fails(t, err, nil)
	defer jobs.Close()
	first, d := jobs.Acquire("user")
	want(t, "the first", d.Remaining, 1)
	_, d = jobs.Acquire("user")
	want(t, "the second", d.Outcome, tollgate.Allowed)
	none, d := jobs.Acquire("user")
	want(t, "the third", d.Outcome, tollgate.Later)
	want(t, "its release", none.Release(), false)
	want(t, "the release", first.Release(), true)
	want(t, "a second release", first.Release(), false)
	want(t, "Peek", jobs.Peek("user").Remaining, 1)

	kept, _ := jobs.Acquire("user")
	same := jobs.Lease(kept.ID)
	held, err := same.Renew(30 * time.Second)
	want(t, "Renew", held, true)
	fails(t, err, nil)
	_, err = same.Renew(time.Hour)
	fails(t, err, tollgate.ErrRoom)
	now = now.Add(2 * time.Minute)
	held, err = same.Renew(0)
	want(t, "Renew when it is over", held, false)
	fails(t, err, nil)
	jobs.Acquire("user")
	n, err := jobs.ReleaseAll("user")
	want(t, "ReleaseAll", n, 1)
	fails(t, err, nil)
	gauges, err := jobs.Gauges()
	fails(t, err, nil)
	want(t, "the capacity", gauges.Capacity, 10_000)
}

func TestWait(t *testing.T) {
	k := keyed(t, "20/s burst 1")
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	start := time.Now()
	for range 4 {
		fails(t, k.Wait(ctx, "key"), nil)
	}
	if took := time.Since(start); took < 150*time.Millisecond {
		t.Fatalf("four in %v", took)
	}
	fails(t, k.WaitN(ctx, "key", 2), tollgate.ErrNever)
	slow := keyed(t, "1/min burst 1", tollgate.WithLongestWait(time.Hour))
	fails(t, slow.Wait(ctx, "key"), nil)
	fails(t, slow.Wait(ctx, "key"), tollgate.ErrTooLong)
	// A wait that is broken off gives back what it had.
	broken, stop := context.WithCancel(context.Background())
	time.AfterFunc(20*time.Millisecond, stop)
	fails(t, slow.Wait(broken, "key"), context.Canceled)
	if wait := slow.Reserve("key", 1, time.Hour).Wait; wait > time.Minute {
		t.Fatalf("the next one waits for %v", wait)
	}
	fails(t, slow.Wait(broken, "key"), context.Canceled)
	log := keyed(t, "1/s", tollgate.WithAlgorithm(tollgate.SlidingLog))
	fails(t, log.Wait(ctx, "key"), tollgate.ErrUnsupported)
}
