package tollgate_test

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"tollgate"
)

func TestWhatIsWrongIsAnError(t *testing.T) {
	for _, quota := range []string{"", "10", "10/parsec", "0/s", "10/s burst 0x", "\xff/s", "10/s\x00", strings.Repeat("9", 1000) + "/s"} {
		_, err := tollgate.NewKeyed(quota)
		if err == nil {
			t.Errorf("%q is a quota", quota)
		}
		_, err = tollgate.NewLimiter(quota)
		if err == nil {
			t.Errorf("%q is a quota", quota)
		}
	}
	_, err := tollgate.NewKeyed("10/parsec")
	fails(t, err, tollgate.ErrQuota)
	if !strings.Contains(err.Error(), "unit of time") {
		t.Errorf("%v does not say what is wrong", err)
	}
	for _, quota := range []tollgate.Quota{{}, {Units: 1}, {Units: 1, Period: -1}, {Units: math.MaxUint64, Period: math.MaxInt64, Burst: math.MaxUint64}} {
		if _, err := tollgate.NewKeyedOf(quota); err == nil {
			t.Errorf("%+v is a quota", quota)
		}
	}
	_, err = tollgate.NewKeyed("1/s", tollgate.WithCapacity(math.MaxUint64))
	if err == nil {
		t.Error("there is room for all keys")
	}
	_, err = tollgate.NewKeyed("1/s", tollgate.WithCapacity(0))
	fails(t, err, tollgate.ErrBuild)
	_, err = tollgate.NewLeases(1, time.Second, tollgate.WithCapacity(0))
	fails(t, err, tollgate.ErrBuild)
	_, err = tollgate.NewKeyed("1/s", tollgate.WithAlgorithm(7))
	fails(t, err, tollgate.ErrUnknown)
	_, err = tollgate.NewLeases(1, time.Second, tollgate.WithCounts())
	fails(t, err, tollgate.ErrUnsupported)
	_, err = tollgate.NewLeases(0, 0)
	fails(t, err, tollgate.ErrBuild)
	_, err = tollgate.NewPolicy("", tollgate.WithCapacity(1))
	fails(t, err, tollgate.ErrUnsupported)
	_, err = tollgate.NewKeyed("1/s", tollgate.InRegion(nil, "name"))
	fails(t, err, tollgate.ErrRegion)
	_, err = tollgate.LoadPolicy("/nonexistent")
	fails(t, err, tollgate.ErrFile)
	_, err = tollgate.OpenRegion("/nonexistent/region")
	fails(t, err, tollgate.ErrRegion)
	_, err = tollgate.OpenRegion("a\x00b")
	if err == nil {
		t.Error("a name with a NUL is a file")
	}
	_, err = tollgate.NewPolicy("[[limit]]\nname = 1\n")
	fails(t, err, tollgate.ErrPolicy)
	if !strings.Contains(err.Error(), ":2:8") {
		t.Errorf("%v does not say where", err)
	}
	file := filepath.Join(t.TempDir(), "not a region")
	if err := os.WriteFile(file, []byte(strings.Repeat("x", 8192)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = tollgate.OpenRegion(file)
	fails(t, err, tollgate.ErrRegion)
	_, err = tollgate.RestoreRegion(filepath.Join(t.TempDir(), "restored"), []byte("no snapshot"))
	fails(t, err, tollgate.ErrRegion)
	_, err = tollgate.RestoreRegion(filepath.Join(t.TempDir(), "restored"), nil)
	fails(t, err, tollgate.ErrRegion)
}

// What says no more than the code is not said twice, and nothing is of an earlier failure.
func TestAReasonIsOfItsOwnFailure(t *testing.T) {
	p := policy(t, several)
	for _, limit := range []string{"each", "nothing"} {
		if _, err := tollgate.NewPolicy("[[limit]]\nname = 1\n"); err == nil {
			t.Fatal("that is a policy")
		}
		_, err := p.ReleaseLease(limit, tollgate.LeaseID{})
		fails(t, err, tollgate.ErrName)
		said := err.Error()
		if strings.Count(said, "no such name") != 1 || strings.Contains(said, "line") || strings.Contains(said, ":2:") {
			t.Errorf("of %s: %q", limit, said)
		}
	}

	region, err := tollgate.OpenRegion(filepath.Join(t.TempDir(), "region"))
	fails(t, err, nil)
	defer region.Close()
	_, err = tollgate.NewKeyed("1/s", tollgate.InRegion(region, "seeded"), tollgate.WithSeed(1))
	fails(t, err, tollgate.ErrUnsupported)
	var told *tollgate.Error
	if !errors.As(err, &told) || told.Detail == "" {
		t.Errorf("%v does not say why", err)
	}
}

// Reasons are kept for each thread by the library: none may reach another goroutine. Texts
// that take a while to read, so that goroutines come back on other threads.
func TestReasonsAreOnesOwn(t *testing.T) {
	var limits strings.Builder
	for nth := range 500 {
		fmt.Fprintf(&limits, "[[limit]]\nname = 'limit %d'\nkey = []\nquota = '1/s'\n", nth)
	}
	var all sync.WaitGroup
	for nth := range 16 {
		all.Add(1)
		go func() {
			defer all.Done()
			mine := fmt.Sprintf("reason-%d.", nth)
			for range 5 {
				_, err := tollgate.NewPolicy(limits.String() + "[[limit]]\nquota = '" + mine + "'\n")
				if err == nil || !strings.Contains(err.Error(), mine) {
					t.Errorf("the reason for %s is %v", mine, err)
				}
			}
		}()
	}
	all.Wait()
}

func TestAnyKeyAnyNumberAnyTime(t *testing.T) {
	keys := []string{"", "\x00", "a\x00b", "a\x00c", "\xff\xfe", "é", strings.Repeat("k", 1<<20)}
	times := []tollgate.Instant{0, 1, math.MaxInt64, math.MaxUint64 - 1, math.MaxUint64}
	numbers := []uint64{0, 1, 2, math.MaxInt64, math.MaxUint64}
	for _, algorithm := range []tollgate.Algorithm{tollgate.GCRA, tollgate.SlidingLog, tollgate.SlidingCounter} {
		k := keyed(t, "1/h", tollgate.WithAlgorithm(algorithm))
		for _, key := range keys {
			want(t, fmt.Sprintf("a first check of %.9q", key), k.Allow(key), true)
			want(t, fmt.Sprintf("a second of %.9q", key), k.Allow(key), false)
		}
		many := k.AllowMany(nil, keys...)
		for nth := range keys {
			want(t, "a key of a batch", many[nth], false)
		}
		for _, at := range times {
			for _, n := range numbers {
				d := k.CheckAt("x", n, at)
				if d.Outcome == tollgate.Failed || (n > 1 && d.Outcome != tollgate.Never) {
					t.Fatalf("%d at %d: %+v", n, at, d)
				}
				k.Refund("x", tollgate.Charge{Units: n, At: at})
				k.Settle("x", tollgate.Charge{Units: n, At: at}, math.MaxUint64)
				k.Reserve("x", n, time.Duration(at))
			}
		}
		want(t, "a wait before all time", k.Reserve("y", 1, math.MinInt64).RetryAfter >= 0, true)
	}
	want(t, "an instant before 1970", tollgate.At(time.Unix(-1, 0)), 0)
	want(t, "forever in seconds", tollgate.Seconds(tollgate.Forever), 9223372037)
	want(t, "a moment in seconds", tollgate.Seconds(1), 1)
	want(t, "nothing in seconds", tollgate.Seconds(0), 0)
}

func TestAFullLimiterSaysSo(t *testing.T) {
	for _, deny := range []bool{false, true} {
		options := []tollgate.Option{tollgate.WithCapacity(1)}
		if deny {
			options = append(options, tollgate.DenyWhenFull())
		}
		k := keyed(t, "1/h", options...)
		unaccounted := 0
		for nth := range 1000 {
			if d := k.Check(fmt.Sprint(nth)); d.Unaccounted {
				unaccounted++
				want(t, "a pass without account", d.Allowed(), !deny)
			}
		}
		if unaccounted < 900 {
			t.Fatalf("%d of 1000 keys were not accounted", unaccounted)
		}
	}
}

func TestZeroValuesAreClosed(t *testing.T) {
	var k tollgate.Keyed
	var l tollgate.Limiter
	var s tollgate.Leases
	var p tollgate.Policy
	var r tollgate.Region
	var v tollgate.Verdict
	everythingIsClosed(t, &k, &l, &s, &p, &r)
	want(t, "a zero decision", tollgate.Decision{}.Allowed(), false)
	want(t, "a zero verdict", v.Allowed(), false)
	fails(t, v.Refund(), tollgate.ErrReleased)
	v.Release()
}
