package tollgate_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"tollgate"
)

// begin is when the clocks of these tests start.
var begin = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

// still is a clock that stands still: time is given.
func still() time.Time { return begin }

func keyed(t testing.TB, quota string, options ...tollgate.Option) *tollgate.Keyed {
	t.Helper()
	k, err := tollgate.NewKeyed(quota, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Close() })
	return k
}

// gcra is the formula as it is written down, in ticks of 1/16 ns.
type gcra struct{ emission, burst, tat int64 }

func (g *gcra) check(now, n int64) (outcome tollgate.Outcome, remaining, retry int64) {
	said := tollgate.Allowed
	next := max(g.tat, now) + n*g.emission
	switch {
	case n > g.burst:
		said = tollgate.Never
	case next-now > g.burst*g.emission:
		said = tollgate.Later
		retry = (next - now - g.burst*g.emission + 15) / 16
	default:
		g.tat = next
	}
	left := (now + g.burst*g.emission - max(g.tat, now)) / g.emission
	return said, min(max(left, 0), g.burst), retry
}

func TestGCRAIsTheFormula(t *testing.T) {
	const capacity, keys, steps = 100, 10, 20_000
	k := keyed(t, "7/s burst 5", tollgate.WithCapacity(capacity), tollgate.WithClock(still))
	random := rand.New(rand.NewPCG(1, 2))
	states := make([]gcra, keys)
	for nth := range states {
		states[nth] = gcra{emission: (16_000_000_000 + 6) / 7, burst: 5}
	}
	var now int64
	for step := range steps {
		now += random.Int64N(30_000_000)
		which, n := random.IntN(keys), 1+random.Int64N(6)
		d := k.CheckAt(fmt.Sprint(which), uint64(n), tollgate.At(begin.Add(time.Duration(now))))
		outcome, remaining, retry := states[which].check(now*16, n)
		if d.Outcome != outcome || d.Remaining != uint64(remaining) || d.Limit != 5 {
			t.Fatalf("step %d: %+v, but it should be %v with %d left", step, d, outcome, remaining)
		}
		if outcome == tollgate.Later && d.RetryAfter != time.Duration(retry) {
			t.Fatalf("step %d: wait %v, not %v", step, d.RetryAfter, time.Duration(retry))
		}
		if outcome == tollgate.Never && d.RetryAfter != tollgate.Forever {
			t.Fatalf("step %d: never, and yet to wait %v", step, d.RetryAfter)
		}
	}
}

func TestSlidingLogIsASortedList(t *testing.T) {
	const limit, period, steps = 4, int64(time.Second), 20_000
	k := keyed(t, "4/s", tollgate.WithAlgorithm(tollgate.SlidingLog), tollgate.WithClock(still))
	random := rand.New(rand.NewPCG(3, 4))
	var stamps []int64
	now := int64(1)
	for step := range steps {
		now += random.Int64N(400_000_000)
		n := 1 + random.IntN(limit)
		d := k.CheckAt("key", uint64(n), tollgate.At(begin.Add(time.Duration(now))))
		for len(stamps) > 0 && stamps[0] <= now-period {
			stamps = stamps[1:]
		}
		allowed := len(stamps)+n <= limit
		if allowed {
			for range n {
				stamps = append(stamps, now)
			}
		}
		if d.Allowed() != allowed || d.Remaining != uint64(limit-len(stamps)) {
			t.Fatalf("step %d: %+v, but %v with %d kept", step, d, allowed, len(stamps))
		}
		if !allowed {
			// As many must leave as are too many.
			leaves := stamps[len(stamps)+n-limit-1] + period - now
			if d.RetryAfter != time.Duration(leaves) {
				t.Fatalf("step %d: wait %v, not %v", step, d.RetryAfter, time.Duration(leaves))
			}
		}
	}
}

func TestBatchesAreChecksOneByOne(t *testing.T) {
	options := []tollgate.Option{tollgate.WithClock(still), tollgate.WithSeed(7)}
	many, single := keyed(t, "3/min", options...), keyed(t, "3/min", options...)
	brief := keyed(t, "3/min", options...)
	random := rand.New(rand.NewPCG(5, 6))
	var decisions []tollgate.Decision
	var outcomes []bool
	for _, size := range []int{0, 1, 63, 64, 65, 300} {
		names := make([]string, size)
		for nth := range names {
			names[nth] = string(make([]byte, random.IntN(100))) + fmt.Sprint(random.IntN(20))
		}
		decisions, outcomes = many.CheckMany(decisions[:0], names...), brief.AllowMany(outcomes[:0], names...)
		if len(decisions) != size || len(outcomes) != size {
			t.Fatalf("%d and %d answers for %d keys", len(decisions), len(outcomes), size)
		}
		for nth, name := range names {
			if d := single.Check(name); d != decisions[nth] || d.Allowed() != outcomes[nth] {
				t.Fatalf("key %d of %d: %+v and %v, one by one %+v", nth, size, decisions[nth], outcomes[nth], d)
			}
		}
	}
}
