
/*
 * The memory of zones, and what becomes of it when the configuration is loaded
 * again.
 */


#include "ngx_http_tollgate.h"


static ngx_int_t ngx_http_tollgate_bind(ngx_http_tollgate_main_conf_t *tmcf,
    ngx_http_tollgate_zone_t *zone, ngx_pool_t *pool);
static ngx_shm_zone_t *ngx_http_tollgate_former(ngx_cycle_t *cycle,
    ngx_str_t *name);
static ngx_int_t ngx_http_tollgate_same_keys(ngx_http_tollgate_zone_t *zone,
    ngx_http_tollgate_zone_t *before);


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
    uint64_t                        keys;
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

        keys = zone->keys;

        if (ngx_http_tollgate_same_keys(zone, before) == NGX_OK
            && ngx_http_tollgate_text(cf, zone, zone->params, before->keys)
               != NGX_OK)
        {
            return NGX_ERROR;
        }

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

            if (zone->keys != keys
                && ngx_http_tollgate_text(cf, zone, zone->params, keys)
                   != NGX_OK)
            {
                return NGX_ERROR;
            }

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


/*
 * Whether a zone goes on with as many keys as there was room for.  How many
 * that is depends on the limit, but the table that is there does not change.
 */

static ngx_int_t
ngx_http_tollgate_same_keys(ngx_http_tollgate_zone_t *zone,
    ngx_http_tollgate_zone_t *before)
{
    ngx_str_t  *algorithm, *former;

    if (!zone->inlined
        || zone->params->keys != NGX_CONF_UNSET
        || before->params->keys != NGX_CONF_UNSET)
    {
        return NGX_DECLINED;
    }

    /* another algorithm has a table of its own, in what is left */

    algorithm = &zone->params->algorithm;
    former = &before->params->algorithm;

    if (algorithm->len != former->len
        || ngx_strncmp(algorithm->data, former->data, former->len) != 0)
    {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


ngx_int_t
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


void
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
