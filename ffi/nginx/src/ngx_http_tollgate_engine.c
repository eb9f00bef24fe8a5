
/*
 * Limits of the engine in memory of a zone: made, tried, complained of.
 */


#include "ngx_http_tollgate.h"
#include <sys/mman.h>


#define NGX_HTTP_TOLLGATE_FEW_KEYS   16
#define NGX_HTTP_TOLLGATE_SOME_KEYS  256

/* the most units that a sliding counter counts to */

#define NGX_HTTP_TOLLGATE_MOST_COUNTED  (((uint64_t) 1 << 33) - 1)


/* the policy that says what the parameters of a zone do */

ngx_int_t
ngx_http_tollgate_text(ngx_conf_t *cf, ngx_http_tollgate_zone_t *zone,
    ngx_http_tollgate_params_t *p, ngx_uint_t keys)
{
    u_char     *last;
    size_t      len;
    ngx_str_t  *name;

    zone->keys = keys;

    if (zone->direct) {
        return NGX_OK;
    }

    name = &zone->shm_zone->shm.name;

    len = 512 + name->len + p->algorithm.len + p->quota.len + p->ttl.len
          + p->headers.len;

    zone->text.data = ngx_pnalloc(cf->pool, len);
    if (zone->text.data == NULL) {
        return NGX_ERROR;
    }

    last = ngx_sprintf(zone->text.data,
                       "[attribute.key]\n"
                       "[[limit]]\n"
                       "name = '%V'\n"
                       "key = ['key']\n"
                       "algorithm = '%V'\n"
                       "quota = %V\n"
                       "missing = 'skip'\n"
                       "when_full = '%s'\n"
                       "capacity = %ui\n",
                       name, &p->algorithm, &p->quota,
                       p->reject_full ? "deny" : "allow", keys);

    if (zone->may_lease) {
        last = ngx_sprintf(last, "ttl = '%V'\n", &p->ttl);

    } else {
        last = ngx_sprintf(last, "cost = 'cost'\nunit = 'requests'\n");

        if (p->roomy) {
            last = ngx_sprintf(last, "largest = '1/d burst 1'\n");
        }
    }

    if (p->headers.len) {
        last = ngx_sprintf(last, "[response]\nheaders = '%V'\n", &p->headers);
    }

    zone->text.len = last - zone->text.data;

    return NGX_OK;
}


/* gives the limit as many keys as the zone has room for */

char *
ngx_http_tollgate_fill(ngx_conf_t *cf, ngx_http_tollgate_zone_t *zone,
    ngx_http_tollgate_params_t *p)
{
    size_t      few, some, usable;
    ngx_log_t   quiet;
    ngx_uint_t  keys, tries;

    quiet = *cf->log;
    quiet.log_level = NGX_LOG_STDERR;

    if (p->keys != NGX_CONF_UNSET) {
        keys = p->keys;
        goto last;
    }

    usable = ngx_http_tollgate_usable(zone->shm_zone->shm.size);

    keys = NGX_HTTP_TOLLGATE_FEW_KEYS;

    if (ngx_http_tollgate_text(cf, zone, p, keys) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    /* also tells what is wrong with the other parameters */

    if (ngx_http_tollgate_try(zone, &few, cf->log) != NGX_OK) {
        goto failed;
    }

    if (ngx_http_tollgate_text(cf, zone, p, NGX_HTTP_TOLLGATE_SOME_KEYS)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_tollgate_try(zone, &some, &quiet) == NGX_OK && some > few) {

        /* memory grows with keys, in steps of pages */

        some = (some - few) / (NGX_HTTP_TOLLGATE_SOME_KEYS - keys) + 1;
        keys += (usable - few) / some;

    } else {
        keys = NGX_HTTP_TOLLGATE_SOME_KEYS;
    }

    for (tries = 0; tries < 40; tries++) {

        if (ngx_http_tollgate_text(cf, zone, p, keys) != NGX_OK) {
            return NGX_CONF_ERROR;
        }

        if (ngx_http_tollgate_try(zone, NULL, &quiet) == NGX_OK) {
            return NGX_CONF_OK;
        }

        if (keys <= NGX_HTTP_TOLLGATE_FEW_KEYS) {
            break;
        }

        keys -= keys / 16 + 1;

        if (keys < NGX_HTTP_TOLLGATE_FEW_KEYS) {
            keys = NGX_HTTP_TOLLGATE_FEW_KEYS;
        }
    }

    keys = NGX_HTTP_TOLLGATE_FEW_KEYS;

last:

    if (ngx_http_tollgate_text(cf, zone, p, keys) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_tollgate_try(zone, NULL, cf->log) == NGX_OK) {
        return NGX_CONF_OK;
    }

failed:

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "the limit of zone \"%V\" cannot be made",
                       &zone->shm_zone->shm.name);

    return NGX_CONF_ERROR;
}


ngx_int_t
ngx_http_tollgate_make(ngx_http_tollgate_zone_t *zone, tollgate_quota *quota,
    void *memory, size_t size, ngx_http_tollgate_engine_t *engine)
{
    int32_t                   rc;
    tollgate_quota            room;
    tollgate_policy_options   options;
    tollgate_limiter_options  lo;

    ngx_memzero(engine, sizeof(ngx_http_tollgate_engine_t));

    if (tollgate_region_in_memory(memory, size, &engine->region)
        != TOLLGATE_OK)
    {
        return NGX_ERROR;
    }

    if (zone->direct) {

        ngx_memzero(&lo, sizeof(tollgate_limiter_options));

        lo.size = sizeof(tollgate_limiter_options);
        lo.algorithm = zone->algorithm;
        lo.when_full = zone->reject_full ? TOLLGATE_WHEN_FULL_DENY
                                         : TOLLGATE_WHEN_FULL_ALLOW;
        lo.capacity = zone->keys;
        lo.region = engine->region;
        lo.name.data = "limit";
        lo.name.length = sizeof("limit") - 1;

        if (zone->roomy) {

            /* costs nothing: state is kept when the rate is changed */

            room.units = 1;
            room.period_ns = 86400 * (uint64_t) 1000000000;
            room.burst = 1;

            lo.room_for = &room;
            lo.room_for_count = 1;

        } else if (zone->algorithm == TOLLGATE_SLIDING_COUNTER) {

            /* neither does this: it has two counts, however large */

            room.units = NGX_HTTP_TOLLGATE_MOST_COUNTED;
            room.period_ns = quota->period_ns;
            room.burst = 0;

            lo.room_for = &room;
            lo.room_for_count = 1;
        }

        rc = tollgate_limiter_new_of(quota, &lo, &engine->limiter);

    } else {

        ngx_memzero(&options, sizeof(tollgate_policy_options));

        options.size = sizeof(tollgate_policy_options);
        options.region = engine->region;

        if (zone->inlined) {
            rc = tollgate_policy_from_text((char *) zone->text.data,
                                           zone->text.len, &options,
                                           &engine->policy);

        } else {
            rc = tollgate_policy_from_file((char *) zone->file.data,
                                           zone->file.len, &options,
                                           &engine->policy);
        }
    }

    if (rc == TOLLGATE_OK) {
        return NGX_OK;
    }

    ngx_http_tollgate_unmake(engine);

    return NGX_ERROR;
}


void
ngx_http_tollgate_unmake(ngx_http_tollgate_engine_t *engine)
{
    tollgate_limiter_free(engine->limiter);
    tollgate_policy_free(engine->policy);
    tollgate_region_free(engine->region);

    ngx_memzero(engine, sizeof(ngx_http_tollgate_engine_t));
}


/*
 * The words of a limiter's header fields that never change, as a policy
 * writes them.
 */

ngx_int_t
ngx_http_tollgate_learn(ngx_conf_t *cf, ngx_http_tollgate_zone_t *zone,
    tollgate_policy *policy)
{
    size_t               i, count;
    char                *end;
    ngx_int_t            rc;
    ngx_str_t           *word;
    tollgate_cost        cost;
    tollgate_field       fields[8];
    tollgate_request     request;
    tollgate_verdict    *verdict;
    tollgate_attribute   attribute;
    char                 text[1024];

    ngx_memzero(&request, sizeof(tollgate_request));
    ngx_memzero(&attribute, sizeof(tollgate_attribute));
    ngx_memzero(&cost, sizeof(tollgate_cost));

    if (tollgate_policy_attribute(policy, "key", 3, &attribute.id)
        != TOLLGATE_OK
        || tollgate_policy_dimension(policy, "cost", 4, &cost.id)
           != TOLLGATE_OK
        || tollgate_verdict_new(&verdict) != TOLLGATE_OK)
    {
        return NGX_ERROR;
    }

    attribute.value = "a";
    attribute.length = 1;
    cost.units = 1;

    request.size = sizeof(tollgate_request);
    request.attributes = &attribute;
    request.attribute_count = 1;
    request.costs = &cost;
    request.cost_count = 1;

    rc = NGX_ERROR;

    if (tollgate_policy_check(policy, &request, NULL, verdict) < 0
        || tollgate_verdict_fields(verdict, text, sizeof(text), NULL, fields,
                                   8, &count)
           != TOLLGATE_OK)
    {
        goto done;
    }

    for (i = 0; i < count; i++) {

        if (ngx_strcmp(fields[i].name, "RateLimit-Policy") == 0) {
            word = &zone->draft_policy;
            word->len = fields[i].value_length;

        } else if (ngx_strcmp(fields[i].name, "RateLimit") == 0) {
            end = strstr(fields[i].value, ";r=");
            if (end == NULL) {
                goto done;
            }

            word = &zone->draft_name;
            word->len = end - fields[i].value;

        } else {
            continue;
        }

        word->data = ngx_pnalloc(cf->pool, word->len);
        if (word->data == NULL) {
            goto done;
        }

        ngx_memcpy(word->data, fields[i].value, word->len);
    }

    rc = NGX_OK;

done:

    tollgate_verdict_free(verdict);

    return rc;
}


/*
 * Whether the policy can be made in a zone of this size, which is not there
 * yet: so mistakes are told with the line of the directive.
 */

ngx_int_t
ngx_http_tollgate_try(ngx_http_tollgate_zone_t *zone, size_t *used,
    ngx_log_t *log)
{
    void                        *memory;
    size_t                       size;
    ngx_int_t                    rc;
    ngx_http_tollgate_engine_t   engine;

    size = ngx_http_tollgate_usable(zone->shm_zone->shm.size);

    memory = mmap(NULL, size, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANON,
                  -1, 0);
    if (memory == MAP_FAILED) {
        ngx_log_error(NGX_LOG_EMERG, log, ngx_errno, "mmap(%uz) failed", size);
        return NGX_ERROR;
    }

    rc = ngx_http_tollgate_make(zone, &zone->quota, memory, size, &engine);

    if (rc != NGX_OK) {
        ngx_http_tollgate_say(NGX_LOG_EMERG, log);

    } else {

        if (used) {
            *used = (size_t) tollgate_region_size(engine.region);
        }

        ngx_http_tollgate_unmake(&engine);
    }

    munmap(memory, size);

    return rc;
}


/* says why the engine refused something, line by line */

void
ngx_http_tollgate_say(ngx_uint_t level, ngx_log_t *log)
{
    u_char     *p, *next;
    ngx_str_t   line;
    u_char      text[8192];

    if (tollgate_last_error((char *) text, sizeof(text), NULL)
        != TOLLGATE_OK)
    {
        ngx_log_error(level, log, 0, "tollgate: too many mistakes to tell");
        return;
    }

    for (p = text; *p; p = next) {
        next = (u_char *) ngx_strchr(p, '\n');

        line.data = p;

        if (next == NULL) {
            line.len = ngx_strlen(p);
            next = p + line.len;

        } else {
            line.len = next++ - p;
        }

        ngx_log_error(level, log, 0, "tollgate: %V", &line);
    }
}


/* how much of a zone the slab allocator will give at once */

size_t
ngx_http_tollgate_usable(size_t size)
{
    size_t  pages;

    pages = (size - ngx_pagesize) / (ngx_pagesize + sizeof(ngx_slab_page_t));

    /* one for what it needs itself, others for our root */

    pages -= 1 + (sizeof(ngx_http_tollgate_shared_t) + ngx_pagesize - 1)
                 / ngx_pagesize;

    return pages * ngx_pagesize;
}
