package tollgate

import (
	"context"
	"fmt"
	"time"
)

// Wait waits until one unit of the key may pass; see [Keyed.WaitN].
func (k *Keyed) Wait(ctx context.Context, key string) error { return k.WaitN(ctx, key, 1) }

// WaitN reserves n units of the key, and sleeps for as long as the reservation says: who
// comes first goes first, and nobody is woken in between to ask again. For [GCRA] alone;
// else it returns [ErrUnsupported], without waiting.
//
// It returns at once, and has charged nothing, where the wait would go beyond the context's
// deadline or [WithLongestWait] ([ErrTooLong]), or helps never ([ErrNever]). If the context
// ends meanwhile, the units are given back, and its error is returned; those who reserved
// after it do not move up.
func (k *Keyed) WaitN(ctx context.Context, key string, n uint64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	longest := Forever
	if deadline, ok := ctx.Deadline(); ok {
		longest = time.Until(deadline)
	}
	d := k.Reserve(key, n, longest)
	switch d.Outcome {
	case Allowed:
	case Later:
		return fmt.Errorf("%w: %v more than %v", ErrTooLong, d.RetryAfter, longest)
	case Never:
		return ErrNever
	default:
		return d.Err()
	}
	if d.Wait <= 0 {
		return nil
	}
	timer := time.NewTimer(d.Wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		k.Refund(key, d.Charge)
		return ctx.Err()
	}
}
