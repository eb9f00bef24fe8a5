// tollgate.hpp, all of it.
#include "check.h"
#include <cstring>
#include <string>
#include <tollgate.hpp>
#include <type_traits>

using namespace std::chrono_literals;

static_assert(!std::is_copy_constructible_v<tollgate::limiter>);
static_assert(std::is_nothrow_move_constructible_v<tollgate::limiter>);
static_assert(!std::is_copy_constructible_v<tollgate::lease>);
static_assert(noexcept(tollgate_limiter_check(nullptr, nullptr, 0, nullptr)));

static void limiters() {
    auto options = tollgate::limiter::options();
    options.flags = TOLLGATE_FROM_EPOCH;
    auto made = tollgate::limiter::make("10/s", &options);
    CHECK(made);
    const tollgate::limiter limiter = std::move(*made);
    auto said = limiter.check("key", 10, 0);
    CHECK(said.allowed() && said.remaining() == 0 && said.limit() == 10);
    said = limiter.check("key", 1, 0);
    CHECK(said.later() && !said.allowed() && said.retry_after() == 100ms);
    CHECK(limiter.check("key", 11, 0).never());
    CHECK(!limiter.check("key", 11, 0).retry_after());
    CHECK(limiter.check_hash(1, 1, 0).allowed());
    said = limiter.check(std::string_view(), 4, 0);
    CHECK(said.allowed() && said.charge().units == 4);
    tollgate_charge charge = said.charge();
    CHECK(limiter.settle("", charge, 6, 0).remaining() == 4);
    CHECK(limiter.refund("", charge, 0).remaining() == 10);
    CHECK(limiter.peek("", 0).remaining() == 10);
    CHECK(limiter.reserve("", 10, 0s, 0).allowed());
    CHECK(limiter.reserve("", 1, 1s, 0).numbers().wait_ns == 100000000);
    CHECK(limiter.reset("", 0).remaining() == 10);
    auto own = tollgate::limiter::make("1/h");
    CHECK(own && own->ask("a").allowed() && own->ask("a").later());

    auto wrong = tollgate::limiter::make("10/parsec");
    CHECK(!wrong && wrong.error().code() == TOLLGATE_ERROR_QUOTA);
    CHECK(!tollgate::error::why().empty() && std::strlen(wrong.error().text()) > 0);
    // Moved from: an error, and no crash.
    CHECK(made->ask("a").failed());
}

static void leases() {
    auto jobs = tollgate::leases::make(1, 1h);
    CHECK(jobs);
    {
        auto first = jobs->acquire("user");
        CHECK(first && first->renew());
        auto second = jobs->acquire("user");
        CHECK(!second && second.error().code() == TOLLGATE_LATER);
        tollgate::lease moved = std::move(*first);
        CHECK(moved.renew() && !first->renew());
    }
    auto third = jobs->acquire("user");
    CHECK(third);
    const tollgate_lease kept = third->detach();
    CHECK(!jobs->acquire("user"));
    CHECK_IS(tollgate_leases_release(jobs->get(), &kept, TOLLGATE_NOW), TOLLGATE_OK);
}

static void policies() {
    CHECK(!tollgate::policy::from_file("/nonexistent"));
    auto policy = tollgate::policy::from_file(STARTER);
    auto verdict = tollgate::verdict::make();
    CHECK(policy && verdict);
    const auto ip = policy->attribute("ip");
    CHECK(ip != TOLLGATE_NO_ID && policy->attribute("no") == TOLLGATE_NO_ID);
    CHECK(policy->dimension("no") == TOLLGATE_NO_ID);
    CHECK(!verdict->summary());
    const tollgate_attribute attributes[] = {tollgate::attribute(ip, "203.0.113.7")};
    const auto request = tollgate::request("POST", "/login", attributes, 1);
    for (int nth = 0; nth < 5; nth++) CHECK(verdict->check(*policy, request).allowed());
    CHECK(verdict->check(*policy, request).later());
    const auto summary = verdict->summary();
    CHECK(summary && summary->status == 429);
    const auto entry = verdict->entry(summary->binding);
    CHECK(entry && tollgate::view(entry->name) == "login");
    CHECK(verdict->headers().find("Retry-After: ") != std::string::npos);
    CHECK(verdict->body().find("Rate limit exceeded") != std::string::npos);
    verdict->release();
    verdict->refund();
    CHECK_IS(policy->reload_file(STARTER).code(), TOLLGATE_OK);
    CHECK_IS(policy->reload_text("x").code(), TOLLGATE_ERROR_POLICY);
}

int main() {
    limiters();
    leases();
    policies();
    std::puts("plus: ok");
}
