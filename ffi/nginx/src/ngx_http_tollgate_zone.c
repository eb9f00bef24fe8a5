
/*
 * Zones: how they are declared.
 */


#include "ngx_http_tollgate.h"


static ngx_http_tollgate_zone_t *ngx_http_tollgate_add_zone(ngx_conf_t *cf,
    ngx_str_t *name, ssize_t size);
static char *ngx_http_tollgate_zone_param(ngx_conf_t *cf, ngx_str_t *value,
    ngx_str_t *name, ssize_t *size);
static char *ngx_http_tollgate_choice(ngx_conf_t *cf, ngx_str_t *param,
    size_t skip, ngx_uint_t *reject);
static ngx_int_t ngx_http_tollgate_plain(ngx_str_t *s);


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
    ngx_http_tollgate_params_t         p, *params;
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

    params = ngx_palloc(cf->pool, sizeof(ngx_http_tollgate_params_t));
    if (params == NULL) {
        return NGX_CONF_ERROR;
    }

    *params = p;
    zone->params = params;

    return ngx_http_tollgate_fill(cf, zone, params);
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

    /* it stands between quotes in the report, too */

    if (ngx_http_tollgate_plain(name) != NGX_OK
        || ngx_strlchr(name->data, p, '"') || ngx_strlchr(name->data, p, '\\'))
    {
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
