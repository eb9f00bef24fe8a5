
/*
 * Variables, and the report of all zones.
 */


#include "ngx_http_tollgate.h"


#define NGX_HTTP_TOLLGATE_VAR_STATUS       0
#define NGX_HTTP_TOLLGATE_VAR_ZONE         1
#define NGX_HTTP_TOLLGATE_VAR_LIMIT        2
#define NGX_HTTP_TOLLGATE_VAR_CAUSE        3
#define NGX_HTTP_TOLLGATE_VAR_QUOTA        4
#define NGX_HTTP_TOLLGATE_VAR_REMAINING    5
#define NGX_HTTP_TOLLGATE_VAR_RESET_AFTER  6
#define NGX_HTTP_TOLLGATE_VAR_RETRY_AFTER  7

#define NGX_HTTP_TOLLGATE_LABEL            512


static ngx_int_t ngx_http_tollgate_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static size_t ngx_http_tollgate_limits(ngx_http_tollgate_zone_t *zone);
static u_char *ngx_http_tollgate_gauges(u_char *last,
    ngx_http_tollgate_zone_t *zone, char *metric, ngx_uint_t which);


static ngx_http_variable_t  ngx_http_tollgate_vars[] = {

    { ngx_string("tollgate_status"), NULL, ngx_http_tollgate_variable,
      NGX_HTTP_TOLLGATE_VAR_STATUS, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("tollgate_zone"), NULL, ngx_http_tollgate_variable,
      NGX_HTTP_TOLLGATE_VAR_ZONE, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("tollgate_limit"), NULL, ngx_http_tollgate_variable,
      NGX_HTTP_TOLLGATE_VAR_LIMIT, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("tollgate_cause"), NULL, ngx_http_tollgate_variable,
      NGX_HTTP_TOLLGATE_VAR_CAUSE, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("tollgate_quota"), NULL, ngx_http_tollgate_variable,
      NGX_HTTP_TOLLGATE_VAR_QUOTA, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("tollgate_remaining"), NULL, ngx_http_tollgate_variable,
      NGX_HTTP_TOLLGATE_VAR_REMAINING, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("tollgate_reset_after"), NULL, ngx_http_tollgate_variable,
      NGX_HTTP_TOLLGATE_VAR_RESET_AFTER, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("tollgate_retry_after"), NULL, ngx_http_tollgate_variable,
      NGX_HTTP_TOLLGATE_VAR_RETRY_AFTER, NGX_HTTP_VAR_NOCACHEABLE, 0 },

      ngx_http_null_variable
};


static ngx_str_t  ngx_http_tollgate_statuses[] = {
    ngx_string("PASSED"),
    ngx_string("REJECTED"),
    ngx_string("REJECTED_DRY_RUN"),
    ngx_string("ERROR")
};


static ngx_str_t  ngx_http_tollgate_causes[] = {
    ngx_string("limit"),
    ngx_string("exempt"),
    ngx_string("refused"),
    ngx_string("blocked"),
    ngx_string("missing")
};


static ngx_int_t
ngx_http_tollgate_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    u_char                   *p;
    uint64_t                  number;
    ngx_str_t                *s;
    ngx_http_tollgate_ctx_t  *ctx;

    ctx = ngx_http_tollgate_get_ctx(r);

    if (ctx == NULL || ctx->status == 0) {
        goto none;
    }

    switch (data) {

    case NGX_HTTP_TOLLGATE_VAR_STATUS:
        s = &ngx_http_tollgate_statuses[ctx->status - 1];
        goto text;

    case NGX_HTTP_TOLLGATE_VAR_ZONE:
        s = &ctx->zone;
        goto text;

    case NGX_HTTP_TOLLGATE_VAR_LIMIT:
        s = &ctx->limit;
        goto text;

    case NGX_HTTP_TOLLGATE_VAR_CAUSE:
        if (!ctx->detailed
            || ctx->cause >= sizeof(ngx_http_tollgate_causes)
                             / sizeof(ngx_http_tollgate_causes[0]))
        {
            goto none;
        }

        s = &ngx_http_tollgate_causes[ctx->cause];
        goto text;

    case NGX_HTTP_TOLLGATE_VAR_QUOTA:
        number = ctx->quota;
        break;

    case NGX_HTTP_TOLLGATE_VAR_REMAINING:
        number = ctx->remaining;
        break;

    case NGX_HTTP_TOLLGATE_VAR_RESET_AFTER:
        number = tollgate_seconds(ctx->reset_after);
        break;

    default: /* NGX_HTTP_TOLLGATE_VAR_RETRY_AFTER */
        number = tollgate_seconds(ctx->retry_after);
        break;
    }

    if (!ctx->detailed
        || (data != NGX_HTTP_TOLLGATE_VAR_RETRY_AFTER && !ctx->numbered)
        || number == TOLLGATE_FOREVER)
    {
        goto none;
    }

    p = ngx_pnalloc(r->pool, NGX_INT64_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    v->len = ngx_sprintf(p, "%uL", number) - p;
    v->data = p;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;

text:

    if (s->len == 0) {
        goto none;
    }

    v->len = s->len;
    v->data = s->data;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;

none:

    v->not_found = 1;

    return NGX_OK;
}


ngx_int_t
ngx_http_tollgate_add_variables(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var, *v;

    for (v = ngx_http_tollgate_vars; v->name.len; v++) {
        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return NGX_OK;
}


/* whether the configuration has a variable beside $tollgate_status */

ngx_int_t
ngx_http_tollgate_reads_details(ngx_conf_t *cf)
{
    ngx_uint_t                  i;
    ngx_http_variable_t        *var, *v;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    var = cmcf->variables.elts;

    for (i = 0; i < cmcf->variables.nelts; i++) {

        for (v = ngx_http_tollgate_vars + 1; v->name.len; v++) {

            if (var[i].name.len == v->name.len
                && ngx_strncmp(var[i].name.data, v->name.data, v->name.len)
                   == 0)
            {
                return 1;
            }
        }
    }

    return 0;
}


static size_t
ngx_http_tollgate_limits(ngx_http_tollgate_zone_t *zone)
{
    return zone->direct ? 1 : tollgate_policy_limit_count(zone->engine.policy);
}


/* one line for each limit of a zone that keeps anything */

static u_char *
ngx_http_tollgate_gauges(u_char *last, ngx_http_tollgate_zone_t *zone,
    char *metric, ngx_uint_t which)
{
    char             *p, name[NGX_HTTP_TOLLGATE_LABEL];
    size_t            n, count;
    uint64_t          number;
    ngx_str_t        *of;
    tollgate_gauges   gauges;

    of = &zone->shm_zone->shm.name;
    count = ngx_http_tollgate_limits(zone);

    for (n = 0; n < count; n++) {

        ngx_memzero(&gauges, sizeof(tollgate_gauges));
        gauges.size = sizeof(tollgate_gauges);

        if ((zone->direct
             ? tollgate_limiter_gauges(zone->engine.limiter, TOLLGATE_NOW,
                                       &gauges)
             : tollgate_policy_limit_gauges(zone->engine.policy, n, NULL,
                                            &gauges))
            != TOLLGATE_OK)
        {
            continue;
        }

        last = ngx_sprintf(last, "%s{zone=\"%V\",limit=\"", metric, of);

        if (zone->inlined) {
            last = ngx_cpymem(last, of->data, of->len);

        } else if (tollgate_policy_limit_name(zone->engine.policy, n, name,
                                              sizeof(name), NULL)
                   == TOLLGATE_OK)
        {
            for (p = name; *p; p++) {

                if (*p == '"' || *p == '\\' || *p == '\n') {
                    *last++ = '\\';
                }

                *last++ = (*p == '\n') ? 'n' : *p;
            }

        } else {
            /* too long */
            last = ngx_sprintf(last, "#%uz", n + 1);
        }

        number = (which == 0) ? gauges.live_keys
                 : (which == 1) ? gauges.capacity : gauges.saturated;

        last = ngx_sprintf(last, "\"} %uL\n", number);
    }

    return last;
}


/* as programs that collect such counts read it */

ngx_int_t
ngx_http_tollgate_report_handler(ngx_http_request_t *r)
{
    size_t                          size;
    ngx_int_t                       rc;
    ngx_buf_t                      *b;
    ngx_uint_t                      i, n, k;
    ngx_str_t                      *name;
    ngx_chain_t                     out;
    ngx_http_tollgate_zone_t      **zones;
    ngx_http_tollgate_counts_t     *counts;
    ngx_http_tollgate_main_conf_t  *tmcf;
    ngx_atomic_uint_t               sums[4];

    static char  *words[] = {
        "passed", "rejected", "rejected_dry_run", "error"
    };

    static char  *gauges[] = {
        "tollgate_limit_keys", "tollgate_limit_capacity",
        "tollgate_limit_saturated_total"
    };

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    tmcf = ngx_http_get_module_main_conf(r, ngx_http_tollgate_module);
    zones = tmcf->zones.elts;

    size = 1024;

    for (i = 0; i < tmcf->zones.nelts; i++) {
        size += 512 + 12 * zones[i]->shm_zone->shm.name.len;
        size += ngx_http_tollgate_limits(zones[i])
                * 3 * (sizeof("tollgate_limit_saturated_total"
                              "{zone=\"\",limit=\"\"} \n")
                       + NGX_INT64_LEN + zones[i]->shm_zone->shm.name.len
                       + 2 * NGX_HTTP_TOLLGATE_LABEL);
    }

    b = ngx_create_temp_buf(r->pool, size);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    out.buf = b;
    out.next = NULL;

    b->last = ngx_sprintf(b->last, "# TYPE tollgate_requests_total counter\n");

    for (i = 0; i < tmcf->zones.nelts; i++) {
        name = &zones[i]->shm_zone->shm.name;

        ngx_memzero(sums, sizeof(sums));

        for (n = 0; n < NGX_HTTP_TOLLGATE_STRIPES; n++) {
            counts = &zones[i]->shared->counts[n];

            sums[0] += counts->n.passed;
            sums[1] += counts->n.rejected;
            sums[2] += counts->n.dry_run;
            sums[3] += counts->n.errors;
        }

        for (k = 0; k < 4; k++) {
            b->last = ngx_sprintf(b->last,
                                  "tollgate_requests_total"
                                  "{zone=\"%V\",status=\"%s\"} %uA\n",
                                  name, words[k], sums[k]);
        }
    }

    b->last = ngx_sprintf(b->last, "# TYPE tollgate_zone_bytes gauge\n");

    for (i = 0; i < tmcf->zones.nelts; i++) {
        name = &zones[i]->shm_zone->shm.name;

        b->last = ngx_sprintf(b->last,
                              "tollgate_zone_bytes{zone=\"%V\"} %uz\n",
                              name, zones[i]->shared->size);
    }

    b->last = ngx_sprintf(b->last, "# TYPE tollgate_zone_used_bytes gauge\n");

    for (i = 0; i < tmcf->zones.nelts; i++) {
        name = &zones[i]->shm_zone->shm.name;

        b->last = ngx_sprintf(b->last,
                              "tollgate_zone_used_bytes{zone=\"%V\"} %uL\n",
                              name, tollgate_region_size(zones[i]->engine.region));
    }

    for (k = 0; k < 3; k++) {
        b->last = ngx_sprintf(b->last, "# TYPE %s %s\n", gauges[k],
                              (k == 2) ? "counter" : "gauge");

        for (i = 0; i < tmcf->zones.nelts; i++) {
            b->last = ngx_http_tollgate_gauges(b->last, zones[i], gauges[k], k);
        }
    }

    ngx_str_set(&r->headers_out.content_type, "text/plain");
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = b->last - b->pos;

    /* by a subrequest, the response goes on after it */

    b->last_buf = (r == r->main) ? 1 : 0;
    b->last_in_chain = 1;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    return ngx_http_output_filter(r, &out);
}
