/* Everything that a policy and a verdict can be asked, at given times. */
#include "check.h"
#include <string.h>
#include <tollgate.h>

#define SECOND UINT64_C(1000000000)
#define TEXT(text) text, TOLLGATE_TERMINATED

static const char policy_text[] =
    "name = 'test'\n"
    "[attribute.ip]\n"
    "kind = 'ip'\n"
    "[attribute.user]\n"
    "[[limit]]\n"
    "name = 'each'\n"
    "key = ['ip']\n"
    "quota = '5/min'\n"
    "overrides = { by = 'user', root = '50/min' }\n"
    "largest = '100/min'\n"
    "[[limit]]\n"
    "name = 'tokens'\n"
    "key = ['user']\n"
    "quota = '100/min'\n"
    "algorithm = 'gcra'\n"
    "cost = 'tokens'\n"
    "missing = 'skip'\n"
    "[[limit]]\n"
    "name = 'at once'\n"
    "routes = ['POST /jobs']\n"
    "key = []\n"
    "algorithm = 'leases'\n"
    "quota = 1\n"
    "ttl = '1 h'\n"
    "[[limit]]\n"
    "name = 'watched'\n"
    "key = []\n"
    "quota = '1/min'\n"
    "mode = 'shadow'\n"
    "[[refuse]]\n"
    "name = 'no admin'\n"
    "routes = ['example.com/admin/**']\n"
    "[[exempt]]\n"
    "name = 'health'\n"
    "routes = ['/health']\n"
    "[[penalty]]\n"
    "name = 'ladder'\n"
    "key = ['ip']\n"
    "denials = 3\n"
    "within = '1 min'\n"
    "blocks = ['1 h']\n"
    "[response]\n"
    "body = '{\"limit\": \"{name}\", \"retry\": {retry_after}}'\n";

static tollgate_bytes bytes(const char *text) {
    tollgate_bytes b;
    b.data = text;
    b.length = text == NULL ? 0 : strlen(text);
    return b;
}

static int same(tollgate_bytes b, const char *text) {
    return b.length == strlen(text) && memcmp(b.data, text, b.length) == 0;
}

static uint32_t ip, user, tokens;

static tollgate_request request_of(const char *method, const char *path) {
    tollgate_request request;
    memset(&request, 0, sizeof request);
    request.size = sizeof request;
    request.method = bytes(method);
    request.path = bytes(path);
    return request;
}

int main(void) {
    tollgate_policy_options options;
    tollgate_policy *policy = NULL;
    tollgate_verdict *verdict = NULL;
    tollgate_summary summary;
    tollgate_entry entry;
    tollgate_request request = request_of("GET", "/");
    tollgate_attribute attributes[2];
    tollgate_cost cost;
    tollgate_moment moment;
    tollgate_field fields[8];
    tollgate_lease lease;
    char buffer[4096];
    size_t needed = 0, count = 0, nth;
    uint32_t unknown = 7;
    int found;

    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.flags = TOLLGATE_FROM_EPOCH;
    options.epoch.monotonic_ns = SECOND;
    options.epoch.unix_ns = UINT64_C(1700000000) * SECOND;
    moment = options.epoch;
    if (tollgate_policy_from_text(TEXT(policy_text), &options, &policy) != TOLLGATE_OK) {
        CHECK_IS(tollgate_last_error(buffer, sizeof buffer, NULL), TOLLGATE_OK);
        fputs(buffer, stderr);
        return 1;
    }
    CHECK_IS(tollgate_verdict_new(&verdict), TOLLGATE_OK);
    CHECK_IS(tollgate_policy_attribute(policy, TEXT("ip"), &ip), TOLLGATE_OK);
    CHECK_IS(tollgate_policy_attribute(policy, TEXT("user"), &user), TOLLGATE_OK);
    CHECK_IS(tollgate_policy_dimension(policy, TEXT("tokens"), &tokens), TOLLGATE_OK);
    CHECK_IS(tollgate_policy_attribute(policy, TEXT("org"), &unknown), TOLLGATE_ERROR_NAME);
    CHECK_IS(unknown, TOLLGATE_NO_ID);
    CHECK_IS(tollgate_policy_limit_count(policy), 4);
    CHECK_IS(tollgate_policy_limit_name(policy, 2, buffer, sizeof buffer, &needed), TOLLGATE_OK);
    CHECK(strcmp(buffer, "at once") == 0 && needed == 7);
    CHECK_IS(tollgate_policy_limit_name(policy, 4, buffer, sizeof buffer, NULL),
             TOLLGATE_ERROR_ID);

    memset(&summary, 0, sizeof summary);
    summary.size = sizeof summary;
    memset(&entry, 0, sizeof entry);
    entry.size = sizeof entry;
    CHECK_IS(tollgate_verdict_summary(verdict, &summary), TOLLGATE_ERROR_EMPTY);

    memset(attributes, 0, sizeof attributes);
    attributes[0].id = ip;
    attributes[0].value = "203.0.113.7";
    attributes[0].length = TOLLGATE_TERMINATED;
    attributes[1].id = user;
    attributes[1].value = "alice";
    attributes[1].length = 5;
    memset(&cost, 0, sizeof cost);
    cost.id = tokens;
    cost.units = 30;
    request.attributes = attributes;
    request.attribute_count = 2;
    request.costs = &cost;
    request.cost_count = 1;

    CHECK_IS(tollgate_policy_check(policy, &request, &moment, verdict), TOLLGATE_ALLOWED);
    CHECK_IS(tollgate_verdict_summary(verdict, &summary), TOLLGATE_OK);
    CHECK_IS(summary.outcome, TOLLGATE_ALLOWED);
    CHECK_IS(summary.cause, TOLLGATE_CAUSE_LIMITS);
    CHECK_IS(summary.status, 0);
    CHECK_IS(summary.entries, 3);
    CHECK_IS(summary.binding, 1);
    CHECK_IS(tollgate_verdict_entry(verdict, 1, &entry), TOLLGATE_OK);
    CHECK(same(entry.name, "tokens"));
    CHECK_IS(entry.algorithm, TOLLGATE_GCRA);
    CHECK_IS(entry.flags, TOLLGATE_BINDS);
    CHECK(entry.units == 30 && entry.limit == 100 && entry.remaining == 70);
    CHECK_IS(entry.full_after_ns, 18 * SECOND);
    CHECK_IS(tollgate_verdict_entry(verdict, 0, &entry), TOLLGATE_OK);
    CHECK(same(entry.name, "each") && entry.remaining == 4);
    CHECK_IS(tollgate_verdict_entry(verdict, 2, &entry), TOLLGATE_OK);
    CHECK(same(entry.name, "watched") && entry.flags == TOLLGATE_SHADOW);
    CHECK_IS(tollgate_verdict_entry(verdict, 3, &entry), TOLLGATE_ERROR_ID);

    /* The estimate was too low; then the request failed altogether. */
    CHECK_IS(tollgate_verdict_settle(verdict, tokens, 50, &moment), TOLLGATE_OK);
    CHECK_IS(tollgate_verdict_entry(verdict, 1, &entry), TOLLGATE_OK);
    CHECK_IS(entry.remaining, 50);
    CHECK_IS(tollgate_verdict_settle(verdict, 99, 50, &moment), TOLLGATE_ERROR_ID);
    CHECK_IS(tollgate_verdict_refund(verdict, &moment), TOLLGATE_OK);
    CHECK_IS(tollgate_verdict_entry(verdict, 1, &entry), TOLLGATE_OK);
    CHECK_IS(entry.remaining, 100);

    /* Five of an address in a minute; the shadow denies nobody. */
    request.attribute_count = 1;
    request.cost_count = 0;
    for (nth = 0; nth < 5; nth++)
        CHECK_IS(tollgate_policy_check(policy, &request, &moment, verdict), TOLLGATE_ALLOWED);
    moment.monotonic_ns += 10 * SECOND;
    moment.unix_ns += 10 * SECOND;
    CHECK_IS(tollgate_policy_check(policy, &request, &moment, verdict), TOLLGATE_LATER);
    CHECK_IS(tollgate_verdict_summary(verdict, &summary), TOLLGATE_OK);
    CHECK_IS(summary.status, 429);
    CHECK_IS(summary.binding, 0);
    CHECK_IS(summary.retry_after_ns, 50 * SECOND);
    CHECK_IS(tollgate_verdict_entry(verdict, 0, &entry), TOLLGATE_OK);
    CHECK_IS(entry.flags, TOLLGATE_VIOLATED | TOLLGATE_BINDS);

    CHECK_IS(tollgate_verdict_body(verdict, buffer, sizeof buffer, &needed), TOLLGATE_OK);
    CHECK(strcmp(buffer, "{\"limit\": \"each\", \"retry\": 50}") == 0);
    CHECK_IS(needed, strlen(buffer));
    CHECK_IS(tollgate_verdict_body(verdict, buffer, 10, &needed), TOLLGATE_ERROR_BUFFER);
    CHECK(buffer[0] == '\0' && needed == 30);
    CHECK_IS(tollgate_verdict_body(verdict, NULL, 0, &needed), TOLLGATE_ERROR_BUFFER);

    CHECK_IS(tollgate_verdict_fields(verdict, buffer, sizeof buffer, &needed, fields, 8, &count),
             TOLLGATE_OK);
    for (found = 0, nth = 0; nth < count; nth++) {
        CHECK(strlen(fields[nth].name) == fields[nth].name_length);
        CHECK(strlen(fields[nth].value) == fields[nth].value_length);
        if (strcmp(fields[nth].name, "Retry-After") == 0)
            found += strcmp(fields[nth].value, "50") == 0;
        if (strcmp(fields[nth].name, "X-RateLimit-Remaining") == 0)
            found += strcmp(fields[nth].value, "0") == 0;
    }
    CHECK_IS(found, 2);
    CHECK_IS(tollgate_verdict_fields(verdict, buffer, needed, NULL, fields, count, NULL),
             TOLLGATE_OK);
    CHECK_IS(tollgate_verdict_fields(verdict, buffer, needed - 1, NULL, fields, count, NULL),
             TOLLGATE_ERROR_BUFFER);
    CHECK_IS(tollgate_verdict_fields(verdict, buffer, needed, NULL, fields, count - 1, NULL),
             TOLLGATE_ERROR_BUFFER);
    CHECK_IS(tollgate_verdict_headers(verdict, buffer, sizeof buffer, NULL), TOLLGATE_OK);
    CHECK(strstr(buffer, "Retry-After: 50\r\n") != NULL);

    /* Two more denials block the address. */
    CHECK_IS(tollgate_policy_check(policy, &request, &moment, verdict), TOLLGATE_LATER);
    CHECK_IS(tollgate_policy_check(policy, &request, &moment, verdict), TOLLGATE_LATER);
    CHECK_IS(tollgate_policy_check(policy, &request, &moment, verdict), TOLLGATE_LATER);
    CHECK_IS(tollgate_verdict_summary(verdict, &summary), TOLLGATE_OK);
    CHECK_IS(summary.cause, TOLLGATE_CAUSE_BLOCKED);
    CHECK(same(summary.name, "ladder"));
    CHECK_IS(summary.binding, TOLLGATE_NO_ID);
    CHECK_IS(tollgate_policy_unblock(policy, TEXT("ladder"), &request, &moment), TOLLGATE_OK);
    CHECK_IS(tollgate_policy_unblock(policy, TEXT("ladder"), &request, &moment), TOLLGATE_GONE);
    CHECK_IS(tollgate_policy_unblock(policy, TEXT("other"), &request, &moment), TOLLGATE_GONE);

    /* Refusals, exemptions, what is missing. */
    request.host = bytes("example.com:443");
    request.path = bytes("/admin/x?y");
    CHECK_IS(tollgate_policy_check(policy, &request, &moment, verdict), TOLLGATE_NEVER);
    CHECK_IS(tollgate_verdict_summary(verdict, &summary), TOLLGATE_OK);
    CHECK(summary.cause == TOLLGATE_CAUSE_REFUSED && same(summary.name, "no admin"));
    CHECK_IS(summary.status, 403);
    CHECK(summary.retry_after_ns == TOLLGATE_FOREVER);
    request.path = bytes("/health");
    CHECK_IS(tollgate_policy_check(policy, &request, &moment, verdict), TOLLGATE_ALLOWED);
    CHECK_IS(tollgate_verdict_summary(verdict, &summary), TOLLGATE_OK);
    CHECK(summary.cause == TOLLGATE_CAUSE_EXEMPT && same(summary.name, "health"));
    request.path = bytes("/");
    attributes[0].id = TOLLGATE_NO_ID;
    CHECK_IS(tollgate_policy_check(policy, &request, &moment, verdict), TOLLGATE_NEVER);
    CHECK_IS(tollgate_verdict_summary(verdict, &summary), TOLLGATE_OK);
    CHECK(summary.cause == TOLLGATE_CAUSE_MISSING && same(summary.name, "each"));
    CHECK(same(summary.attribute, "ip"));
    attributes[0].id = 1000;
    CHECK_IS(tollgate_policy_check(policy, &request, &moment, verdict), TOLLGATE_ERROR_ID);
    CHECK_IS(tollgate_verdict_summary(verdict, &summary), TOLLGATE_ERROR_EMPTY);
    attributes[0].id = ip;
    attributes[0].reserved = 1;
    CHECK_IS(tollgate_policy_check(policy, &request, &moment, verdict), TOLLGATE_ERROR_UNKNOWN);
    attributes[0].reserved = 0;
    request.method = bytes("\xff");
    CHECK_IS(tollgate_policy_check(policy, &request, &moment, verdict), TOLLGATE_ERROR_UTF8);

    /* One job at a time, by the verdict and by the lease. */
    request = request_of("POST", "/jobs");
    attributes[0].value = "192.0.2.1";
    request.attributes = attributes;
    request.attribute_count = 1;
    CHECK_IS(tollgate_policy_check(policy, &request, &moment, verdict), TOLLGATE_ALLOWED);
    CHECK_IS(tollgate_verdict_entry(verdict, 1, &entry), TOLLGATE_OK);
    CHECK(same(entry.name, "at once") && (entry.flags & TOLLGATE_LEASED) != 0);
    lease = entry.lease;
    CHECK_IS(tollgate_policy_check(policy, &request, &moment, verdict), TOLLGATE_LATER);
    CHECK_IS(tollgate_policy_release(policy, TEXT("at once"), &lease, &moment), TOLLGATE_OK);
    CHECK_IS(tollgate_policy_release(policy, TEXT("at once"), &lease, &moment), TOLLGATE_GONE);
    CHECK_IS(tollgate_policy_release(policy, TEXT("once"), &lease, &moment), TOLLGATE_ERROR_NAME);
    CHECK_IS(tollgate_policy_check(policy, &request, &moment, verdict), TOLLGATE_ALLOWED);
    CHECK_IS(tollgate_verdict_release(verdict, &moment), TOLLGATE_OK);
    CHECK_IS(tollgate_policy_check(policy, &request, &moment, verdict), TOLLGATE_ALLOWED);

    /* A customer's own quota. */
    CHECK_IS(tollgate_policy_set_override(policy, TEXT("each"), TEXT("bob"), TEXT("9/min")),
             TOLLGATE_OK);
    request = request_of("GET", "/");
    attributes[0].value = "192.0.2.9";
    attributes[1].value = "bob";
    attributes[1].length = 3;
    request.attributes = attributes;
    request.attribute_count = 2;
    CHECK_IS(tollgate_policy_check(policy, &request, &moment, verdict), TOLLGATE_ALLOWED);
    CHECK_IS(tollgate_verdict_entry(verdict, 0, &entry), TOLLGATE_OK);
    CHECK(entry.limit == 9 && entry.remaining == 8);
    CHECK_IS(tollgate_policy_set_override(policy, TEXT("each"), TEXT("bob"), TEXT("x")),
             TOLLGATE_ERROR_QUOTA);
    CHECK_IS(tollgate_policy_set_override(policy, TEXT("each"), TEXT("bob"), TEXT("999/min")),
             TOLLGATE_ERROR_ROOM);
    CHECK_IS(tollgate_policy_set_override(policy, TEXT("no"), TEXT("bob"), TEXT("9/min")),
             TOLLGATE_ERROR_NAME);
    CHECK_IS(tollgate_policy_set_override(policy, TEXT("each"), TEXT("bob"), NULL, 0),
             TOLLGATE_OK);

    /* Replaced: what was charged stays charged. A bad one changes nothing. */
    CHECK_IS(tollgate_policy_reload_text(policy, TEXT("[[limit]]\nname = 1\n")),
             TOLLGATE_ERROR_POLICY);
    CHECK_IS(tollgate_last_error(buffer, sizeof buffer, &needed), TOLLGATE_OK);
    CHECK(strstr(buffer, "policy:2:8") != NULL);
    CHECK_IS(tollgate_policy_reload_text(
                 policy, TEXT("[attribute.ip]\nkind = 'ip'\n[[limit]]\nname = 'each'\n"
                              "key = ['ip']\nquota = '3/min'\n")),
             TOLLGATE_OK);
    CHECK_IS(tollgate_policy_limit_count(policy), 1);
    CHECK_IS(tollgate_policy_check(policy, &request, &moment, verdict), TOLLGATE_ALLOWED);
    CHECK_IS(tollgate_verdict_entry(verdict, 0, &entry), TOLLGATE_OK);
    CHECK(entry.limit == 3 && entry.remaining == 1);
    CHECK_IS(tollgate_policy_explain(policy, &request, buffer, sizeof buffer, NULL),
             TOLLGATE_OK);
    CHECK(strstr(buffer, "applies: each") != NULL);
    CHECK_IS(tollgate_policy_reload_file(policy, TEXT("/nonexistent")), TOLLGATE_ERROR_FILE);
    CHECK_IS(tollgate_policy_now(policy, &moment), TOLLGATE_ERROR_UNSUPPORTED);

    /* The verdict outlives the policy. */
    tollgate_policy_free(policy);
    CHECK_IS(tollgate_verdict_entry(verdict, 0, &entry), TOLLGATE_OK);
    CHECK(same(entry.name, "each"));
    CHECK_IS(tollgate_policy_from_file(TEXT("/nonexistent"), NULL, &policy), TOLLGATE_ERROR_FILE);
    CHECK(policy == NULL);
    CHECK_IS(tollgate_policy_from_file(TEXT(STARTER), NULL, &policy), TOLLGATE_OK);
    CHECK_IS(tollgate_policy_now(policy, &moment), TOLLGATE_OK);
    CHECK(moment.unix_ns > 1700000000 * SECOND);
    CHECK_IS(tollgate_policy_check(policy, &request, NULL, verdict), TOLLGATE_ALLOWED);
    CHECK_IS(tollgate_verdict_release(verdict, NULL), TOLLGATE_OK);
    CHECK_IS(tollgate_policy_reload_file(policy, TEXT(STARTER)), TOLLGATE_OK);
    tollgate_policy_free(policy);
    tollgate_verdict_free(verdict);
    puts("policies: ok");
    return 0;
}
