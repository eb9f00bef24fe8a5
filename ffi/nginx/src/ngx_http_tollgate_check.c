
/*
 * The questions that are put to the engine.
 */


#include "ngx_http_tollgate.h"


static ngx_int_t ngx_http_tollgate_units(ngx_http_request_t *r,
    ngx_http_complex_value_t *value, uint64_t *units);
static ngx_http_tollgate_verdict_t *ngx_http_tollgate_get_verdict(
    ngx_log_t *log);


static ngx_http_tollgate_verdict_t  *ngx_http_tollgate_free;


ngx_int_t
ngx_http_tollgate_check_limiter(ngx_http_request_t *r,
    ngx_http_tollgate_held_t *h)
{
    int32_t                    rc;
    uint64_t                   units;
    ngx_http_tollgate_zone_t  *zone;

    zone = h->limit->zone;

    if (ngx_http_complex_value(r, &zone->key, &h->key) != NGX_OK) {
        return NGX_ERROR;
    }

    if (h->key.len == 0) {
        return NGX_DECLINED;
    }

    units = 1;

    if (h->limit->cost
        && ngx_http_tollgate_units(r, h->limit->cost, &units) == NGX_ERROR)
    {
        return NGX_ERROR;
    }

    h->decision.size = sizeof(tollgate_decision);

    rc = tollgate_limiter_check_at(zone->engine.limiter, h->key.data,
                                   h->key.len, units, TOLLGATE_NOW,
                                   &h->decision);

    if (rc < 0) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "tollgate zone \"%V\" could not decide: %s",
                      &zone->shm_zone->shm.name, tollgate_status_text(rc));
        return NGX_ERROR;
    }

    return (rc == TOLLGATE_ALLOWED) ? NGX_OK : NGX_BUSY;
}


/* NGX_OK, NGX_BUSY: there is a verdict; NGX_DECLINED: it is not limited */

ngx_int_t
ngx_http_tollgate_check(ngx_http_request_t *r,
    ngx_http_tollgate_loc_conf_t *tlcf, ngx_http_tollgate_limit_t *limit,
    ngx_http_tollgate_verdict_t **verdict)
{
    size_t                        j;
    int32_t                       rc;
    u_char                       *p;
    ngx_int_t                     parsed;
    ngx_str_t                     s, host;
    ngx_uint_t                    i, id;
    tollgate_cost                 costs[NGX_HTTP_TOLLGATE_MAX_COSTS];
    tollgate_request              request;
    tollgate_attribute            attributes[
                                      NGX_HTTP_TOLLGATE_MAX_ATTRIBUTES + 1];
    ngx_http_tollgate_zone_t     *zone;
    ngx_http_tollgate_value_t    *values;
    ngx_http_tollgate_verdict_t  *v;

    zone = limit->zone;

    ngx_memzero(&request, sizeof(tollgate_request));

    request.size = sizeof(tollgate_request);
    request.attributes = attributes;
    request.costs = costs;

    if (zone->inlined) {

        if (ngx_http_complex_value(r, &zone->key, &s) != NGX_OK) {
            return NGX_ERROR;
        }

        if (s.len == 0) {
            return NGX_DECLINED;
        }

        attributes[0].id = zone->key_id;
        attributes[0].reserved = 0;
        attributes[0].value = s.data;
        attributes[0].length = s.len;
        request.attribute_count = 1;

        if (zone->weighed) {
            costs[0].id = zone->cost_id;
            costs[0].reserved = 0;
            costs[0].units = 1;
            request.cost_count = 1;

            if (limit->cost
                && ngx_http_tollgate_units(r, limit->cost, &costs[0].units)
                   == NGX_ERROR)
            {
                return NGX_ERROR;
            }
        }

    } else {

        request.method.data = r->method_name.data;
        request.method.length = r->method_name.len;
        request.host.data = r->headers_in.server.data;
        request.host.length = r->headers_in.server.len;
        request.path.data = r->unparsed_uri.data;
        request.path.length = r->unparsed_uri.len;

        i = 0;

        if (zone->ip_id != TOLLGATE_NO_ID) {
            attributes[0].id = zone->ip_id;
            attributes[0].reserved = 0;
            attributes[0].value = r->connection->addr_text.data;
            attributes[0].length = r->connection->addr_text.len;
            i = 1;
        }

        if (tlcf->attributes) {
            values = tlcf->attributes->elts;

            for (j = 0; j < tlcf->attributes->nelts; j++) {
                id = zone->attributes[values[j].name];

                if (id == TOLLGATE_NO_ID) {
                    continue;
                }

                if (ngx_http_complex_value(r, &values[j].value, &s)
                    != NGX_OK)
                {
                    return NGX_ERROR;
                }

                attributes[i].id = id;
                attributes[i].reserved = 0;
                attributes[i].value = s.data;
                attributes[i].length = s.len;
                i++;
            }
        }

        request.attribute_count = i;

        i = 0;

        if (tlcf->costs) {
            values = tlcf->costs->elts;

            for (j = 0; j < tlcf->costs->nelts; j++) {
                id = zone->costs[values[j].name];

                if (id == TOLLGATE_NO_ID) {
                    continue;
                }

                parsed = ngx_http_tollgate_units(r, &values[j].value,
                                                 &costs[i].units);

                if (parsed == NGX_ERROR) {
                    return NGX_ERROR;
                }

                if (parsed == NGX_DECLINED) {
                    continue;
                }

                costs[i].id = id;
                costs[i].reserved = 0;
                i++;
            }
        }

        request.cost_count = i;
    }

    v = ngx_http_tollgate_get_verdict(r->connection->log);
    if (v == NULL) {
        return NGX_ERROR;
    }

    rc = tollgate_policy_check(zone->engine.policy, &request, NULL, v->handle);

    if (rc == TOLLGATE_ERROR_UTF8) {

        /* no limit is of such a host: others are not to be escaped by it */

        host.len = request.host.length;
        host.data = ngx_pnalloc(r->pool, host.len);

        if (host.data) {
            p = host.data;

            for (j = 0; j < host.len; j++) {
                *p++ = (r->headers_in.server.data[j] & 0x80)
                       ? '?' : r->headers_in.server.data[j];
            }

            request.host.data = host.data;

            rc = tollgate_policy_check(zone->engine.policy, &request, NULL,
                                       v->handle);
        }
    }

    if (rc < 0) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "tollgate zone \"%V\" could not decide: %s",
                      &zone->shm_zone->shm.name, tollgate_status_text(rc));
        ngx_http_tollgate_put_verdict(v);
        return NGX_ERROR;
    }

    *verdict = v;

    return (rc == TOLLGATE_ALLOWED) ? NGX_OK : NGX_BUSY;
}


/* NGX_DECLINED: it is not known */

static ngx_int_t
ngx_http_tollgate_units(ngx_http_request_t *r, ngx_http_complex_value_t *value,
    uint64_t *units)
{
    ssize_t    n;
    ngx_str_t  s;

    if (ngx_http_complex_value(r, value, &s) != NGX_OK) {
        return NGX_ERROR;
    }

    if (s.len == 0) {
        return NGX_DECLINED;
    }

    n = ngx_atosz(s.data, s.len);

    if (n < 0) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "\"%V\" is no cost, the value of \"%V\"",
                      &s, &value->value);
        return NGX_ERROR;
    }

    *units = n;

    return NGX_OK;
}


/* the flags of all limits together, and the first of them that is full */

ngx_uint_t
ngx_http_tollgate_flags(ngx_http_tollgate_verdict_t *v, ngx_str_t *full)
{
    size_t          i;
    ngx_uint_t      flags;
    tollgate_entry  entry;

    flags = 0;
    entry.size = sizeof(tollgate_entry);

    for (i = 0;
         tollgate_verdict_entry(v->handle, i, &entry) == TOLLGATE_OK;
         i++)
    {
        if ((entry.flags & ~flags) & TOLLGATE_TABLE_FULL) {
            full->data = (u_char *) entry.name.data;
            full->len = entry.name.length;
        }

        flags |= entry.flags;
    }

    return flags;
}


static ngx_http_tollgate_verdict_t *
ngx_http_tollgate_get_verdict(ngx_log_t *log)
{
    ngx_http_tollgate_verdict_t  *v;

    v = ngx_http_tollgate_free;

    if (v) {
        ngx_http_tollgate_free = v->next;
        return v;
    }

    v = ngx_alloc(sizeof(ngx_http_tollgate_verdict_t), log);
    if (v == NULL) {
        return NULL;
    }

    if (tollgate_verdict_new(&v->handle) != TOLLGATE_OK) {
        ngx_free(v);
        return NULL;
    }

    return v;
}


void
ngx_http_tollgate_put_verdict(ngx_http_tollgate_verdict_t *v)
{
    if (v == NULL) {
        return;
    }

    v->next = ngx_http_tollgate_free;
    ngx_http_tollgate_free = v;
}


void
ngx_http_tollgate_free_verdicts(void)
{
    ngx_http_tollgate_verdict_t  *v;

    while (ngx_http_tollgate_free) {
        v = ngx_http_tollgate_free;
        ngx_http_tollgate_free = v->next;

        tollgate_verdict_free(v->handle);
        ngx_free(v);
    }
}
