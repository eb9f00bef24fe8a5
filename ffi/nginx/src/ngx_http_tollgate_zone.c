
/*
 * Zones: how they are declared, where their memory is, and what becomes of
 * it when the configuration is loaded again.
 */


#include "ngx_http_tollgate.h"
#include <sys/mman.h>


#define NGX_HTTP_TOLLGATE_FEW_KEYS   16
#define NGX_HTTP_TOLLGATE_SOME_KEYS  256


typedef struct {
    ngx_str_t                      quota;
    ngx_str_t                      burst;
    ngx_str_t                      algorithm;
    ngx_str_t                      concurrent;
    ngx_str_t                      ttl;
    ngx_str_t                      headers;
    ngx_int_t                      keys;
    ngx_uint_t                     reject_full;  /* unsigned  reject_full:1 */
    ngx_uint_t                     roomy;        /* unsigned  roomy:1 */
} ngx_http_tollgate_params_t;


static ngx_http_tollgate_zone_t *ngx_http_tollgate_add_zone(ngx_conf_t *cf,
    ngx_str_t *name, ssize_t size);
static char *ngx_http_tollgate_zone_param(ngx_conf_t *cf, ngx_str_t *value,
    ngx_str_t *name, ssize_t *size);
static char *ngx_http_tollgate_choice(ngx_conf_t *cf, ngx_str_t *param,
    size_t skip, ngx_uint_t *reject);
static ngx_int_t ngx_http_tollgate_plain(ngx_str_t *s);
static ngx_int_t ngx_http_tollgate_text(ngx_conf_t *cf,
    ngx_http_tollgate_zone_t *zone, ngx_http_tollgate_params_t *p,
    ngx_uint_t keys);
static char *ngx_http_tollgate_fill(ngx_conf_t *cf,
    ngx_http_tollgate_zone_t *zone, ngx_http_tollgate_params_t *p);
static ngx_int_t ngx_http_tollgate_make(ngx_http_tollgate_zone_t *zone,
    tollgate_quota *quota, void *memory, size_t size,
    ngx_http_tollgate_engine_t *engine);
static void ngx_http_tollgate_unmake(ngx_http_tollgate_engine_t *engine);
static ngx_int_t ngx_http_tollgate_learn(ngx_conf_t *cf,
    ngx_http_tollgate_zone_t *zone, tollgate_policy *policy);
static ngx_int_t ngx_http_tollgate_try(ngx_http_tollgate_zone_t *zone,
    size_t *used, ngx_log_t *log);
static ngx_int_t ngx_http_tollgate_bind(ngx_http_tollgate_main_conf_t *tmcf,
    ngx_http_tollgate_zone_t *zone, ngx_pool_t *pool);
static void ngx_http_tollgate_say(ngx_uint_t level, ngx_log_t *log);
static size_t ngx_http_tollgate_usable(size_t size);
static ngx_shm_zone_t *ngx_http_tollgate_former(ngx_cycle_t *cycle,
    ngx_str_t *name);
static ngx_int_t ngx_http_tollgate_init_zone(ngx_shm_zone_t *shm_zone,
    void *data);
static void ngx_http_tollgate_cleanup_zone(void *data);


char *
ngx_http_tollgate_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char                              *rv;
    double                             debt;
    int32_t                            algorithm;
    ssize_t                            size;
    ngx_str_t                         *value, name, s;
    ngx_uint_t                         i, reject_errors;
    tollgate_quota                     quota;
    tollgate_policy                   *policy;
    ngx_http_tollgate_zone_t          *zone;
    ngx_http_tollgate_params_t         p;
    ngx_http_compile_complex_value_t   ccv;

    ngx_memzero(&p, sizeof(ngx_http_tollgate_params_t));
    ngx_str_null(&name);
    size = 0;
    reject_errors = 0;
    algorithm = -1;
    p.keys = NGX_CONF_UNSET;
    ngx_memzero(&quota, sizeof(tollgate_quota));

    value = cf->args->elts;

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "zone=", 5) == 0) {
            rv = ngx_http_tollgate_zone_param(cf, &value[i], &name, &size);
            if (rv != NGX_CONF_OK) {
                return rv;
            }

            continue;
        }

        if (ngx_strncmp(value[i].data, "full=", 5) == 0) {
            rv = ngx_http_tollgate_choice(cf, &value[i], 5, &p.reject_full);
            if (rv != NGX_CONF_OK) {
                return rv;
            }

            continue;
        }

        if (ngx_strncmp(value[i].data, "error=", 6) == 0) {
            rv = ngx_http_tollgate_choice(cf, &value[i], 6, &reject_errors);
            if (rv != NGX_CONF_OK) {
                return rv;
            }

            continue;
        }

        if (ngx_strncmp(value[i].data, "keys=", 5) == 0) {
            p.keys = ngx_atoi(value[i].data + 5, value[i].len - 5);
            if (p.keys <= 0) {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "invalid number of keys \"%V\"", &value[i]);
                return NGX_CONF_ERROR;
            }

            continue;
        }

#define ngx_http_tollgate_param(prefix, field)                                \
        if (ngx_strncmp(value[i].data, prefix, sizeof(prefix) - 1) == 0) {    \
            field.data = value[i].data + sizeof(prefix) - 1;                  \
            field.len = value[i].len - (sizeof(prefix) - 1);                  \
                                                                              \
            if (field.len == 0 || ngx_http_tollgate_plain(&field) != NGX_OK) {\
                goto invalid;                                                 \
            }                                                                 \
                                                                              \
            continue;                                                         \
        }

        ngx_http_tollgate_param("rate=", p.quota);
        ngx_http_tollgate_param("burst=", p.burst);
        ngx_http_tollgate_param("algorithm=", p.algorithm);
        ngx_http_tollgate_param("concurrent=", p.concurrent);
        ngx_http_tollgate_param("ttl=", p.ttl);
        ngx_http_tollgate_param("headers=", p.headers);

#undef ngx_http_tollgate_param

    invalid:

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\"", &value[i]);
        return NGX_CONF_ERROR;
    }

    if (name.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" must have \"zone\" parameter", &cmd->name);
        return NGX_CONF_ERROR;
    }

    if ((p.quota.len == 0) == (p.concurrent.len == 0)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" must have either \"rate\" "
                           "or \"concurrent\" parameter", &cmd->name);
        return NGX_CONF_ERROR;
    }

    if (p.concurrent.len) {

        if (p.burst.len || p.algorithm.len) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"concurrent\" goes with neither \"burst\" "
                               "nor \"algorithm\"");
            return NGX_CONF_ERROR;
        }

        if (ngx_atoi(p.concurrent.data, p.concurrent.len) <= 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid number of concurrent requests \"%V\"",
                               &p.concurrent);
            return NGX_CONF_ERROR;
        }

        if (p.ttl.len == 0) {
            ngx_str_set(&p.ttl, "1 h");
        }

        ngx_str_set(&p.algorithm, "leases");
        p.quota = p.concurrent;

    } else {

        if (p.ttl.len) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"ttl\" goes with \"concurrent\" alone");
            return NGX_CONF_ERROR;
        }

        if (p.algorithm.len == 0) {
            ngx_str_set(&p.algorithm, "gcra");
        }

        s.len = p.quota.len + sizeof("'' burst ") - 1 + p.burst.len;
        s.data = ngx_pnalloc(cf->pool, s.len);
        if (s.data == NULL) {
            return NGX_CONF_ERROR;
        }

        s.len = (p.burst.len
                 ? ngx_sprintf(s.data, "'%V burst %V'", &p.quota, &p.burst)
                 : ngx_sprintf(s.data, "'%V'", &p.quota))
                - s.data;
        p.quota = s;

        if (ngx_strcmp(p.algorithm.data, "calendar") != 0
            && tollgate_quota_parse((char *) s.data + 1, s.len - 2, &quota)
               != TOLLGATE_OK)
        {
            ngx_http_tollgate_say(NGX_LOG_EMERG, cf->log);
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid rate %V", &s);
            return NGX_CONF_ERROR;
        }

        if (ngx_strcmp(p.algorithm.data, "sliding-log") == 0) {
            algorithm = TOLLGATE_SLIDING_LOG;

        } else if (ngx_strcmp(p.algorithm.data, "sliding-counter") == 0) {
            algorithm = TOLLGATE_SLIDING_COUNTER;

        } else if (ngx_strcmp(p.algorithm.data, "gcra") == 0) {
            algorithm = TOLLGATE_GCRA;

            debt = (double) quota.period_ns / (double) quota.units
                   * (double) (quota.burst ? quota.burst : quota.units);

            p.roomy = debt < 86400e9;
        }
    }

    /* the limit is called like the zone, and policies have words of their own */

    if ((name.len == 3 && ngx_strncmp(name.data, "all", 3) == 0)
        || (name.len == 7 && ngx_strncmp(name.data, "binding", 7) == 0))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "zone name \"%V\" is reserved", &name);
        return NGX_CONF_ERROR;
    }

    zone = ngx_http_tollgate_add_zone(cf, &name, size);
    if (zone == NULL) {
        return NGX_CONF_ERROR;
    }

    zone->inlined = 1;
    zone->may_lease = p.concurrent.len ? 1 : 0;
    zone->weighed = !zone->may_lease;
    zone->reject_errors = reject_errors ? 1 : 0;

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = &value[1];
    ccv.complex_value = &zone->key;

    if (ngx_http_compile_complex_value(&ccv) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (algorithm >= 0) {

        /*
         * A limiter decides in a fraction of the time that a policy takes.
         * The policy, which nobody uses, tells what is wrong with parameters,
         * and how header fields begin.
         */

        if (ngx_http_tollgate_text(cf, zone, &p, 16) != NGX_OK) {
            return NGX_CONF_ERROR;
        }

        if (tollgate_policy_from_text((char *) zone->text.data,
                                      zone->text.len, NULL, &policy)
            != TOLLGATE_OK)
        {
            ngx_http_tollgate_say(NGX_LOG_EMERG, cf->log);
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "the limit of zone \"%V\" cannot be made",
                               &name);
            return NGX_CONF_ERROR;
        }

        if (p.headers.len == 0
            || ngx_strcmp(p.headers.data, "x-ratelimit") == 0)
        {
            zone->dialect = NGX_HTTP_TOLLGATE_X_RATELIMIT;

        } else if (ngx_strcmp(p.headers.data, "ratelimit") == 0) {
            zone->dialect = NGX_HTTP_TOLLGATE_RATELIMIT;

        } else if (ngx_strcmp(p.headers.data, "retry-after") == 0) {
            zone->dialect = NGX_HTTP_TOLLGATE_RETRY_AFTER;

        } else {
            zone->dialect = NGX_HTTP_TOLLGATE_NONE;
        }

        if (ngx_http_tollgate_learn(cf, zone, policy) != NGX_OK) {
            tollgate_policy_free(policy);
            return NGX_CONF_ERROR;
        }

        tollgate_policy_free(policy);

        zone->direct = 1;
        zone->algorithm = algorithm;
        zone->quota = quota;
        zone->roomy = p.roomy ? 1 : 0;
        zone->reject_full = p.reject_full ? 1 : 0;
    }

    return ngx_http_tollgate_fill(cf, zone, &p);
}


char *
ngx_http_tollgate_policy(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char                      *rv;
    ssize_t                    size;
    ngx_str_t                 *value, name, file;
    ngx_uint_t                 i, reject_errors;
    ngx_http_tollgate_zone_t  *zone;

    ngx_str_null(&name);
    size = 0;
    reject_errors = 0;

    value = cf->args->elts;

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "zone=", 5) == 0) {
            rv = ngx_http_tollgate_zone_param(cf, &value[i], &name, &size);
            if (rv != NGX_CONF_OK) {
                return rv;
            }

            continue;
        }

        if (ngx_strncmp(value[i].data, "error=", 6) == 0) {
            rv = ngx_http_tollgate_choice(cf, &value[i], 6, &reject_errors);
            if (rv != NGX_CONF_OK) {
                return rv;
            }

            continue;
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\"", &value[i]);
        return NGX_CONF_ERROR;
    }

    if (name.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" must have \"zone\" parameter", &cmd->name);
        return NGX_CONF_ERROR;
    }

    file = value[1];

    if (ngx_conf_full_name(cf->cycle, &file, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    zone = ngx_http_tollgate_add_zone(cf, &name, size);
    if (zone == NULL) {
        return NGX_CONF_ERROR;
    }

    zone->file = file;
    zone->may_lease = 1;
    zone->reject_errors = reject_errors ? 1 : 0;

    if (ngx_http_tollgate_try(zone, NULL, cf->log) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "policy \"%V\" cannot be used", &file);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_tollgate_zone_param(ngx_conf_t *cf, ngx_str_t *value, ngx_str_t *name,
    ssize_t *size)
{
    u_char     *p;
    ngx_str_t   s;

    name->data = value->data + 5;

    p = (u_char *) ngx_strchr(name->data, ':');

    if (p == NULL || p == name->data) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid zone size \"%V\"", value);
        return NGX_CONF_ERROR;
    }

    name->len = p - name->data;

    if (ngx_http_tollgate_plain(name) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid zone name \"%V\"", name);
        return NGX_CONF_ERROR;
    }

    s.data = p + 1;
    s.len = value->data + value->len - s.data;

    *size = ngx_parse_size(&s);

    if (*size == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid zone size \"%V\"", value);
        return NGX_CONF_ERROR;
    }

    if (*size < (ssize_t) (8 * ngx_pagesize)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "zone \"%V\" is too small", value);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_tollgate_choice(ngx_conf_t *cf, ngx_str_t *param, size_t skip,
    ngx_uint_t *reject)
{
    u_char  *word;

    word = param->data + skip;

    if (ngx_strcmp(word, "pass") == 0) {
        *reject = 0;

    } else if (ngx_strcmp(word, "reject") == 0) {
        *reject = 1;

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\", "
                           "it must be \"pass\" or \"reject\"", param);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* whether a text may stand between quotes of a policy */

static ngx_int_t
ngx_http_tollgate_plain(ngx_str_t *s)
{
    size_t  i;

    for (i = 0; i < s->len; i++) {
        if (s->data[i] < 0x20 || s->data[i] > 0x7e || s->data[i] == '\'') {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_http_tollgate_zone_t *
ngx_http_tollgate_add_zone(ngx_conf_t *cf, ngx_str_t *name, ssize_t size)
{
    ngx_shm_zone_t                 *shm_zone;
    ngx_pool_cleanup_t             *cln;
    ngx_http_tollgate_zone_t       *zone, **zonep;
    ngx_http_tollgate_main_conf_t  *tmcf;

    tmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_tollgate_module);

    if (tmcf->zones.nelts == NGX_HTTP_TOLLGATE_MAX_ZONES) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "more than %d zones of tollgate",
                           NGX_HTTP_TOLLGATE_MAX_ZONES);
        return NULL;
    }

    shm_zone = ngx_shared_memory_add(cf, name, size,
                                     &ngx_http_tollgate_module);
    if (shm_zone == NULL) {
        return NULL;
    }

    if (shm_zone->data) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "duplicate zone \"%V\"", name);
        return NULL;
    }

    zone = ngx_pcalloc(cf->pool, sizeof(ngx_http_tollgate_zone_t));
    if (zone == NULL) {
        return NULL;
    }

    zonep = ngx_array_push(&tmcf->zones);
    if (zonep == NULL) {
        return NULL;
    }

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NULL;
    }

    cln->handler = ngx_http_tollgate_cleanup_zone;
    cln->data = zone;

    *zonep = zone;

    zone->number = tmcf->zones.nelts - 1;
    zone->shm_zone = shm_zone;
    zone->conf_file = cf->conf_file->file.name;
    zone->conf_line = cf->conf_file->line;
    zone->ip_id = TOLLGATE_NO_ID;
    zone->key_id = TOLLGATE_NO_ID;
    zone->cost_id = TOLLGATE_NO_ID;

    shm_zone->init = ngx_http_tollgate_init_zone;
    shm_zone->data = zone;

    return zone;
}


ngx_http_tollgate_zone_t *
ngx_http_tollgate_zone_of(ngx_http_tollgate_main_conf_t *tmcf, ngx_str_t *name)
{
    ngx_uint_t                 i;
    ngx_http_tollgate_zone_t  **zones;

    zones = tmcf->zones.elts;

    for (i = 0; i < tmcf->zones.nelts; i++) {
        if (zones[i]->shm_zone->shm.name.len == name->len
            && ngx_strncmp(zones[i]->shm_zone->shm.name.data, name->data,
                           name->len)
               == 0)
        {
            return zones[i];
        }
    }

    return NULL;
}


/* the policy that says what the parameters of a zone do */

static ngx_int_t
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

static char *
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


static ngx_int_t
ngx_http_tollgate_make(ngx_http_tollgate_zone_t *zone, tollgate_quota *quota,
    void *memory, size_t size, ngx_http_tollgate_engine_t *engine)
{
    int32_t                   rc;
    tollgate_quota            day;
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

            day.units = 1;
            day.period_ns = 86400 * (uint64_t) 1000000000;
            day.burst = 1;

            lo.room_for = &day;
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


static void
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

static ngx_int_t
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

static ngx_int_t
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

static void
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

static size_t
ngx_http_tollgate_usable(size_t size)
{
    size_t  pages;

    pages = (size - ngx_pagesize) / (ngx_pagesize + sizeof(ngx_slab_page_t));

    /* one for what it needs itself, others for our root */

    pages -= 1 + (sizeof(ngx_http_tollgate_shared_t) + ngx_pagesize - 1)
                 / ngx_pagesize;

    return pages * ngx_pagesize;
}


static ngx_shm_zone_t *
ngx_http_tollgate_former(ngx_cycle_t *cycle, ngx_str_t *name)
{
    ngx_uint_t        i;
    ngx_shm_zone_t   *shm_zone;
    ngx_list_part_t  *part;

    if (cycle == NULL) {
        return NULL;
    }

    part = &cycle->shared_memory.part;
    shm_zone = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                break;
            }

            part = part->next;
            shm_zone = part->elts;
            i = 0;
        }

        if (shm_zone[i].shm.addr
            && shm_zone[i].shm.name.len == name->len
            && ngx_strncmp(shm_zone[i].shm.name.data, name->data, name->len)
               == 0)
        {
            return &shm_zone[i];
        }
    }

    return NULL;
}


/* a name that no policy has is a mistake */

ngx_int_t
ngx_http_tollgate_check_names(ngx_conf_t *cf)
{
    uint32_t                        id;
    ngx_uint_t                      i, n;
    tollgate_policy                *policy;
    ngx_http_tollgate_zone_t      **zones;
    ngx_http_tollgate_name_t       *names;
    ngx_http_tollgate_main_conf_t  *tmcf;

    tmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_tollgate_module);

    if (tmcf->attributes.nelts == 0 && tmcf->costs.nelts == 0) {
        return NGX_OK;
    }

    zones = tmcf->zones.elts;

    for (i = 0; i < tmcf->zones.nelts; i++) {

        if (zones[i]->inlined) {
            continue;
        }

        if (tollgate_policy_from_file((char *) zones[i]->file.data,
                                      zones[i]->file.len, NULL, &policy)
            != TOLLGATE_OK)
        {
            ngx_http_tollgate_say(NGX_LOG_EMERG, cf->log);
            return NGX_ERROR;
        }

        names = tmcf->attributes.elts;

        for (n = 0; n < tmcf->attributes.nelts; n++) {
            if (tollgate_policy_attribute(policy, (char *) names[n].name.data,
                                          names[n].name.len, &id)
                == TOLLGATE_OK)
            {
                names[n].known = 1;
            }
        }

        names = tmcf->costs.elts;

        for (n = 0; n < tmcf->costs.nelts; n++) {
            if (tollgate_policy_dimension(policy, (char *) names[n].name.data,
                                          names[n].name.len, &id)
                == TOLLGATE_OK)
            {
                names[n].known = 1;
            }
        }

        tollgate_policy_free(policy);
    }

    names = tmcf->attributes.elts;

    for (n = 0; n < tmcf->attributes.nelts; n++) {
        if (!names[n].known) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "no policy names the attribute \"%V\" in %V:%ui",
                          &names[n].name, &names[n].conf_file,
                          names[n].conf_line);
            return NGX_ERROR;
        }
    }

    names = tmcf->costs.elts;

    for (n = 0; n < tmcf->costs.nelts; n++) {
        if (!names[n].known) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "no policy names the cost \"%V\" in %V:%ui",
                          &names[n].name, &names[n].conf_file,
                          names[n].conf_line);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/*
 * When the configuration is loaded again, policies are made over the memory
 * that their zones have already: limits of the same name, key and algorithm
 * go on.  Where that cannot be, the zone is given memory of its own.  That is
 * to be known before nginx looks at the zones.
 */

ngx_int_t
ngx_http_tollgate_carry_zones(ngx_conf_t *cf)
{
    ngx_int_t                       rc;
    ngx_uint_t                      i;
    tollgate_quota                  quota;
    ngx_shm_zone_t                 *shm_zone, *former;
    ngx_slab_pool_t                *shpool;
    ngx_http_tollgate_zone_t      **zones, *zone, *before;
    ngx_http_tollgate_shared_t     *shared;
    ngx_http_tollgate_main_conf_t  *tmcf;

    tmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_tollgate_module);

    zones = tmcf->zones.elts;

    for (i = 0; i < tmcf->zones.nelts; i++) {
        zone = zones[i];
        shm_zone = zone->shm_zone;

        former = ngx_http_tollgate_former(cf->cycle->old_cycle,
                                          &shm_zone->shm.name);
        if (former == NULL) {
            continue;
        }

        if (former->tag != shm_zone->tag) {
            ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                          "tollgate zone \"%V\" starts afresh: "
                          "it was of something else", &shm_zone->shm.name);
            continue;
        }

        if (former->shm.size != shm_zone->shm.size) {
            ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                          "tollgate zone \"%V\" starts afresh: "
                          "its size was %uz bytes and is %uz",
                          &shm_zone->shm.name, former->shm.size,
                          shm_zone->shm.size);
            continue;
        }

        before = former->data;

        if (before->inlined != zone->inlined
            || before->key.value.len != zone->key.value.len
            || (zone->key.value.len
                && ngx_strncmp(before->key.value.data, zone->key.value.data,
                               zone->key.value.len)
                   != 0))
        {
            ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                          "tollgate zone \"%V\" starts afresh: "
                          "its key was \"%V\" and is \"%V\"",
                          &shm_zone->shm.name, &before->key.value,
                          &zone->key.value);
            shm_zone->noreuse = 1;
            continue;
        }

        shpool = (ngx_slab_pool_t *) former->shm.addr;
        shared = shpool->data;

        quota = zone->direct && before->direct ? before->quota : zone->quota;

        rc = ngx_http_tollgate_make(zone, &quota, shared->memory, shared->size,
                                    &zone->engine);

        if (rc == NGX_OK && zone->direct
            && ngx_memcmp(&quota, &zone->quota, sizeof(tollgate_quota)) != 0)
        {
            /* it holds for former workers, too */

            if (tollgate_limiter_set_quota(zone->engine.limiter, &zone->quota)
                == TOLLGATE_OK)
            {
                zone->former_quota = quota;
                zone->requoted = 1;

            } else {
                ngx_http_tollgate_unmake(&zone->engine);
                rc = NGX_ERROR;
            }
        }

        if (rc != NGX_OK) {
            ngx_http_tollgate_say(NGX_LOG_WARN, cf->log);
            ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                          "tollgate zone \"%V\" starts afresh: "
                          "there is no way from what it was",
                          &shm_zone->shm.name);
            shm_zone->noreuse = 1;
            continue;
        }

        zone->shared = shared;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_tollgate_init_zone(ngx_shm_zone_t *shm_zone, void *data)
{
    size_t                       size;
    ngx_slab_pool_t             *shpool;
    ngx_http_tollgate_zone_t    *zone;
    ngx_http_tollgate_shared_t  *shared;

    zone = shm_zone->data;

    if (data && !shm_zone->noreuse) {
        /* it was carried over */
        return NGX_OK;
    }

    shpool = (ngx_slab_pool_t *) shm_zone->shm.addr;

    shared = ngx_slab_calloc(shpool, sizeof(ngx_http_tollgate_shared_t));
    if (shared == NULL) {
        goto small;
    }

    size = ngx_http_tollgate_usable(shm_zone->shm.size);

    shared->memory = ngx_slab_calloc(shpool, size);
    if (shared->memory == NULL) {
        goto small;
    }

    shared->size = size;
    shpool->data = shared;
    zone->shared = shared;

    if (ngx_http_tollgate_make(zone, &zone->quota, shared->memory, size,
                               &zone->engine)
        != NGX_OK)
    {
        ngx_http_tollgate_say(NGX_LOG_EMERG, shm_zone->shm.log);
        ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                      "tollgate zone \"%V\" cannot be made in %V:%ui",
                      &shm_zone->shm.name, &zone->conf_file, zone->conf_line);
        return NGX_ERROR;
    }

    return NGX_OK;

small:

    ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                  "tollgate zone \"%V\" is too small in %V:%ui",
                  &shm_zone->shm.name, &zone->conf_file, zone->conf_line);

    return NGX_ERROR;
}


/* from here on, the new configuration holds */

ngx_int_t
ngx_http_tollgate_commit_zones(ngx_cycle_t *cycle)
{
    ngx_uint_t                      i;
    ngx_shm_zone_t                 *former;
    ngx_http_tollgate_zone_t      **zones;
    ngx_http_tollgate_main_conf_t  *tmcf;

    tmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_tollgate_module);
    if (tmcf == NULL) {
        return NGX_OK;
    }

    zones = tmcf->zones.elts;

    for (i = 0; i < tmcf->zones.nelts; i++) {

        if (ngx_http_tollgate_bind(tmcf, zones[i], cycle->pool) != NGX_OK) {
            return NGX_ERROR;
        }

        zones[i]->requoted = 0;

        if (!zones[i]->shm_zone->noreuse) {
            continue;
        }

        /* nginx frees the memory of a former zone only if this is set there */

        former = ngx_http_tollgate_former(cycle->old_cycle,
                                          &zones[i]->shm_zone->shm.name);
        if (former) {
            former->noreuse = 1;
        }

        /* the next configuration may go on with ours */

        zones[i]->shm_zone->noreuse = 0;
    }

    return NGX_OK;
}


/* looks up the numbers of names */

static ngx_int_t
ngx_http_tollgate_bind(ngx_http_tollgate_main_conf_t *tmcf,
    ngx_http_tollgate_zone_t *zone, ngx_pool_t *pool)
{
    ngx_uint_t                 i;
    ngx_http_tollgate_name_t  *names;

    if (zone->direct) {
        return NGX_OK;
    }

    if (zone->inlined) {
        (void) tollgate_policy_attribute(zone->engine.policy, "key", 3,
                                         &zone->key_id);
        (void) tollgate_policy_dimension(zone->engine.policy, "cost", 4,
                                         &zone->cost_id);
        return NGX_OK;
    }

    zone->attributes = ngx_palloc(pool,
                                  (tmcf->attributes.nelts + 1)
                                  * sizeof(uint32_t));
    zone->costs = ngx_palloc(pool,
                             (tmcf->costs.nelts + 1) * sizeof(uint32_t));

    if (zone->attributes == NULL || zone->costs == NULL) {
        return NGX_ERROR;
    }

    /* what is known of every request may be given another value */

    (void) tollgate_policy_attribute(zone->engine.policy, "ip", 2, &zone->ip_id);

    names = tmcf->attributes.elts;

    for (i = 0; i < tmcf->attributes.nelts; i++) {
        (void) tollgate_policy_attribute(zone->engine.policy, (char *) names[i].name.data,
                                         names[i].name.len, &zone->attributes[i]);
    }

    names = tmcf->costs.elts;

    for (i = 0; i < tmcf->costs.nelts; i++) {
        (void) tollgate_policy_dimension(zone->engine.policy, (char *) names[i].name.data,
                                         names[i].name.len, &zone->costs[i]);
    }

    return NGX_OK;
}


void
ngx_http_tollgate_count(ngx_http_tollgate_zone_t *zone, ngx_uint_t status)
{
    ngx_http_tollgate_counts_t  *counts;

    counts = &zone->shared->counts[ngx_worker % NGX_HTTP_TOLLGATE_STRIPES];

    switch (status) {

    case NGX_HTTP_TOLLGATE_PASSED:
        (void) ngx_atomic_fetch_add(&counts->n.passed, 1);
        break;

    case NGX_HTTP_TOLLGATE_REJECTED:
        (void) ngx_atomic_fetch_add(&counts->n.rejected, 1);
        break;

    case NGX_HTTP_TOLLGATE_REJECTED_DRY_RUN:
        (void) ngx_atomic_fetch_add(&counts->n.dry_run, 1);
        break;

    default:
        (void) ngx_atomic_fetch_add(&counts->n.errors, 1);
        break;
    }
}


static void
ngx_http_tollgate_cleanup_zone(void *data)
{
    ngx_http_tollgate_zone_t  *zone = data;

    if (zone->requoted) {

        /* the configuration failed, and the former goes on */

        (void) tollgate_limiter_set_quota(zone->engine.limiter,
                                          &zone->former_quota);
    }

    ngx_http_tollgate_unmake(&zone->engine);
}
