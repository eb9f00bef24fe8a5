
/*
 * What is told to clients: header fields and bodies.
 */


#include "ngx_http_tollgate.h"


#define NGX_HTTP_TOLLGATE_MAX_FIELDS  32

static ngx_uint_t ngx_http_tollgate_is_type(tollgate_field *field);
static ngx_int_t ngx_http_tollgate_header_filter(ngx_http_request_t *r);
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
ngx_http_tollgate_filter_init(ngx_conf_t *cf)
{
    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_tollgate_header_filter;

    return NGX_OK;
}
