
/*
 * The decision on a request.
 */


#include "ngx_http_tollgate.h"


#define NGX_HTTP_TOLLGATE_FULL_EVERY  60


static ngx_uint_t ngx_http_tollgate_look(ngx_http_request_t *r,
    ngx_http_tollgate_held_t *h);
static void ngx_http_tollgate_refund(ngx_http_tollgate_held_t *h);
static ngx_int_t ngx_http_tollgate_tell(ngx_http_request_t *r,
    ngx_http_tollgate_ctx_t *ctx, ngx_http_tollgate_held_t *h);
static void ngx_http_tollgate_describe(ngx_http_request_t *r,
    ngx_http_tollgate_ctx_t *ctx, ngx_http_tollgate_held_t *h,
    tollgate_summary *summary);
static void ngx_http_tollgate_log(ngx_http_request_t *r, ngx_uint_t level,
    ngx_http_tollgate_ctx_t *ctx, tollgate_summary *summary,
    ngx_uint_t dry_run);
static ngx_int_t ngx_http_tollgate_reject(ngx_http_request_t *r,
    ngx_http_tollgate_loc_conf_t *tlcf, ngx_http_tollgate_ctx_t *ctx,
    ngx_http_tollgate_held_t *h, tollgate_summary *summary);
static ngx_http_tollgate_held_t *ngx_http_tollgate_nearest(
    ngx_http_tollgate_held_t *held, ngx_uint_t n);


ngx_int_t
ngx_http_tollgate_handler(ngx_http_request_t *r)
{
    uint64_t                        bit;
    ngx_int_t                       rc;
    ngx_uint_t                      i, n, dry_run, errors, dry_rejected;
    tollgate_summary                summary;
    ngx_pool_cleanup_t             *cln;
    ngx_http_tollgate_ctx_t        *ctx;
    ngx_http_tollgate_held_t       *h, held[NGX_HTTP_TOLLGATE_MAX_LIMITS];
    ngx_http_tollgate_limit_t      *limits;
    ngx_http_tollgate_verdict_t    *v;
    ngx_http_tollgate_loc_conf_t   *tlcf;
    ngx_http_tollgate_main_conf_t  *tmcf;

    if (r != r->main) {
        return NGX_DECLINED;
    }

    tlcf = ngx_http_get_module_loc_conf(r, ngx_http_tollgate_module);

    if (tlcf->limits == NULL) {
        return NGX_DECLINED;
    }

    ctx = ngx_http_tollgate_get_ctx(r);

    if (ctx == NULL) {
        cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_tollgate_ctx_t));
        if (cln == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        ctx = cln->data;
        ngx_memzero(ctx, sizeof(ngx_http_tollgate_ctx_t));

        cln->handler = ngx_http_tollgate_cleanup;

        ngx_http_set_ctx(r, ctx, ngx_http_tollgate_module);
    }

    if (ctx->rejected) {
        /* what is served now tells the client so */
        return NGX_DECLINED;
    }

    tmcf = ngx_http_get_module_main_conf(r, ngx_http_tollgate_module);

    summary.size = sizeof(tollgate_summary);

    limits = tlcf->limits->elts;
    n = 0;
    errors = 0;
    dry_rejected = 0;

    for (i = 0; i < tlcf->limits->nelts; i++) {

        bit = (uint64_t) 1 << limits[i].zone->number;

        if (ctx->charged & bit) {
            /* an internal redirect is the same request */
            continue;
        }

        dry_run = tlcf->dry_run || limits[i].dry_run;

        h = &held[n];
        h->limit = &limits[i];
        h->dry_run = dry_run;
        h->verdict = NULL;

        rc = limits[i].zone->direct
             ? ngx_http_tollgate_check_limiter(r, h)
             : ngx_http_tollgate_check(r, tlcf, &limits[i], &h->verdict);

        if (rc == NGX_DECLINED) {
            continue;
        }

        if (rc == NGX_OK) {
            n++;
            continue;
        }

        if (rc == NGX_BUSY) {

            ngx_http_tollgate_describe(r, ctx, h, &summary);
            ngx_http_tollgate_log(r, tlcf->log_level, ctx, &summary, dry_run);
            (void) ngx_http_tollgate_look(r, h);

            if (dry_run) {
                ngx_http_tollgate_count(limits[i].zone,
                                        NGX_HTTP_TOLLGATE_REJECTED_DRY_RUN);
                ngx_http_tollgate_put_verdict(h->verdict);
                ctx->charged |= bit;
                dry_rejected = 1;
                continue;
            }

            ngx_http_tollgate_count(limits[i].zone,
                                    NGX_HTTP_TOLLGATE_REJECTED);
            ctx->status = NGX_HTTP_TOLLGATE_REJECTED;

        } else {

            /* rc == NGX_ERROR, which was logged */

            ngx_http_tollgate_count(limits[i].zone, NGX_HTTP_TOLLGATE_ERROR);

            if (!limits[i].zone->reject_errors || dry_run) {
                errors = 1;
                continue;
            }

            ctx->status = NGX_HTTP_TOLLGATE_ERROR;
        }

        /* a request that is rejected is charged nowhere */

        while (n--) {
            ngx_http_tollgate_refund(&held[n]);
        }

        ctx->rejected = 1;

        if (rc == NGX_ERROR) {
            return NGX_HTTP_SERVICE_UNAVAILABLE;
        }

        rc = ngx_http_tollgate_reject(r, tlcf, ctx, h, &summary);

        ngx_http_tollgate_put_verdict(h->verdict);

        return rc;
    }

    if (dry_rejected) {
        ctx->status = NGX_HTTP_TOLLGATE_REJECTED_DRY_RUN;

    } else if (errors) {
        ctx->status = NGX_HTTP_TOLLGATE_ERROR;

    } else if (n && ctx->status == 0) {
        ctx->status = NGX_HTTP_TOLLGATE_PASSED;
    }

    if (n == 0) {
        return NGX_DECLINED;
    }

    /* what does not bind is the nearest only if nothing binds */

    h = (n > 1) ? ngx_http_tollgate_nearest(held, n) : &held[0];

    /* of a limiter that costs nothing, and variables may be read by name */

    if (!dry_rejected && (tmcf->details || h->verdict == NULL)) {
        ngx_http_tollgate_describe(r, ctx, h, &summary);
    }

    /* clients are not to know of what does not bind them */

    rc = NGX_DECLINED;

    if (tlcf->headers && !h->dry_run
        && ngx_http_tollgate_tell(r, ctx, h) != NGX_OK)
    {
        rc = NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    for (i = 0; i < n; i++) {
        v = held[i].verdict;

        ctx->charged |= (uint64_t) 1 << held[i].limit->zone->number;

        ngx_http_tollgate_count(held[i].limit->zone, NGX_HTTP_TOLLGATE_PASSED);

        if (ngx_http_tollgate_look(r, &held[i]) & TOLLGATE_LEASED) {
            v->next = ctx->leases;
            ctx->leases = v;

        } else {
            ngx_http_tollgate_put_verdict(v);
        }
    }

    return rc;
}


/* what flags a decision has; a zone that is full is told to the log */

static ngx_uint_t
ngx_http_tollgate_look(ngx_http_request_t *r, ngx_http_tollgate_held_t *h)
{
    ngx_str_t                  full;
    ngx_uint_t                 flags;
    ngx_http_tollgate_zone_t  *zone;

    zone = h->limit->zone;

    if (h->verdict) {
        ngx_str_null(&full);
        flags = ngx_http_tollgate_flags(h->verdict, &full);

        if (zone->inlined) {
            full = zone->shm_zone->shm.name;
        }

    } else {
        full = zone->shm_zone->shm.name;
        flags = (h->decision.flags & TOLLGATE_UNACCOUNTED)
                ? TOLLGATE_TABLE_FULL : 0;
    }

    if ((flags & TOLLGATE_TABLE_FULL)
        && ngx_time() - zone->full_logged >= NGX_HTTP_TOLLGATE_FULL_EVERY)
    {
        /* by each worker; a flood of new keys is none of lines */

        zone->full_logged = ngx_time();

        ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                      "tollgate zone \"%V\" is full: there is no room "
                      "for new keys of \"%V\"",
                      &zone->shm_zone->shm.name, &full);
    }

    return flags;
}


/* gives back what was charged before another zone rejected the request */

static void
ngx_http_tollgate_refund(ngx_http_tollgate_held_t *h)
{
    if (h->verdict) {
        (void) tollgate_verdict_refund(h->verdict->handle, NULL);
        ngx_http_tollgate_put_verdict(h->verdict);
        return;
    }

    (void) tollgate_limiter_refund(h->limit->zone->engine.limiter,
                                   h->key.data, h->key.len,
                                   &h->decision.charge, TOLLGATE_NOW,
                                   &h->decision);
}


static ngx_int_t
ngx_http_tollgate_tell(ngx_http_request_t *r, ngx_http_tollgate_ctx_t *ctx,
    ngx_http_tollgate_held_t *h)
{
    if (h->verdict) {
        return ngx_http_tollgate_fields(r, ctx, h->verdict);
    }

    return ngx_http_tollgate_direct_fields(r, ctx, h->limit->zone,
                                           &h->decision);
}


/* for variables and the log */

static void
ngx_http_tollgate_describe(ngx_http_request_t *r, ngx_http_tollgate_ctx_t *ctx,
    ngx_http_tollgate_held_t *h, tollgate_summary *summary)
{
    ngx_str_t       name;
    tollgate_entry  entry;

    ctx->detailed = 1;
    ctx->zone = h->limit->zone->shm_zone->shm.name;

    if (h->verdict == NULL) {
        ctx->numbered = 1;
        ctx->limit = ctx->zone;
        ctx->cause = TOLLGATE_CAUSE_LIMITS;
        ctx->quota = h->decision.limit;
        ctx->remaining = h->decision.remaining;
        ctx->reset_after = h->decision.reset_after_ns;
        ctx->retry_after = h->decision.retry_after_ns;

        ngx_memzero(summary, sizeof(tollgate_summary));
        summary->size = sizeof(tollgate_summary);
        summary->cause = ctx->cause;
        summary->status = NGX_HTTP_TOO_MANY_REQUESTS;
        summary->retry_after_ns = ctx->retry_after;

        return;
    }

    (void) tollgate_verdict_summary(h->verdict->handle, summary);

    ctx->numbered = 0;
    ctx->cause = summary->cause;
    ctx->retry_after = summary->retry_after_ns;
    ngx_str_null(&ctx->limit);

    name.data = (u_char *) summary->name.data;
    name.len = summary->name.length;

    entry.size = sizeof(tollgate_entry);

    if (summary->binding != TOLLGATE_NO_ID
        && tollgate_verdict_entry(h->verdict->handle, summary->binding,
                                  &entry)
           == TOLLGATE_OK)
    {
        if (summary->cause == TOLLGATE_CAUSE_LIMITS) {
            name.data = (u_char *) entry.name.data;
            name.len = entry.name.length;
        }

        if (!(entry.flags & TOLLGATE_UNLIMITED)) {
            ctx->numbered = 1;
            ctx->quota = entry.limit;
            ctx->remaining = entry.remaining;
            ctx->reset_after = entry.reset_after_ns;
        }
    }

    if (name.len) {

        /* it is the verdict's */

        ctx->limit.data = ngx_pnalloc(r->pool, name.len);
        if (ctx->limit.data) {
            ngx_memcpy(ctx->limit.data, name.data, name.len);
            ctx->limit.len = name.len;
        }
    }
}


static void
ngx_http_tollgate_log(ngx_http_request_t *r, ngx_uint_t level,
    ngx_http_tollgate_ctx_t *ctx, tollgate_summary *summary,
    ngx_uint_t dry_run)
{
    char       *how;
    ngx_str_t   attribute;
    u_char      wait[NGX_INT64_LEN + sizeof(", retry after s")];

    how = dry_run ? ", dry run" : "";

    switch (summary->cause) {

    case TOLLGATE_CAUSE_REFUSED:
        ngx_log_error(level, r->connection->log, 0,
                      "refusing request%s, \"%V\" by zone \"%V\"",
                      how, &ctx->limit, &ctx->zone);
        return;

    case TOLLGATE_CAUSE_MISSING:
        attribute.data = (u_char *) summary->attribute.data;
        attribute.len = summary->attribute.length;

        ngx_log_error(level, r->connection->log, 0,
                      "limiting requests%s, \"%V\" is missing for \"%V\" "
                      "by zone \"%V\"",
                      how, &attribute, &ctx->limit, &ctx->zone);
        return;
    }

    if (summary->retry_after_ns == TOLLGATE_FOREVER) {
        wait[0] = '\0';

    } else {
        *ngx_sprintf(wait, ", retry after %uLs",
                     tollgate_seconds(summary->retry_after_ns)) = '\0';
    }

    ngx_log_error(level, r->connection->log, 0,
                  "%s%s, \"%V\" by zone \"%V\"%s",
                  (summary->cause == TOLLGATE_CAUSE_BLOCKED)
                  ? "blocking request" : "limiting requests",
                  how, &ctx->limit, &ctx->zone, wait);
}


static ngx_int_t
ngx_http_tollgate_reject(ngx_http_request_t *r,
    ngx_http_tollgate_loc_conf_t *tlcf, ngx_http_tollgate_ctx_t *ctx,
    ngx_http_tollgate_held_t *h, tollgate_summary *summary)
{
    ngx_int_t                  rc;
    ngx_str_t                  body, type;
    ngx_uint_t                 i, status;
    ngx_http_err_page_t       *page;
    ngx_http_complex_value_t   cv;
    ngx_http_core_loc_conf_t  *clcf;

    status = tlcf->status_code ? tlcf->status_code : summary->status;

    /* what passed before an internal redirect has left some */

    ctx->nfields = 0;

    if (tlcf->headers && ngx_http_tollgate_tell(r, ctx, h) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (status == NGX_HTTP_CLOSE || h->verdict == NULL) {
        return status;
    }

    /* what nginx was told to answer goes before the body of the policy */

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (clcf->error_pages && !r->error_page && r->uri_changes != 0) {
        page = clcf->error_pages->elts;

        for (i = 0; i < clcf->error_pages->nelts; i++) {
            if (page[i].status == (ngx_int_t) status) {
                return status;
            }
        }
    }

    rc = ngx_http_tollgate_body(r, ctx, h->verdict, &body, &type);

    if (rc == NGX_DECLINED) {
        return status;
    }

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memzero(&cv, sizeof(ngx_http_complex_value_t));
    cv.value = body;

    ngx_http_finalize_request(r, ngx_http_send_response(r, status, &type,
                                                        &cv));
    return NGX_DONE;
}


/* of what passed and binds, the one that has least left */

static ngx_http_tollgate_held_t *
ngx_http_tollgate_nearest(ngx_http_tollgate_held_t *held, ngx_uint_t n)
{
    double                     share, least;
    ngx_uint_t                 i, dry_run;
    tollgate_entry             entry;
    tollgate_summary           summary;
    ngx_http_tollgate_held_t  *nearest;

    entry.size = sizeof(tollgate_entry);
    summary.size = sizeof(tollgate_summary);

    nearest = &held[0];
    least = 2;
    dry_run = 1;

    for (i = 0; i < n; i++) {

        share = 1.5;

        if (held[i].verdict == NULL) {
            share = (double) held[i].decision.remaining
                    / (double) held[i].decision.limit;

        } else if (tollgate_verdict_summary(held[i].verdict->handle, &summary)
            == TOLLGATE_OK
            && summary.binding != TOLLGATE_NO_ID
            && tollgate_verdict_entry(held[i].verdict->handle,
                                      summary.binding, &entry)
               == TOLLGATE_OK
            && entry.limit)
        {
            share = (double) entry.remaining / (double) entry.limit;
        }

        /* what does not bind comes after all others */

        if ((held[i].dry_run == dry_run && share < least)
            || held[i].dry_run < dry_run)
        {
            nearest = &held[i];
            least = share;
            dry_run = held[i].dry_run;
        }
    }

    return nearest;
}


/* the request is over, also if its client went away */

void
ngx_http_tollgate_cleanup(void *data)
{
    ngx_http_tollgate_ctx_t *ctx = data;

    ngx_http_tollgate_verdict_t  *v, *next;

    for (v = ctx->leases; v; v = next) {
        next = v->next;

        (void) tollgate_verdict_release(v->handle, NULL);
        ngx_http_tollgate_put_verdict(v);
    }

    ctx->leases = NULL;
}
