// Measures a decision beside what Go people use for one: in rounds, in each of which all
// take their turn, so that a machine that is slow for a while is so for all of them. Says
// medians, and the median of the ratios round by round.
package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"golang.org/x/time/rate"

	"tollgate"
)

// A contender decides about the nth key; `keys` is how many at once.
type contender struct {
	name   string
	decide func(n int)
	keys   int
}

// more are contenders that are there only if they could be had.
var more []func(keys []string) contender

func must(ok bool) {
	if !ok {
		panic("it was denied")
	}
}

func keyed(keys []string) *tollgate.Keyed {
	k, err := tollgate.NewKeyed("1000000000/s", tollgate.WithCapacity(uint64(len(keys))))
	if err != nil {
		panic(err)
	}
	return k
}

// A locked map is what most programs have.
type locked struct {
	lock     sync.Mutex
	limiters map[string]*rate.Limiter
}

func (l *locked) get(key string) *rate.Limiter {
	l.lock.Lock()
	defer l.lock.Unlock()
	limiter, ok := l.limiters[key]
	if !ok {
		limiter = unlimited()
		l.limiters[key] = limiter
	}
	return limiter
}

func unlimited() *rate.Limiter { return rate.NewLimiter(1e9, 1e9) }

func ofOne([]string) []contender {
	l, err := tollgate.NewLimiter("1000000000/s")
	if err != nil {
		panic(err)
	}
	peer := unlimited()
	return []contender{
		{"tollgate Allow", func(int) { must(l.Allow()) }, 1},
		{"tollgate Check", func(int) { must(l.Check().Allowed()) }, 1},
		{"x/time/rate", func(int) { must(peer.Allow()) }, 1},
		{"a cgo call", func(int) { must(cgo()) }, 1},
	}
}

func ofMany(keys []string) []contender {
	k := keyed(keys)
	maps := &locked{limiters: make(map[string]*rate.Limiter)}
	var shared sync.Map
	all := []contender{
		{"tollgate Allow", func(n int) { must(k.Allow(keys[n])) }, 1},
		{"tollgate Check", func(n int) { must(k.Check(keys[n]).Allowed()) }, 1},
		{"x/time/rate, a locked map", func(n int) { must(maps.get(keys[n]).Allow()) }, 1},
		{"x/time/rate, a sync.Map", func(n int) {
			limiter, ok := shared.Load(keys[n])
			if !ok {
				limiter, _ = shared.LoadOrStore(keys[n], unlimited())
			}
			must(limiter.(*rate.Limiter).Allow())
		}, 1},
	}
	for _, one := range more {
		all = append(all, one(keys))
	}
	batches := sync.Pool{New: func() any { return new([]bool) }}
	return append(all,
		contender{"tollgate AllowMany of 64", func(n int) {
			outcomes := batches.Get().(*[]bool)
			from := n % (len(keys) - 63)
			*outcomes = k.AllowMany((*outcomes)[:0], keys[from:from+64]...)
			must((*outcomes)[0])
			batches.Put(outcomes)
		}, 64},
		contender{"a cgo call", func(int) { must(cgo()) }, 1})
}

// measured is nanoseconds of wall time for each decision of all goroutines together.
func measured(c contender, keys, goroutines int, about time.Duration, order []int32) float64 {
	turn := func(count, from int) {
		for nth := range count {
			c.decide(int(order[(from+nth)%len(order)]))
		}
	}
	// As many as take about so long.
	count := 200
	for {
		begun := time.Now()
		turn(count, 0)
		if took := time.Since(begun); took > about/20 {
			count = max(int(float64(count)*float64(about)/float64(took)), 1)
			break
		}
		count *= 4
	}
	var all sync.WaitGroup
	begin := make(chan struct{})
	for nth := range goroutines {
		all.Add(1)
		go func() {
			defer all.Done()
			<-begin
			turn(count, nth*len(order)/goroutines)
		}()
	}
	begun := time.Now()
	close(begin)
	all.Wait()
	return float64(time.Since(begun).Nanoseconds()) / float64(count*goroutines*c.keys)
}

func median(values []float64) float64 {
	slices.Sort(values)
	middle := len(values) / 2
	if len(values)%2 == 1 {
		return values[middle]
	}
	return (values[middle-1] + values[middle]) / 2
}

func main() {
	quick := flag.Bool("quick", false, "few and short rounds: to see that it works, not for figures")
	rounds := flag.Int("rounds", 11, "how many rounds")
	flag.Parse()
	about := 100 * time.Millisecond
	if *quick {
		*rounds, about = 3, 5*time.Millisecond
	}
	fmt.Printf("%s, %s, %d rounds of %v each, %d processors\n",
		runtime.Version(), tollgate.Version(), *rounds, about, runtime.GOMAXPROCS(0))
	fmt.Println("Nanoseconds a decision, medians; in brackets how many times tollgate Allow's, the median of the ratios.")
	fmt.Println("All keys are known and allowed. In parallel: wall time of all goroutines together.")
	for _, scene := range []struct {
		name       string
		keys       int
		goroutines int
		contenders func([]string) []contender
	}{
		{"one limiter", 1, 1, ofOne},
		{"one limiter, in parallel", 1, runtime.GOMAXPROCS(0), ofOne},
		{"1,000 keys", 1_000, 1, ofMany},
		{"1,000 keys, in parallel", 1_000, runtime.GOMAXPROCS(0), ofMany},
		{"100,000 keys", 100_000, 1, ofMany},
	} {
		run(scene.name, scene.keys, scene.goroutines, *rounds, about, scene.contenders)
	}
}

func run(name string, count, goroutines, rounds int, about time.Duration, contend func([]string) []contender) {
	random := rand.New(rand.NewPCG(1, uint64(count)))
	var keys []string
	var order []int32
	for nth := range count {
		keys = append(keys, fmt.Sprintf("203.0.113.7/%06d", nth))
		order = append(order, int32(nth))
	}
	random.Shuffle(count, func(a, b int) { order[a], order[b] = order[b], order[a] })
	contenders := contend(keys)
	for _, c := range contenders {
		for nth := range count {
			c.decide(nth)
		}
	}
	times := map[string][]float64{}
	ratios := map[string][]float64{}
	for round := range rounds {
		took := map[string]float64{}
		for nth := range contenders {
			// Whoever is first in a round is first in no other.
			c := contenders[(nth+round)%len(contenders)]
			took[c.name] = measured(c, count, goroutines, about, order)
		}
		for name, ns := range took {
			times[name] = append(times[name], ns)
			ratios[name] = append(ratios[name], ns/took[contenders[0].name])
		}
	}
	fmt.Printf("\n%s\n%s\n", name, strings.Repeat("-", len(name)))
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, c := range contenders {
		fmt.Fprintf(table, "%s\t%.1f\t(%.2f)\t\n", c.name, median(times[c.name]), median(ratios[c.name]))
	}
	table.Flush()
}
