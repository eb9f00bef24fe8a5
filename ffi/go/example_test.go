package tollgate_test

import (
	"fmt"
	"log"
	"time"

	"tollgate"
)

func ExampleNewKeyed() {
	limiter, err := tollgate.NewKeyed("10/h", tollgate.WithCapacity(100_000))
	if err != nil {
		log.Fatal(err)
	}
	defer limiter.Close()
	for limiter.Allow("203.0.113.7") {
	}
	d := limiter.Check("203.0.113.7")
	fmt.Println(d.Outcome, d.Remaining, "of", d.Limit, "left; again in", d.RetryAfter.Round(time.Minute))
	fmt.Println(limiter.Check("198.51.100.1").Outcome)
	// Output:
	// later 0 of 10 left; again in 6m0s
	// allowed
}

func ExampleKeyed_Settle() {
	tokens, err := tollgate.NewKeyed("1000/h")
	if err != nil {
		log.Fatal(err)
	}
	defer tokens.Close()
	// An estimate, corrected once the cost is known; a failure, given back.
	d := tokens.CheckN("acme", 200)
	d = tokens.Settle("acme", d.Charge, 350)
	fmt.Println(d.Remaining)
	fmt.Println(tokens.Refund("acme", d.Charge).Remaining)
	// Output:
	// 650
	// 1000
}

func ExampleLeases() {
	jobs, err := tollgate.NewLeases(1, time.Minute)
	if err != nil {
		log.Fatal(err)
	}
	defer jobs.Close()
	work := func() {
		lease, d := jobs.Acquire("acme")
		if !d.Allowed() {
			fmt.Println("busy")
			return
		}
		defer lease.Release()
		fmt.Println("working")
		if _, d := jobs.Acquire("acme"); !d.Allowed() {
			fmt.Println("one at a time")
		}
	}
	work()
	work()
	// Output:
	// working
	// one at a time
	// working
	// one at a time
}

func ExampleLoadPolicy() {
	policy, err := tollgate.LoadPolicy("../../examples/policies/starter.toml")
	if err != nil {
		log.Fatal(err) // every mistake, with its line
	}
	defer policy.Close()
	request := tollgate.Request{Method: "POST", Path: "/login",
		Attributes: []tollgate.Attribute{tollgate.Attr("ip", "203.0.113.7")}}
	for range 6 {
		verdict := policy.Check(request)
		if verdict.Allowed() {
			fmt.Println("served")
		} else {
			limit, _ := verdict.Binding()
			fmt.Println(verdict.Status, "by", limit.Name)
		}
		verdict.Release()
	}
	// Output:
	// served
	// served
	// served
	// served
	// served
	// 429 by login
}
