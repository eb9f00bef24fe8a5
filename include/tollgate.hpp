// tollgate for C++17 and later: handles that end themselves, over tollgate.h, which says what
// holds for all of it. Nothing here throws, but for the making of texts: `why`, `headers`,
// `fields`, `body`, `explain`, `limit_name` and `snapshot`; checks allocate nothing.
//
//     auto limiter = tollgate::limiter::make("10/min");
//     if (!limiter) return fail(tollgate::error::why());
//     if (auto said = limiter->check("203.0.113.7"); !said.allowed()) ...
#ifndef TOLLGATE_HPP
#define TOLLGATE_HPP

#include <tollgate.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tollgate {

// A code, which is true if it is an error: negative. `text` is what it means, `why` what was wrong: to be asked
// before the same thread fails again.
class [[nodiscard]] error {
public:
    explicit error(std::int32_t code) noexcept : code_(code) {}
    std::int32_t code() const noexcept { return code_; }
    explicit operator bool() const noexcept { return code_ < 0; }
    const char *text() const noexcept { return tollgate_status_text(code_); }
    static std::string why() {
        std::size_t needed = 0;
        tollgate_last_error(nullptr, 0, &needed);
        std::string text(needed + 1, '\0');
        tollgate_last_error(text.data(), text.size(), nullptr);
        text.resize(needed);
        return text;
    }

private:
    std::int32_t code_;
};

// A value, or why there is none.
template <class T> class [[nodiscard]] result {
public:
    result(T value) noexcept : value_(std::move(value)) {}
    result(tollgate::error error) noexcept : error_(error) {}
    explicit operator bool() const noexcept { return value_.has_value(); }
    T &operator*() noexcept { return *value_; }
    const T &operator*() const noexcept { return *value_; }
    T *operator->() noexcept { return &*value_; }
    const T *operator->() const noexcept { return &*value_; }
    // TOLLGATE_OK if there is a value.
    tollgate::error error() const noexcept { return error_; }

private:
    std::optional<T> value_;
    tollgate::error error_{TOLLGATE_OK};
};

namespace detail {
template <class T, void (*End)(T *)> struct ending {
    void operator()(T *handle) const noexcept { End(handle); }
};
template <class T> T sized() noexcept {
    T value{};
    value.size = sizeof value;
    return value;
}
// A text that a function writes to a buffer; empty after an error.
template <class Render> std::string rendered(Render render) {
    std::size_t needed = 0;
    render(nullptr, 0, &needed);
    std::string text(needed + 1, '\0');
    if (render(text.data(), text.size(), &needed) != TOLLGATE_OK) needed = 0;
    text.resize(needed);
    return text;
}
inline tollgate_bytes bytes(std::string_view text) noexcept {
    return {text.data(), text.size()};
}
inline std::optional<std::chrono::nanoseconds> wait(std::int32_t code, std::uint64_t ns) noexcept {
    if (code != TOLLGATE_LATER || ns == TOLLGATE_FOREVER) return std::nullopt;
    return std::chrono::nanoseconds(static_cast<std::int64_t>(ns >> 63 ? INT64_MAX : ns));
}
} // namespace detail

// Whatever a check returned: allowed, denied, or an error (which allows nothing).
class [[nodiscard]] outcome {
public:
    explicit outcome(std::int32_t code) noexcept : code_(code) {}
    bool allowed() const noexcept { return code_ == TOLLGATE_ALLOWED; }
    // Denied for now; `decision::retry_after` tells how long.
    bool later() const noexcept { return code_ == TOLLGATE_LATER; }
    bool never() const noexcept { return code_ == TOLLGATE_NEVER; }
    bool failed() const noexcept { return code_ < 0; }
    std::int32_t code() const noexcept { return code_; }

private:
    std::int32_t code_;
};

// An outcome with all its numbers, which are those of tollgate_decision.
class decision : public outcome {
public:
    decision(std::int32_t code, const tollgate_decision &numbers) noexcept
        : outcome(code), numbers_(numbers) {}
    const tollgate_decision &numbers() const noexcept { return numbers_; }
    std::uint64_t limit() const noexcept { return numbers_.limit; }
    std::uint64_t remaining() const noexcept { return numbers_.remaining; }
    std::optional<std::chrono::nanoseconds> retry_after() const noexcept {
        return detail::wait(code(), numbers_.retry_after_ns);
    }
    const tollgate_charge &charge() const noexcept { return numbers_.charge; }

private:
    tollgate_decision numbers_;
};

// A tollgate_region. Threads: any, at the same time. What is made in it may outlive it.
class region {
public:
    // The file of that name is opened, or made with that mode; 0 means 0600.
    static result<region> open(std::string_view name, std::uint32_t mode = 0) noexcept {
        tollgate_region *handle = nullptr;
        const std::int32_t code = tollgate_region_open(name.data(), name.size(), mode, &handle);
        return made(code, handle);
    }
    // In memory that several processes have, and that stays for as long as anything in it.
    static result<region> in_memory(void *memory, std::size_t size) noexcept {
        tollgate_region *handle = nullptr;
        const std::int32_t code = tollgate_region_in_memory(memory, size, &handle);
        return made(code, handle);
    }
    // Of a snapshot, in the file of that name, which must not be there yet.
    static result<region> restore(std::string_view name, std::string_view snapshot) noexcept {
        tollgate_region *handle = nullptr;
        const std::int32_t code = tollgate_region_restore(
            name.data(), name.size(), snapshot.data(), snapshot.size(), &handle);
        return made(code, handle);
    }
    tollgate_region *get() const noexcept { return handle_.get(); }
    // Bytes in use.
    std::uint64_t size() const noexcept { return tollgate_region_size(get()); }
    // All that is in it, as bytes; nothing after an error. Others may decide meanwhile.
    std::optional<std::string> snapshot() const {
        std::string bytes;
        std::size_t needed = 0;
        for (;;) {
            const std::int32_t code =
                tollgate_region_snapshot(get(), reinterpret_cast<std::uint8_t *>(bytes.data()),
                                         bytes.size(), &needed);
            if (code != TOLLGATE_OK && code != TOLLGATE_ERROR_BUFFER) return std::nullopt;
            bytes.resize(needed);
            if (code == TOLLGATE_OK) return bytes;
        }
    }

private:
    explicit region(tollgate_region *handle) noexcept : handle_(handle) {}
    static result<region> made(std::int32_t code, tollgate_region *handle) noexcept {
        if (code != TOLLGATE_OK) return tollgate::error(code);
        return region(handle);
    }
    std::unique_ptr<tollgate_region, detail::ending<tollgate_region, tollgate_region_free>>
        handle_;
};

// A tollgate_limiter. Threads: any, at the same time.
class limiter {
public:
    static result<limiter> make(std::string_view quota,
                                const tollgate_limiter_options *options = nullptr) noexcept {
        tollgate_limiter *handle = nullptr;
        const std::int32_t code =
            tollgate_limiter_new(quota.data(), quota.size(), options, &handle);
        if (code != TOLLGATE_OK) return tollgate::error(code);
        return limiter(handle);
    }
    // Options with their size, and all else 0.
    static tollgate_limiter_options options() noexcept {
        return detail::sized<tollgate_limiter_options>();
    }
    // The same for a limiter in a region, under a name that lives until it was made.
    static tollgate_limiter_options options(const region &in, std::string_view name) noexcept {
        auto options = limiter::options();
        options.region = in.get();
        options.name = detail::bytes(name);
        return options;
    }
    tollgate_limiter *get() const noexcept { return handle_.get(); }

    // Whether it may pass, and nothing else: the cheapest question.
    outcome ask(std::string_view key) const noexcept {
        return outcome(tollgate_limiter_check(get(), key.data(), key.size(), nullptr));
    }
    decision check(std::string_view key, std::uint64_t units = 1,
                   std::uint64_t now_ns = TOLLGATE_NOW) const noexcept {
        auto numbers = detail::sized<tollgate_decision>();
        const std::int32_t code = tollgate_limiter_check_at(get(), key.data(), key.size(), units,
                                                            now_ns, &numbers);
        return {code, numbers};
    }
    decision check_hash(std::uint64_t hash, std::uint64_t units = 1,
                        std::uint64_t now_ns = TOLLGATE_NOW) const noexcept {
        auto numbers = detail::sized<tollgate_decision>();
        const std::int32_t code =
            tollgate_limiter_check_hash(get(), hash, units, now_ns, &numbers);
        return {code, numbers};
    }
    decision peek(std::string_view key, std::uint64_t now_ns = TOLLGATE_NOW) const noexcept {
        auto numbers = detail::sized<tollgate_decision>();
        const std::int32_t code =
            tollgate_limiter_peek(get(), key.data(), key.size(), now_ns, &numbers);
        return {code, numbers};
    }
    decision refund(std::string_view key, const tollgate_charge &charge,
                    std::uint64_t now_ns = TOLLGATE_NOW) const noexcept {
        auto numbers = detail::sized<tollgate_decision>();
        const std::int32_t code =
            tollgate_limiter_refund(get(), key.data(), key.size(), &charge, now_ns, &numbers);
        return {code, numbers};
    }
    decision settle(std::string_view key, tollgate_charge &charge, std::uint64_t units,
                    std::uint64_t now_ns = TOLLGATE_NOW) const noexcept {
        auto numbers = detail::sized<tollgate_decision>();
        const std::int32_t code = tollgate_limiter_settle(get(), key.data(), key.size(), &charge,
                                                          units, now_ns, &numbers);
        return {code, numbers};
    }
    decision reserve(std::string_view key, std::uint64_t units, std::chrono::nanoseconds longest,
                     std::uint64_t now_ns = TOLLGATE_NOW) const noexcept {
        auto numbers = detail::sized<tollgate_decision>();
        const auto most = longest.count() < 0 ? 0 : static_cast<std::uint64_t>(longest.count());
        const std::int32_t code = tollgate_limiter_reserve(get(), key.data(), key.size(), units,
                                                           most, now_ns, &numbers);
        return {code, numbers};
    }
    decision peek_hash(std::uint64_t hash, std::uint64_t now_ns = TOLLGATE_NOW) const noexcept {
        auto numbers = detail::sized<tollgate_decision>();
        const std::int32_t code = tollgate_limiter_peek_hash(get(), hash, now_ns, &numbers);
        return {code, numbers};
    }
    // One unit for each of many keys: into `outcomes`, an array of as many, what each was told;
    // returned, the worst.
    outcome check_many(const tollgate_bytes *keys, std::size_t count, std::int32_t *outcomes,
                       std::uint64_t now_ns = TOLLGATE_NOW) const noexcept {
        return outcome(tollgate_limiter_check_many(get(), keys, count, now_ns, outcomes, nullptr));
    }
    tollgate::error set_quota(const tollgate_quota &quota) const noexcept {
        return tollgate::error(tollgate_limiter_set_quota(get(), &quota));
    }
    std::optional<tollgate_quota> quota() const noexcept {
        tollgate_quota quota;
        if (tollgate_limiter_quota(get(), &quota) != TOLLGATE_OK) return std::nullopt;
        return quota;
    }
    std::optional<tollgate_gauges> gauges(std::uint64_t now_ns = TOLLGATE_NOW) const noexcept {
        auto gauges = detail::sized<tollgate_gauges>();
        if (tollgate_limiter_gauges(get(), now_ns, &gauges) != TOLLGATE_OK) return std::nullopt;
        return gauges;
    }
    // Nothing unless it was made with TOLLGATE_COUNT.
    std::optional<tollgate_counts> counts() const noexcept {
        auto counts = detail::sized<tollgate_counts>();
        if (tollgate_limiter_counts(get(), &counts) != TOLLGATE_OK) return std::nullopt;
        return counts;
    }
    decision reset(std::string_view key, std::uint64_t now_ns = TOLLGATE_NOW) const noexcept {
        auto numbers = detail::sized<tollgate_decision>();
        const std::int32_t code =
            tollgate_limiter_reset(get(), key.data(), key.size(), now_ns, &numbers);
        return {code, numbers};
    }

private:
    explicit limiter(tollgate_limiter *handle) noexcept : handle_(handle) {}
    std::unique_ptr<tollgate_limiter, detail::ending<tollgate_limiter, tollgate_limiter_free>>
        handle_;
};

// A tollgate_policy. Threads: any, at the same time.
class policy {
public:
    static result<policy> from_text(std::string_view text,
                                    const tollgate_policy_options *options = nullptr) noexcept {
        tollgate_policy *handle = nullptr;
        const std::int32_t code =
            tollgate_policy_from_text(text.data(), text.size(), options, &handle);
        if (code != TOLLGATE_OK) return tollgate::error(code);
        return policy(handle);
    }
    static result<policy> from_file(std::string_view name,
                                    const tollgate_policy_options *options = nullptr) noexcept {
        tollgate_policy *handle = nullptr;
        const std::int32_t code =
            tollgate_policy_from_file(name.data(), name.size(), options, &handle);
        if (code != TOLLGATE_OK) return tollgate::error(code);
        return policy(handle);
    }
    // Options with their size, and all else 0; or for a policy whose limits are in a region,
    // by their own names.
    static tollgate_policy_options options() noexcept {
        return detail::sized<tollgate_policy_options>();
    }
    static tollgate_policy_options options(const region &in) noexcept {
        auto options = policy::options();
        options.region = in.get();
        return options;
    }
    tollgate_policy *get() const noexcept { return handle_.get(); }

    // TOLLGATE_NO_ID, which requests pass over, if the policy does not name it.
    std::uint32_t attribute(std::string_view name) const noexcept {
        std::uint32_t id = TOLLGATE_NO_ID;
        tollgate_policy_attribute(get(), name.data(), name.size(), &id);
        return id;
    }
    std::uint32_t dimension(std::string_view name) const noexcept {
        std::uint32_t id = TOLLGATE_NO_ID;
        tollgate_policy_dimension(get(), name.data(), name.size(), &id);
        return id;
    }
    tollgate::error reload_text(std::string_view text) const noexcept {
        return tollgate::error(tollgate_policy_reload_text(get(), text.data(), text.size()));
    }
    tollgate::error reload_file(std::string_view name) const noexcept {
        return tollgate::error(tollgate_policy_reload_file(get(), name.data(), name.size()));
    }
    tollgate::error set_override(std::string_view limit, std::string_view value,
                                 std::string_view quota) const noexcept {
        return tollgate::error(tollgate_policy_set_override(get(), limit.data(), limit.size(),
                                                            value.data(), value.size(),
                                                            quota.data(), quota.size()));
    }
    tollgate::error take_override(std::string_view limit, std::string_view value) const noexcept {
        return tollgate::error(tollgate_policy_set_override(
            get(), limit.data(), limit.size(), value.data(), value.size(), nullptr, 0));
    }
    // Whether there was a block to lift.
    bool unblock(std::string_view penalty, const tollgate_request &request) const noexcept {
        return tollgate_policy_unblock(get(), penalty.data(), penalty.size(), &request, nullptr) ==
               TOLLGATE_OK;
    }
    // Whether the lease was still held.
    bool release(std::string_view limit, const tollgate_lease &lease) const noexcept {
        return tollgate_policy_release(get(), limit.data(), limit.size(), &lease, nullptr) ==
               TOLLGATE_OK;
    }
    std::size_t limits() const noexcept { return tollgate_policy_limit_count(get()); }
    std::string limit_name(std::size_t index) const {
        return detail::rendered([&](char *buffer, std::size_t size, std::size_t *needed) {
            return tollgate_policy_limit_name(get(), index, buffer, size, needed);
        });
    }
    // Nothing where there is no such limit, or it keeps nothing.
    std::optional<tollgate_gauges> gauges(std::size_t index) const noexcept {
        auto gauges = detail::sized<tollgate_gauges>();
        if (tollgate_policy_limit_gauges(get(), index, nullptr, &gauges) != TOLLGATE_OK)
            return std::nullopt;
        return gauges;
    }
    // Which limits apply to a request and why the others do not, for people.
    std::string explain(const tollgate_request &request) const {
        return detail::rendered([&](char *buffer, std::size_t size, std::size_t *needed) {
            return tollgate_policy_explain(get(), &request, buffer, size, needed);
        });
    }

private:
    explicit policy(tollgate_policy *handle) noexcept : handle_(handle) {}
    std::unique_ptr<tollgate_policy, detail::ending<tollgate_policy, tollgate_policy_free>>
        handle_;
};

inline tollgate_attribute attribute(std::uint32_t id, std::string_view value) noexcept {
    return {id, 0, value.data(), value.size()};
}

// A request; what it is told must live until it was checked, `attributes` too: an array.
inline tollgate_request request(std::string_view method, std::string_view path,
                                const tollgate_attribute *attributes = nullptr,
                                std::size_t count = 0) noexcept {
    auto made = detail::sized<tollgate_request>();
    made.method = detail::bytes(method);
    made.path = detail::bytes(path);
    made.attributes = attributes;
    made.attribute_count = count;
    return made;
}

// A tollgate_verdict: one for each thread, used again and again. Leases that it holds are
// ended by `release` alone, before the next check: neither that nor its end does it.
class verdict {
public:
    static result<verdict> make() noexcept {
        tollgate_verdict *handle = nullptr;
        const std::int32_t code = tollgate_verdict_new(&handle);
        if (code != TOLLGATE_OK) return tollgate::error(code);
        return verdict(handle);
    }
    tollgate_verdict *get() const noexcept { return handle_.get(); }

    outcome check(const policy &policy, const tollgate_request &request,
                  const tollgate_moment *moment = nullptr) noexcept {
        return outcome(tollgate_policy_check(policy.get(), &request, moment, get()));
    }
    std::optional<tollgate_summary> summary() const noexcept {
        auto summary = detail::sized<tollgate_summary>();
        if (tollgate_verdict_summary(get(), &summary) != TOLLGATE_OK) return std::nullopt;
        return summary;
    }
    std::optional<tollgate_entry> entry(std::size_t index) const noexcept {
        auto entry = detail::sized<tollgate_entry>();
        if (tollgate_verdict_entry(get(), index, &entry) != TOLLGATE_OK) return std::nullopt;
        return entry;
    }
    // The header fields as lines, for every response.
    std::string headers() const { return rendered(tollgate_verdict_headers); }
    // The header fields one by one, as `each(name, value)`.
    template <class Each> void fields(Each each) const {
        std::string bytes;
        std::vector<tollgate_field> fields;
        std::size_t needed = 0, count = 0;
        for (;;) {
            const std::int32_t code =
                tollgate_verdict_fields(get(), bytes.data(), bytes.size(), &needed, fields.data(),
                                        fields.size(), &count);
            if (code != TOLLGATE_OK && code != TOLLGATE_ERROR_BUFFER) return;
            if (code == TOLLGATE_OK) break;
            bytes.resize(needed);
            fields.resize(count);
        }
        for (std::size_t nth = 0; nth < count; nth++)
            each(std::string_view(fields[nth].name, fields[nth].name_length),
                 std::string_view(fields[nth].value, fields[nth].value_length));
    }
    // The body of a denial.
    std::string body() const { return rendered(tollgate_verdict_body); }
    // What the request cost in that dimension, now that it is known.
    tollgate::error settle(std::uint32_t dimension, std::uint64_t units) noexcept {
        return tollgate::error(tollgate_verdict_settle(get(), dimension, units, nullptr));
    }
    void release() noexcept { tollgate_verdict_release(get(), nullptr); }
    void refund() noexcept { tollgate_verdict_refund(get(), nullptr); }

private:
    explicit verdict(tollgate_verdict *handle) noexcept : handle_(handle) {}
    template <class Render> std::string rendered(Render render) const {
        return detail::rendered([&](char *buffer, std::size_t size, std::size_t *needed) {
            return render(get(), buffer, size, needed);
        });
    }
    std::unique_ptr<tollgate_verdict, detail::ending<tollgate_verdict, tollgate_verdict_free>>
        handle_;
};

// A view of bytes that a struct borrows.
inline std::string_view view(tollgate_bytes bytes) noexcept {
    return {static_cast<const char *>(bytes.data), bytes.length};
}

// A tollgate_leases, whose leases end themselves. Threads: any, at the same time.
class leases;

// A lease that is given back when it goes out of scope. Not after its limiter.
class lease {
public:
    lease(lease &&other) noexcept : owner_(std::exchange(other.owner_, nullptr)), id_(other.id_) {}
    lease &operator=(lease &&other) noexcept {
        if (this != &other) {
            release();
            owner_ = std::exchange(other.owner_, nullptr);
            id_ = other.id_;
        }
        return *this;
    }
    ~lease() { release(); }
    void release() noexcept {
        if (owner_ != nullptr) tollgate_leases_release(owner_, &id_, TOLLGATE_NOW);
        owner_ = nullptr;
    }
    // Whether it was still held.
    bool renew() noexcept {
        return owner_ != nullptr &&
               tollgate_leases_renew(owner_, &id_, 0, TOLLGATE_NOW) == TOLLGATE_OK;
    }
    // Held until its time is over, or somebody releases what is returned.
    tollgate_lease detach() noexcept {
        owner_ = nullptr;
        return id_;
    }

private:
    friend class leases;
    lease(tollgate_leases *owner, tollgate_lease id) noexcept : owner_(owner), id_(id) {}
    tollgate_leases *owner_;
    tollgate_lease id_;
};

class leases {
public:
    static result<leases> make(std::uint64_t at_once, std::chrono::nanoseconds ttl,
                               const tollgate_leases_options *options = nullptr) noexcept {
        tollgate_leases *handle = nullptr;
        const auto ns = ttl.count() < 0 ? 0 : static_cast<std::uint64_t>(ttl.count());
        const std::int32_t code = tollgate_leases_new(at_once, ns, options, &handle);
        if (code != TOLLGATE_OK) return tollgate::error(code);
        return leases(handle);
    }
    // As of limiters.
    static tollgate_leases_options options() noexcept {
        return detail::sized<tollgate_leases_options>();
    }
    static tollgate_leases_options options(const region &in, std::string_view name) noexcept {
        auto options = leases::options();
        options.region = in.get();
        options.name = detail::bytes(name);
        return options;
    }
    tollgate_leases *get() const noexcept { return handle_.get(); }
    // TOLLGATE_LATER as an error, if there are as many already.
    result<lease> acquire(std::string_view key) const noexcept {
        tollgate_lease id;
        const std::int32_t code = tollgate_leases_acquire(get(), key.data(), key.size(),
                                                          TOLLGATE_NOW, &id, nullptr);
        if (code != TOLLGATE_ALLOWED) return tollgate::error(code);
        return lease(get(), id);
    }

private:
    explicit leases(tollgate_leases *handle) noexcept : handle_(handle) {}
    std::unique_ptr<tollgate_leases, detail::ending<tollgate_leases, tollgate_leases_free>>
        handle_;
};

} // namespace tollgate

#endif
