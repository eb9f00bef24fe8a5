// tollgate.hpp, all of it.
#include "check.h"
#include <cstdio>
#include <cstring>
#include <string>
#include <tollgate.hpp>
#include <type_traits>
#include <unistd.h>

using namespace std::chrono_literals;

static_assert(!std::is_copy_constructible_v<tollgate::limiter>);
static_assert(std::is_nothrow_move_constructible_v<tollgate::limiter>);
static_assert(!std::is_copy_constructible_v<tollgate::lease>);
static_assert(!std::is_copy_constructible_v<tollgate::region>);
static_assert(std::is_nothrow_move_constructible_v<tollgate::region>);
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
    tollgate_limiter_options counted = tollgate::limiter::options();
    counted.flags = TOLLGATE_COUNT;
    auto many = tollgate::limiter::make("2/h", &counted);
    const tollgate_bytes keys[] = {{"a", 1}, {"b", 1}, {"a", 1}, {"a", 1}};
    std::int32_t outcomes[4];
    CHECK(many->check_many(keys, 4, outcomes).later());
    CHECK(outcomes[2] == TOLLGATE_ALLOWED && outcomes[3] == TOLLGATE_LATER);
    CHECK(many->counts()->denied == 1 && many->gauges()->live_keys == 2 && !own->counts());
    CHECK(many->peek_hash(7).remaining() == 2);
    tollgate_quota quota = *many->quota();
    quota.units = 1;
    quota.burst = 1;
    CHECK(quota.period_ns == 3600000000000 && !many->set_quota(quota));
    CHECK(many->quota()->units == 1);
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
    CHECK(policy->reload_text("x") && !policy->reload_file(STARTER));
    CHECK(tollgate::error::why().find("error: ") != std::string::npos);
    CHECK(policy->limits() > 0 && !policy->limit_name(0).empty());
    CHECK(policy->limit_name(policy->limits()).empty());
    CHECK(policy->gauges(0) && policy->gauges(0)->capacity > 0 && !policy->gauges(99));
    CHECK(policy->explain(request).find("login") != std::string::npos);
    CHECK(!policy->unblock("no such", request));
    CHECK_IS(policy->set_override("login", "x", "9/min").code(), TOLLGATE_ERROR_NAME);
    CHECK_IS(policy->take_override("login", "x").code(), TOLLGATE_ERROR_NAME);
}

static void verdicts() {
    auto policy = tollgate::policy::from_text(
        "[attribute.user]\n"
        "[[limit]]\nname = 'tokens'\nkey = ['user']\nquota = '100/h'\nalgorithm = 'gcra'\n"
        "cost = 'tokens'\noverrides = { by = 'user', root = '500/h' }\nlargest = '1000/h'\n"
        "[[limit]]\nname = 'jobs'\nkey = ['user']\nquota = 1\nalgorithm = 'leases'\nttl = '1 h'\n");
    auto verdict = tollgate::verdict::make();
    CHECK(policy && verdict);
    const tollgate_attribute user[] = {tollgate::attribute(policy->attribute("user"), "ann")};
    const auto tokens = policy->dimension("tokens");
    const tollgate_cost cost[] = {{tokens, 0, 50}};
    auto request = tollgate::request("GET", "/", user, 1);
    request.costs = cost;
    request.cost_count = 1;
    CHECK(verdict->check(*policy, request).allowed());
    CHECK(!verdict->settle(tokens, 20));
    CHECK(verdict->entry(0)->remaining == 80);
    CHECK_IS(verdict->settle(tokens + 1, 20).code(), TOLLGATE_ERROR_ID);
    int fields = 0;
    verdict->fields([&](std::string_view name, std::string_view value) {
        CHECK(!name.empty() && !value.empty());
        fields++;
    });
    CHECK(fields > 0);
    const tollgate_lease lease = verdict->entry(1)->lease;
    CHECK(policy->release("jobs", lease) && !policy->release("jobs", lease));
    CHECK(!policy->release("tokens", lease));
    CHECK(!policy->set_override("tokens", "ann", "200/h"));
    CHECK(verdict->check(*policy, request).allowed() && verdict->entry(0)->limit == 200);
    verdict->release();
    CHECK(!policy->take_override("tokens", "ann"));
    CHECK(verdict->check(*policy, request).later() || verdict->entry(0)->limit == 100);
}

// Files that are gone when the program ends, also by a check that failed.
static const struct files {
    const std::string first = "/tmp/tollgate-plus-" + std::to_string(getpid()) + ".region";
    const std::string copy = first + ".copy", damaged = first + ".damaged";
    ~files() {
        for (const auto *file : {&first, &copy, &damaged}) std::remove(file->c_str());
    }
} files;

static void regions() {
    const auto &[file, copy, damaged] = files;
    std::optional<tollgate::limiter> kept;
    {
        auto region = tollgate::region::open(file);
        CHECK(region);
        const auto empty = region->size();
        auto options = tollgate::limiter::options(*region, "logins");
        options.capacity = 10;
        auto here = tollgate::limiter::make("3/h", &options);
        // Opened again, it is as another process has it.
        auto again = tollgate::region::open(file, 0600);
        options.region = again->get();
        auto there = tollgate::limiter::make("3/h", &options);
        CHECK(here && there);
        CHECK(here->check("ann", 2).allowed());
        CHECK(region->size() > empty);
        CHECK(there->check("ann", 2).later() && there->ask("ann").allowed());
        auto unnamed = tollgate::limiter::options(*region, "");
        CHECK(tollgate::limiter::make("3/h", &unnamed).error().code() == TOLLGATE_ERROR_REGION);
        options.algorithm = TOLLGATE_SLIDING_LOG;
        auto other = tollgate::limiter::make("3/h", &options);
        CHECK(other.error().code() == TOLLGATE_ERROR_REGION);
        CHECK(tollgate::error::why().find("algorithm") != std::string::npos);

        auto jobs_options = tollgate::leases::options(*region, "jobs");
        jobs_options.capacity = 10;
        auto jobs = tollgate::leases::make(1, 1h, &jobs_options);
        auto same_jobs = tollgate::leases::make(1, 1h, &jobs_options);
        CHECK(jobs && same_jobs);
        auto job = jobs->acquire("ann");
        CHECK(job && !same_jobs->acquire("ann"));
        job->release();
        CHECK(same_jobs->acquire("ann"));
        CHECK(tollgate::leases::options().size == sizeof(tollgate_leases_options));

        const auto in = tollgate::policy::options(*region);
        CHECK(in.size == tollgate::policy::options().size && in.region == region->get());
        auto policy = tollgate::policy::from_file(STARTER, &in);
        auto same = tollgate::policy::from_file(STARTER, &in);
        auto verdict = tollgate::verdict::make();
        CHECK(policy && same && verdict);
        const auto ip = policy->attribute("ip");
        const tollgate_attribute from[] = {tollgate::attribute(ip, "192.0.2.1")};
        const auto request = tollgate::request("POST", "/login", from, 1);
        for (int nth = 0; nth < 5; nth++)
            CHECK(verdict->check(nth % 2 == 0 ? *policy : *same, request).allowed());
        CHECK(verdict->check(*same, request).later());
        kept = std::move(*here);

        auto snapshot = region->snapshot();
        CHECK(snapshot && snapshot->size() >= 4096);
        {
            auto restored = tollgate::region::restore(copy, *snapshot);
            auto from_it = tollgate::limiter::options(*restored, "logins");
            from_it.capacity = 10;
            auto restored_logins = tollgate::limiter::make("3/h", &from_it);
            CHECK(restored && restored_logins && restored_logins->ask("ann").later());
            CHECK(restored_logins->ask("eve").allowed());
            // Nobody's, for it is there already.
            CHECK(!tollgate::region::restore(copy, *snapshot));
        }
        (*snapshot)[snapshot->size() / 2] ^= 1;
        const auto broken = tollgate::region::restore(damaged, *snapshot);
        CHECK(broken.error().code() == TOLLGATE_ERROR_REGION);
        auto moved = std::move(*region);
        CHECK(moved.size() > empty && region->size() == 0 && !region->snapshot());
    }
    // What was made in it outlives it.
    CHECK(kept->ask("ann").later() && kept->ask("bob").allowed());
    CHECK(!tollgate::region::open("/nonexistent/region"));
    CHECK(!tollgate::error::why().empty());
    CHECK(!tollgate::region::restore(damaged, "no snapshot"));

    alignas(4096) static unsigned char memory[1 << 19];
    auto mine = tollgate::region::in_memory(memory, sizeof memory);
    CHECK(mine);
    auto options = tollgate::limiter::options(*mine, "mine");
    options.capacity = 10;
    auto limiter = tollgate::limiter::make("1/h", &options);
    CHECK(limiter && limiter->ask("a").allowed() && limiter->ask("a").later());
    CHECK(!tollgate::region::in_memory(nullptr, 0));
    CHECK(access(damaged.c_str(), F_OK) != 0);
}

int main() {
    regions();
    limiters();
    leases();
    policies();
    verdicts();
    std::puts("plus: ok");
}
