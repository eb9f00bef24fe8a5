
/*
 * What is told of decisions: header fields, bodies, variables, a report.
 */


#include "ngx_http_tollgate.h"


#define NGX_HTTP_TOLLGATE_MAX_FIELDS  32

#define NGX_HTTP_TOLLGATE_VAR_STATUS       0
#define NGX_HTTP_TOLLGATE_VAR_ZONE         1
#define NGX_HTTP_TOLLGATE_VAR_LIMIT        2
#define NGX_HTTP_TOLLGATE_VAR_CAUSE        3
#define NGX_HTTP_TOLLGATE_VAR_QUOTA        4
#define NGX_HTTP_TOLLGATE_VAR_REMAINING    5
#define NGX_HTTP_TOLLGATE_VAR_RESET_AFTER  6
#define NGX_HTTP_TOLLGATE_VAR_RETRY_AFTER  7


static ngx_uint_t ngx_http_tollgate_is_type(tollgate_field *field);
static ngx_int_t ngx_http_tollgate_header_filter(ngx_http_request_t *r);
static ngx_int_t ngx_http_tollgate_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_tollgate_filter_init(ngx_conf_t *cf);


static ngx_http_module_t  ngx_http_tollgate_filter_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_http_tollgate_filter_init,         /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


/* filters and handlers have an order each, so this is a module of its own */

ngx_module_t  ngx_http_tollgate_filter_module = {
    NGX_MODULE_V1,
    &ngx_http_tollgate_filter_module_ctx,  /* module context */
    NULL,                                  /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


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


static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;


/* the context, also after an internal redirect, which takes it away */

ngx_http_tollgate_ctx_t *
ngx_http_tollgate_get_ctx(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t       *cln;
    ngx_http_tollgate_ctx_t  *ctx;

    r = r->main;

    ctx = ngx_http_get_module_ctx(r, ngx_http_tollgate_module);

    if (ctx || !(r->internal || r->filter_finalize)) {
        return ctx;
    }

    for (cln = r->pool->cleanup; cln; cln = cln->next) {
        if (cln->handler == ngx_http_tollgate_cleanup) {
            ctx = cln->data;
            ngx_http_set_ctx(r, ctx, ngx_http_tollgate_module);
            break;
        }
    }

    return ctx;
}


/* keeps the header fields of a verdict, which is of the next request soon */

ngx_int_t
ngx_http_tollgate_fields(ngx_http_request_t *r, ngx_http_tollgate_ctx_t *ctx,
    ngx_http_tollgate_verdict_t *v)
{
    char            *buffer, *copy;
    size_t           i, needed, count;
    int32_t          rc;
    tollgate_field  *fields;

    static char            text[2048];
    static tollgate_field  array[NGX_HTTP_TOLLGATE_MAX_FIELDS];

    buffer = text;
    fields = array;

    rc = tollgate_verdict_fields(v->handle, text, sizeof(text), &needed,
                                 array, NGX_HTTP_TOLLGATE_MAX_FIELDS, &count);

    if (rc == TOLLGATE_ERROR_BUFFER) {
        buffer = ngx_pnalloc(r->pool, needed);
        fields = ngx_palloc(r->pool, count * sizeof(tollgate_field));

        if (buffer == NULL || fields == NULL) {
            return NGX_ERROR;
        }

        rc = tollgate_verdict_fields(v->handle, buffer, needed, &needed,
                                     fields, count, &count);
    }

    if (rc != TOLLGATE_OK) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "tollgate has no header fields: %s",
                      tollgate_status_text(rc));
        return NGX_OK;
    }

    if (buffer == text) {

        if (count == 0) {
            ctx->nfields = 0;
            return NGX_OK;
        }

        copy = ngx_pnalloc(r->pool, needed);
        fields = ngx_palloc(r->pool, count * sizeof(tollgate_field));

        if (copy == NULL || fields == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(copy, text, needed);
        ngx_memcpy(fields, array, count * sizeof(tollgate_field));

        for (i = 0; i < count; i++) {
            fields[i].name = copy + (array[i].name - text);
            fields[i].value = copy + (array[i].value - text);
        }
    }

    ctx->fields = fields;
    ctx->nfields = count;

    return NGX_OK;
}


/* the same of a limiter, in the words that a policy has for it */

ngx_int_t
ngx_http_tollgate_direct_fields(ngx_http_request_t *r,
    ngx_http_tollgate_ctx_t *ctx, ngx_http_tollgate_zone_t *zone,
    tollgate_decision *decision)
{
    u_char          *p;
    uint64_t         reset;
    ngx_time_t      *tp;
    ngx_uint_t       denied;
    tollgate_field  *field;

    denied = (decision->outcome != TOLLGATE_ALLOWED);

    if (zone->dialect >= NGX_HTTP_TOLLGATE_RETRY_AFTER && !denied) {
        return NGX_OK;
    }

    field = ngx_palloc(r->pool, 5 * sizeof(tollgate_field));
    p = ngx_pnalloc(r->pool,
                    4 * NGX_INT64_LEN + sizeof(";r=;t=") + zone->draft_name.len);

    if (field == NULL || p == NULL) {
        return NGX_ERROR;
    }

    ctx->fields = field;

#define ngx_http_tollgate_field(text)                                         \
        field->name = text;                                                   \
        field->name_length = sizeof(text) - 1;                                \
        field->value = (char *) p

#define ngx_http_tollgate_value(format, number)                               \
        p = ngx_sprintf(p, format, number);                                   \
        field->value_length = (char *) p - field->value;                      \
        field++

    if (zone->dialect == NGX_HTTP_TOLLGATE_X_RATELIMIT) {

        ngx_http_tollgate_field("X-RateLimit-Limit");
        ngx_http_tollgate_value("%uL", decision->limit);

        ngx_http_tollgate_field("X-RateLimit-Remaining");
        ngx_http_tollgate_value("%uL", decision->remaining);

        if (decision->next_after_ns != TOLLGATE_FOREVER) {
            tp = ngx_timeofday();
            reset = (uint64_t) tp->sec
                    + tollgate_seconds((uint64_t) tp->msec * 1000000
                                       + decision->next_after_ns);

            ngx_http_tollgate_field("X-RateLimit-Reset");
            ngx_http_tollgate_value("%uL", reset);
        }

    } else if (zone->dialect == NGX_HTTP_TOLLGATE_RATELIMIT) {

        ngx_http_tollgate_field("RateLimit-Policy");
        field->value = (char *) zone->draft_policy.data;
        field->value_length = zone->draft_policy.len;
        field++;

        ngx_http_tollgate_field("RateLimit");
        p = ngx_sprintf(p, "%V;r=%uL", &zone->draft_name, decision->remaining);

        if (decision->next_after_ns != TOLLGATE_FOREVER) {
            p = ngx_sprintf(p, ";t=%uL",
                            tollgate_seconds(decision->next_after_ns));
        }

        field->value_length = (char *) p - field->value;
        field++;
    }

    if (denied) {

        if (decision->retry_after_ns != TOLLGATE_FOREVER
            && zone->dialect != NGX_HTTP_TOLLGATE_NONE)
        {
            ngx_http_tollgate_field("Retry-After");
            ngx_http_tollgate_value("%uL",
                                    tollgate_seconds(decision->retry_after_ns));
        }

        ngx_http_tollgate_field("Cache-Control");
        field->value = "no-store";
        field->value_length = sizeof("no-store") - 1;
        field++;
    }

#undef ngx_http_tollgate_field
#undef ngx_http_tollgate_value

    ctx->nfields = field - ctx->fields;

    return NGX_OK;
}


static ngx_uint_t
ngx_http_tollgate_is_type(tollgate_field *field)
{
    return field->name_length == sizeof("Content-Type") - 1
           && ngx_strncasecmp((u_char *) field->name,
                              (u_char *) "Content-Type",
                              sizeof("Content-Type") - 1)
              == 0;
}


/* NGX_DECLINED: it has none */

ngx_int_t
ngx_http_tollgate_body(ngx_http_request_t *r, ngx_http_tollgate_ctx_t *ctx,
    ngx_http_tollgate_verdict_t *v, ngx_str_t *body, ngx_str_t *type)
{
    size_t   i, needed;
    int32_t  rc;

    rc = tollgate_verdict_body(v->handle, NULL, 0, &needed);

    if ((rc != TOLLGATE_OK && rc != TOLLGATE_ERROR_BUFFER) || needed == 0) {
        return NGX_DECLINED;
    }

    body->data = ngx_pnalloc(r->pool, needed + 1);
    if (body->data == NULL) {
        return NGX_ERROR;
    }

    if (tollgate_verdict_body(v->handle, (char *) body->data, needed + 1,
                              &needed)
        != TOLLGATE_OK)
    {
        return NGX_ERROR;
    }

    body->len = needed;

    /* the fields are there unless they are off */

    if (ctx->nfields == 0 && ngx_http_tollgate_fields(r, ctx, v) == NGX_OK) {
        rc = TOLLGATE_GONE;
    }

    ngx_str_set(type, "text/plain");

    for (i = 0; i < ctx->nfields; i++) {
        if (ngx_http_tollgate_is_type(&ctx->fields[i])) {
            type->data = (u_char *) ctx->fields[i].value;
            type->len = ctx->fields[i].value_length;
        }
    }

    if (rc == TOLLGATE_GONE) {
        ctx->nfields = 0;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_tollgate_header_filter(ngx_http_request_t *r)
{
    size_t                    i;
    ngx_table_elt_t          *h;
    ngx_http_tollgate_ctx_t  *ctx;

    if (r != r->main) {
        return ngx_http_next_header_filter(r);
    }

    ctx = ngx_http_tollgate_get_ctx(r);

    if (ctx == NULL) {
        return ngx_http_next_header_filter(r);
    }

    for (i = 0; i < ctx->nfields; i++) {

        if (ngx_http_tollgate_is_type(&ctx->fields[i])) {
            continue;
        }

        h = ngx_list_push(&r->headers_out.headers);
        if (h == NULL) {
            return NGX_ERROR;
        }

        h->hash = 1;
#if (nginx_version >= 1023000)
        h->next = NULL;
#endif
        h->key.data = (u_char *) ctx->fields[i].name;
        h->key.len = ctx->fields[i].name_length;
        h->value.data = (u_char *) ctx->fields[i].value;
        h->value.len = ctx->fields[i].value_length;
    }

    return ngx_http_next_header_filter(r);
}


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

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    tmcf = ngx_http_get_module_main_conf(r, ngx_http_tollgate_module);
    zones = tmcf->zones.elts;

    size = 512;

    for (i = 0; i < tmcf->zones.nelts; i++) {
        size += 512 + 12 * zones[i]->shm_zone->shm.name.len;
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

    ngx_str_set(&r->headers_out.content_type, "text/plain");
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = b->last - b->pos;

    b->last_buf = 1;
    b->last_in_chain = 1;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    return ngx_http_output_filter(r, &out);
}


static ngx_int_t
ngx_http_tollgate_filter_init(ngx_conf_t *cf)
{
    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_tollgate_header_filter;

    return NGX_OK;
}
