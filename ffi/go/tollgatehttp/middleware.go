// Package tollgatehttp limits the requests to net/http handlers by a policy, or by a
// limiter with a key.
//
// Nothing is wrapped around the ResponseWriter: handlers flush, hijack and set deadlines as
// they would without. Header fields of an allowed request are set before the handler runs,
// which may change them.
package tollgatehttp

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"time"

	"tollgate"
)

// Middleware is what is put around a handler.
type Middleware func(http.Handler) http.Handler

// An Option of a middleware.
type Option func(*config)

type config struct {
	attributes []attribute
	costs      []cost
	units      func(*http.Request) uint64
	denied     func(http.ResponseWriter, *http.Request, *tollgate.Verdict)
	failed     func(http.ResponseWriter, *http.Request, error)
	now        func() time.Time
}

type attribute struct {
	name string
	of   func(*http.Request) string
}

type cost struct {
	dimension string
	of        func(*http.Request) uint64
}

// Attribute tells the policy an attribute of each request, under the name that the file
// has for it: [PeerIP], [Header], [Pattern], or a function of yours. "" is as good as not
// given. What the policy does not name is passed over, and not asked for. For [Policy].
func Attribute(name string, of func(*http.Request) string) Option {
	return func(c *config) { c.attributes = append(c.attributes, attribute{name, of}) }
}

// Cost tells the policy what each request costs in a dimension. For [Policy].
func Cost(dimension string, of func(*http.Request) uint64) Option {
	return func(c *config) { c.costs = append(c.costs, cost{dimension, of}) }
}

// Units is how many units a request takes; else one. For [Keyed].
func Units(of func(*http.Request) uint64) Option {
	return func(c *config) { c.units = of }
}

// OnDenied answers a denied request. The header fields are set already, but for the
// Content-Type of the policy's body; else status and body are the policy's. The verdict is nil for [Keyed].
func OnDenied(answer func(http.ResponseWriter, *http.Request, *tollgate.Verdict)) Option {
	return func(c *config) { c.denied = answer }
}

// OnError answers a request that could not be decided, as the limiter was closed; else it
// is 503 Service Unavailable, and nothing passes.
func OnError(answer func(http.ResponseWriter, *http.Request, error)) Option {
	return func(c *config) { c.failed = answer }
}

func configured(options []Option) *config {
	c := &config{now: time.Now, failed: func(w http.ResponseWriter, _ *http.Request, _ error) {
		http.Error(w, http.StatusText(http.StatusServiceUnavailable), http.StatusServiceUnavailable)
	}}
	for _, option := range options {
		option(c)
	}
	return c
}

type verdictKey struct{}

// Verdict is what the policy said of the request that the handler serves, for
// [tollgate.Verdict.Settle] or [tollgate.Verdict.Refund] once its cost is known; nil
// outside of [Policy]. It is released when the handler returns.
func Verdict(r *http.Request) *tollgate.Verdict {
	v, _ := r.Context().Value(verdictKey{}).(*tollgate.Verdict)
	return v
}

// Policy limits requests by a policy: it is told method, host and path (as the router sees
// it, escaped), and the attributes and costs that options tell. Header fields are set by the
// policy's dialect on allowed and denied answers, and denials have its status and body.
//
// Leases are held until the handler returns, or panics: also that of a connection which was
// hijacked, and goes on.
func Policy(policy *tollgate.Policy, options ...Option) Middleware {
	c := configured(options)
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c.byPolicy(policy, next, w, r)
		})
	}
}

// few attributes and costs are told without memory from the heap.
const few = 8

func (c *config) byPolicy(policy *tollgate.Policy, next http.Handler, w http.ResponseWriter, r *http.Request) {
	var attributes [few]tollgate.Attribute
	var costs [few]tollgate.Cost
	request := tollgate.Request{
		Method:     r.Method,
		Host:       r.Host,
		Path:       r.URL.EscapedPath(),
		Attributes: attributes[:0],
		Costs:      costs[:0],
	}
	for _, a := range c.attributes {
		if policy.Knows(a.name) {
			request.Attributes = append(request.Attributes, tollgate.Attr(a.name, a.of(r)))
		}
	}
	for _, a := range c.costs {
		request.Costs = append(request.Costs, tollgate.Costs(a.dimension, a.of(r)))
	}
	verdict := policy.Check(request)
	defer verdict.Release()
	if err := verdict.Err(); err != nil {
		c.failed(w, r, err)
		return
	}
	// What was there comes back where the body is not the policy's: its type is of that.
	before := w.Header()["Content-Type"]
	own := func() {
		if before == nil {
			w.Header().Del("Content-Type")
		} else {
			w.Header()["Content-Type"] = before
		}
	}
	if err := verdict.Fields(w.Header().Set); err != nil {
		own()
		c.failed(w, r, err)
		return
	}
	if verdict.Allowed() {
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), verdictKey{}, verdict)))
		return
	}
	if c.denied != nil {
		own()
		c.denied(w, r, verdict)
		return
	}
	body, err := verdict.Body()
	if err != nil {
		own()
		c.failed(w, r, err)
		return
	}
	deny(w, verdict.Status, body)
}

// deny answers with that status and body; the body's type is set already, if it has one.
func deny(w http.ResponseWriter, status int, body string) {
	if w.Header().Get("Content-Type") == "" && body != "" {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	}
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	// Nobody is left to tell.
	_, _ = io.WriteString(w, body)
}

// Keyed limits requests by a limiter: each by the key of the request, such as [ByIP]. A
// request without a key ("") is limited as one client with all others of that kind. Answers
// have X-RateLimit-Limit, -Remaining and -Reset (Unix time, in seconds), and denials
// Retry-After; a policy can say it in other ways.
func Keyed(limiter *tollgate.Keyed, key func(*http.Request) string, options ...Option) Middleware {
	c := configured(options)
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			units := uint64(1)
			if c.units != nil {
				units = c.units(r)
			}
			decision := limiter.CheckN(key(r), units)
			if err := decision.Err(); err != nil {
				c.failed(w, r, err)
				return
			}
			c.tell(w.Header(), decision)
			switch {
			case decision.Allowed():
				next.ServeHTTP(w, r)
			case c.denied != nil:
				c.denied(w, r, nil)
			default:
				deny(w, http.StatusTooManyRequests, http.StatusText(http.StatusTooManyRequests)+"\n")
			}
		})
	}
}

func (c *config) tell(header http.Header, d tollgate.Decision) {
	header.Set("X-Ratelimit-Limit", strconv.FormatUint(d.Limit, 10))
	header.Set("X-Ratelimit-Remaining", strconv.FormatUint(d.Remaining, 10))
	if d.ResetAfter != tollgate.Forever {
		at := c.now().Add(d.ResetAfter)
		reset := at.Unix()
		if at.Nanosecond() > 0 {
			reset++
		}
		header.Set("X-Ratelimit-Reset", strconv.FormatInt(reset, 10))
	}
	if d.Outcome == tollgate.Later && d.RetryAfter != tollgate.Forever {
		header.Set("Retry-After", strconv.FormatInt(d.RetryAfterSeconds(), 10))
	}
}
