package tollgate

import (
	"context"
	"time"
)

// A Limiter holds one thing, such as a whole service, to a quota: a [Keyed] limiter of one
// key. Any number of goroutines may use one at the same time, also while it is closed.
type Limiter struct {
	keyed Keyed
}

// NewLimiter makes a limiter of a quota such as "10/min" or "100/s burst 20". Options and
// errors are those of [NewKeyed].
func NewLimiter(quota string, options ...Option) (*Limiter, error) {
	q, err := ParseQuota(quota)
	if err != nil {
		return nil, err
	}
	return NewLimiterOf(q, options...)
}

// NewLimiterOf is NewLimiter for a quota in numbers.
func NewLimiterOf(quota Quota, options ...Option) (*Limiter, error) {
	keyed, err := NewKeyedOf(quota, append([]Option{WithCapacity(1)}, options...)...)
	if err != nil {
		return nil, err
	}
	l := new(Limiter)
	l.keyed.handle.Store(keyed.handle.Load())
	return l, nil
}

// Allow says whether one unit may pass, and charges it.
func (l *Limiter) Allow() bool { return l.keyed.Allow("") }

// AllowN is Allow for n units, all or none.
func (l *Limiter) AllowN(n uint64) bool { return l.keyed.AllowN("", n) }

// Check decides one unit.
func (l *Limiter) Check() Decision { return l.keyed.Check("") }

// CheckN decides n units, all or none; none is a look.
func (l *Limiter) CheckN(n uint64) Decision { return l.keyed.CheckN("", n) }

// CheckAt is CheckN at an instant of the limiter's clock.
func (l *Limiter) CheckAt(n uint64, at Instant) Decision { return l.keyed.CheckAt("", n, at) }

// Peek is how it stands; nothing is charged.
func (l *Limiter) Peek() Decision { return l.keyed.Peek("") }

// Refund gives a charge back, once; see [Keyed.Refund].
func (l *Limiter) Refund(charge Charge) Decision { return l.keyed.Refund("", charge) }

// Settle corrects a charge that was an estimate; see [Keyed.Settle].
func (l *Limiter) Settle(charge Charge, units uint64) Decision {
	return l.keyed.Settle("", charge, units)
}

// Reserve charges n units for something that is to be done after the decision's Wait; see
// [Keyed.Reserve].
func (l *Limiter) Reserve(n uint64, longest time.Duration) Decision {
	return l.keyed.Reserve("", n, longest)
}

// Wait waits until one unit may pass; see [Keyed.Wait].
func (l *Limiter) Wait(ctx context.Context) error { return l.keyed.Wait(ctx, "") }

// WaitN is Wait for n units.
func (l *Limiter) WaitN(ctx context.Context, n uint64) error { return l.keyed.WaitN(ctx, "", n) }

// Reset makes it as good as new.
func (l *Limiter) Reset() Decision { return l.keyed.Reset("") }

// Now is the limiter's clock.
func (l *Limiter) Now() Instant { return l.keyed.Now() }

// SetQuota replaces the quota; see [Keyed.SetQuota].
func (l *Limiter) SetQuota(quota Quota) error { return l.keyed.SetQuota(quota) }

// Quota is the quota that holds now.
func (l *Limiter) Quota() (Quota, error) { return l.keyed.Quota() }

// Counts are there if the limiter was made [WithCounts].
func (l *Limiter) Counts() (Counts, error) { return l.keyed.Counts() }

// Close ends the limiter; see [Keyed.Close].
func (l *Limiter) Close() error { return l.keyed.Close() }
