package tollgate_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"tollgate"
)

// A child is this program, started again as a worker. It ends when its input does, so
// none outlives the test, whatever happens to it.
const childOf = "TOLLGATE_TEST_REGION"

func TestMain(m *testing.M) {
	if path := os.Getenv(childOf); path != "" {
		go func() {
			time.Sleep(time.Minute)
			os.Exit(3)
		}()
		if err := serve(path, bufio.NewReader(os.Stdin)); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

const (
	crowd = 20_000
	ttl   = 500 * time.Millisecond
)

func inRegion(path string) (*tollgate.Keyed, *tollgate.Policy, *tollgate.Leases, error) {
	region, err := tollgate.OpenRegion(path)
	if err != nil {
		return nil, nil, nil, err
	}
	// What is made in it holds it itself.
	defer region.Close()
	k, err := tollgate.NewKeyed(fmt.Sprintf("%d/h", crowd), tollgate.InRegion(region, "crowd"),
		tollgate.WithAlgorithm(tollgate.SlidingLog), tollgate.WithCapacity(10))
	if err != nil {
		return nil, nil, nil, err
	}
	p, err := tollgate.NewPolicy("[attribute.user]\n[[limit]]\nname = 'each'\nkey = ['user']\nquota = '1000/h'\n",
		tollgate.InRegion(region, ""))
	if err != nil {
		return nil, nil, nil, err
	}
	l, err := tollgate.NewLeases(1, ttl, tollgate.InRegion(region, "jobs"), tollgate.WithCapacity(10))
	return k, p, l, err
}

// serve does what a line of the input says, and answers each with a line.
func serve(path string, input *bufio.Reader) error {
	k, p, l, err := inRegion(path)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	for {
		line, err := input.ReadString('\n')
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		passed := 0
		switch strings.TrimSpace(line) {
		case "crowd":
			for k.Allow("key") {
				passed++
			}
		case "policy":
			passed = all(p)
		case "forever":
			if _, d := l.Acquire("job"); !d.Allowed() {
				return fmt.Errorf("no lease: %v", d.Outcome)
			}
			fmt.Println("begun")
			go func() {
				// The input's end is the end of it.
				io.Copy(io.Discard, input)
				os.Exit(0)
			}()
			for n := 0; ; n++ {
				k.Allow(strconv.Itoa(n % 7))
			}
		}
		fmt.Println(passed)
	}
}

func all(p *tollgate.Policy) (passed int) {
	request := tollgate.Request{Path: "/", Attributes: []tollgate.Attribute{tollgate.Attr("user", "ann")}}
	for {
		v := p.Check(request)
		v.Release()
		if !v.Allowed() {
			return passed
		}
		passed++
	}
}

type child struct {
	command *exec.Cmd
	input   io.WriteCloser
	output  *bufio.Reader
}

func start(t *testing.T, path string) *child {
	t.Helper()
	c := &child{command: exec.CommandContext(t.Context(), os.Args[0])}
	c.command.Env = append(os.Environ(), childOf+"="+path)
	c.command.Stderr = os.Stderr
	c.command.WaitDelay = time.Second
	input, err := c.command.StdinPipe()
	fails(t, err, nil)
	output, err := c.command.StdoutPipe()
	fails(t, err, nil)
	c.input, c.output = input, bufio.NewReader(output)
	fails(t, c.command.Start(), nil)
	t.Cleanup(func() {
		c.command.Process.Kill()
		c.command.Wait()
	})
	c.says(t, "ready")
	return c
}

func (c *child) told(t *testing.T, what string) {
	t.Helper()
	_, err := io.WriteString(c.input, what+"\n")
	fails(t, err, nil)
}

func (c *child) answer(t *testing.T) string {
	t.Helper()
	line, err := c.output.ReadString('\n')
	fails(t, err, nil)
	return strings.TrimSpace(line)
}

func (c *child) says(t *testing.T, what string) {
	t.Helper()
	want(t, "the answer", c.answer(t), what)
}

func TestProcessesAdmitTheLimitTogether(t *testing.T) {
	path := filepath.Join(t.TempDir(), "region")
	workers := []*child{start(t, path), start(t, path)}
	for what, limit := range map[string]int{"crowd": crowd, "policy": 1000} {
		for _, c := range workers {
			c.told(t, what)
		}
		sum := 0
		for _, c := range workers {
			passed, err := strconv.Atoi(c.answer(t))
			fails(t, err, nil)
			t.Logf("%s: %d", what, passed)
			sum += passed
		}
		want(t, what+" in all", sum, limit)
	}
	// Nothing ends with the processes.
	k, p, _, err := inRegion(path)
	fails(t, err, nil)
	want(t, "one more", k.Allow("key"), false)
	want(t, "one more", all(p), 0)
}

func TestAKilledProcessHoldsNobodyUp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "region")
	k, _, l, err := inRegion(path)
	fails(t, err, nil)
	for round := range 5 {
		c := start(t, path)
		told := time.Now()
		c.told(t, "forever")
		c.says(t, "begun")
		if free := l.Peek("job").Remaining; time.Since(told) < ttl {
			want(t, "what the worker's lease leaves", free, 0)
		}
		time.Sleep(time.Duration(round) * 3 * time.Millisecond)
		fails(t, c.command.Process.Kill(), nil)
		c.command.Wait()
		for key := range 7 {
			if left := k.Peek(strconv.Itoa(key)).Remaining; left > 0 {
				want(t, "what is left", k.CheckN(strconv.Itoa(key), left).Allowed(), true)
			}
			want(t, "one more", k.Allow(strconv.Itoa(key)), false)
		}
		for n := 0; ; n++ {
			if lease, d := l.Acquire("job"); d.Allowed() {
				lease.Release()
				break
			}
			if n > 5_000 {
				t.Fatal("its lease does not end")
			}
			time.Sleep(time.Millisecond)
		}
		for key := range 7 {
			k.Reset(strconv.Itoa(key))
		}
	}
}

func TestARegionIsKeptAndRestored(t *testing.T) {
	folder := t.TempDir()
	region, err := tollgate.OpenRegionMode(filepath.Join(folder, "region"), 0o640)
	fails(t, err, nil)
	k := keyed(t, "3/h", tollgate.InRegion(region, "logins"), tollgate.WithCapacity(10))
	want(t, "allowed", k.AllowN("ann", 3), true)
	if region.Size() < 4096 {
		t.Fatal(region.Size())
	}
	snapshot, err := region.Snapshot()
	fails(t, err, nil)
	restored, err := tollgate.RestoreRegion(filepath.Join(folder, "restored"), snapshot)
	fails(t, err, nil)
	same := keyed(t, "3/h", tollgate.InRegion(restored, "logins"), tollgate.WithCapacity(10))
	want(t, "the same state", same.Allow("ann"), false)
	want(t, "a new key", same.Allow("bob"), true)

	// Another configuration is refused, and told.
	_, err = tollgate.NewKeyed("3/h", tollgate.InRegion(region, "logins"), tollgate.WithCapacity(10),
		tollgate.WithAlgorithm(tollgate.SlidingLog))
	fails(t, err, tollgate.ErrRegion)
	if !strings.Contains(err.Error(), "algorithm") {
		t.Fatal(err)
	}
	_, err = tollgate.NewKeyed("3/h", tollgate.InRegion(region, "x"), tollgate.WithSeed(1))
	fails(t, err, tollgate.ErrUnsupported)
	_, err = tollgate.NewKeyed("3/h", tollgate.InRegion(region, "x"), tollgate.WithClock(still))
	fails(t, err, tollgate.ErrUnsupported)
	_, err = tollgate.NewPolicy("", tollgate.InRegion(region, "x"))
	fails(t, err, tollgate.ErrUnsupported)
	snapshot[len(snapshot)/2] ^= 1
	_, err = tollgate.RestoreRegion(filepath.Join(folder, "damaged"), snapshot)
	fails(t, err, tollgate.ErrRegion)
	want(t, "a second Close", region.Close() == nil && region.Close() == nil, true)
	want(t, "without its region", k.Allow("ann"), false)
	want(t, "without its region", k.Allow("eve"), true)
}
