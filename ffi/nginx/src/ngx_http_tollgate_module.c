
/*
 * Directives.
 */


#include "ngx_http_tollgate.h"


static char *ngx_http_tollgate(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static char *ngx_http_tollgate_value(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_tollgate_report(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_tollgate_check_status(ngx_conf_t *cf, void *post,
    void *data);
static void *ngx_http_tollgate_create_main_conf(ngx_conf_t *cf);
static void *ngx_http_tollgate_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_tollgate_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static ngx_int_t ngx_http_tollgate_init(ngx_conf_t *cf);
static void ngx_http_tollgate_exit_process(ngx_cycle_t *cycle);


static ngx_conf_enum_t  ngx_http_tollgate_log_levels[] = {
    { ngx_string("info"), NGX_LOG_INFO },
    { ngx_string("notice"), NGX_LOG_NOTICE },
    { ngx_string("warn"), NGX_LOG_WARN },
    { ngx_string("error"), NGX_LOG_ERR },
    { ngx_null_string, 0 }
};


static ngx_conf_post_t  ngx_http_tollgate_status_post = {
    ngx_http_tollgate_check_status
};


static ngx_command_t  ngx_http_tollgate_commands[] = {

    { ngx_string("tollgate_zone"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_2MORE,
      ngx_http_tollgate_zone,
      0,
      0,
      NULL },

    { ngx_string("tollgate_policy"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE23,
      ngx_http_tollgate_policy,
      0,
      0,
      NULL },

    { ngx_string("tollgate"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE123,
      ngx_http_tollgate,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("tollgate_attribute"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE2,
      ngx_http_tollgate_value,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_tollgate_loc_conf_t, attributes),
      NULL },

    { ngx_string("tollgate_cost"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE2,
      ngx_http_tollgate_value,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_tollgate_loc_conf_t, costs),
      NULL },

    { ngx_string("tollgate_dry_run"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_tollgate_loc_conf_t, dry_run),
      NULL },

    { ngx_string("tollgate_headers"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_tollgate_loc_conf_t, headers),
      NULL },

    { ngx_string("tollgate_log_level"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_enum_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_tollgate_loc_conf_t, log_level),
      &ngx_http_tollgate_log_levels },

    { ngx_string("tollgate_status"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_tollgate_loc_conf_t, status_code),
      &ngx_http_tollgate_status_post },

    { ngx_string("tollgate_report"),
      NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_tollgate_report,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_tollgate_module_ctx = {
    ngx_http_tollgate_add_variables,       /* preconfiguration */
    ngx_http_tollgate_init,                /* postconfiguration */

    ngx_http_tollgate_create_main_conf,    /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_tollgate_create_loc_conf,     /* create location configuration */
    ngx_http_tollgate_merge_loc_conf       /* merge location configuration */
};


ngx_module_t  ngx_http_tollgate_module = {
    NGX_MODULE_V1,
    &ngx_http_tollgate_module_ctx,         /* module context */
    ngx_http_tollgate_commands,            /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    ngx_http_tollgate_commit_zones,        /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_tollgate_exit_process,        /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static char *
ngx_http_tollgate(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_tollgate_loc_conf_t  *tlcf = conf;

    ngx_str_t                         *value, name, s;
    ngx_uint_t                         i, dry_run;
    ngx_http_complex_value_t          *cost;
    ngx_http_tollgate_limit_t         *limit, *limits;
    ngx_http_compile_complex_value_t   ccv;

    value = cf->args->elts;

    if (tlcf->limits == NGX_CONF_UNSET_PTR) {
        tlcf->limits = NULL;

    } else if (tlcf->limits == NULL) {
        return "goes with no other after \"off\"";
    }

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {

        if (tlcf->limits) {
            return "\"off\" goes with no other";
        }

        return NGX_CONF_OK;
    }

    ngx_str_null(&name);
    cost = NULL;
    dry_run = 0;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "zone=", 5) == 0) {
            name.data = value[i].data + 5;
            name.len = value[i].len - 5;
            continue;
        }

        if (ngx_strncmp(value[i].data, "cost=", 5) == 0 && value[i].len > 5) {
            s.data = value[i].data + 5;
            s.len = value[i].len - 5;

            cost = ngx_palloc(cf->pool, sizeof(ngx_http_complex_value_t));
            if (cost == NULL) {
                return NGX_CONF_ERROR;
            }

            ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

            ccv.cf = cf;
            ccv.value = &s;
            ccv.complex_value = cost;

            if (ngx_http_compile_complex_value(&ccv) != NGX_OK) {
                return NGX_CONF_ERROR;
            }

            if (cost->lengths == NULL && ngx_atosz(s.data, s.len) < 0) {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "invalid cost \"%V\"", &value[i]);
                return NGX_CONF_ERROR;
            }

            continue;
        }

        if (ngx_strcmp(value[i].data, "dry_run") == 0) {
            dry_run = 1;
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

    if (tlcf->limits == NULL) {
        tlcf->limits = ngx_array_create(cf->pool, 1,
                                        sizeof(ngx_http_tollgate_limit_t));
        if (tlcf->limits == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    limits = tlcf->limits->elts;

    for (i = 0; i < tlcf->limits->nelts; i++) {
        if (limits[i].name.len == name.len
            && ngx_strncmp(limits[i].name.data, name.data, name.len) == 0)
        {
            return "is duplicate";
        }
    }

    if (tlcf->limits->nelts == NGX_HTTP_TOLLGATE_MAX_LIMITS) {
        return "has too many zones here";
    }

    limit = ngx_array_push(tlcf->limits);
    if (limit == NULL) {
        return NGX_CONF_ERROR;
    }

    /* the zone may be declared after this */

    limit->zone = NULL;
    limit->name = name;
    limit->cost = cost;
    limit->dry_run = dry_run;
    limit->conf_file = cf->conf_file->file.name;
    limit->conf_line = cf->conf_file->line;

    return NGX_CONF_OK;
}


static char *
ngx_http_tollgate_value(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *p = conf;

    ngx_str_t                         *value;
    ngx_uint_t                         i, n, max;
    ngx_array_t                      **values, *names;
    ngx_http_tollgate_name_t          *name;
    ngx_http_tollgate_value_t         *v;
    ngx_http_tollgate_main_conf_t     *tmcf;
    ngx_http_compile_complex_value_t   ccv;

    tmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_tollgate_module);

    values = (ngx_array_t **) (p + cmd->offset);
    value = cf->args->elts;

    if (cmd->offset == offsetof(ngx_http_tollgate_loc_conf_t, attributes)) {
        names = &tmcf->attributes;
        max = NGX_HTTP_TOLLGATE_MAX_ATTRIBUTES;

    } else {
        names = &tmcf->costs;
        max = NGX_HTTP_TOLLGATE_MAX_COSTS;
    }

    name = names->elts;

    for (n = 0; n < names->nelts; n++) {
        if (name[n].name.len == value[1].len
            && ngx_strncmp(name[n].name.data, value[1].data, value[1].len)
               == 0)
        {
            break;
        }
    }

    if (n == names->nelts) {
        name = ngx_array_push(names);
        if (name == NULL) {
            return NGX_CONF_ERROR;
        }

        name->name = value[1];
        name->conf_file = cf->conf_file->file.name;
        name->conf_line = cf->conf_file->line;
        name->known = 0;
    }

    if (*values == NGX_CONF_UNSET_PTR) {
        *values = ngx_array_create(cf->pool, 4,
                                   sizeof(ngx_http_tollgate_value_t));
        if (*values == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    v = (*values)->elts;

    for (i = 0; i < (*values)->nelts; i++) {
        if (v[i].name == n) {
            return "is duplicate";
        }
    }

    if ((*values)->nelts == max) {
        return "is given too often here";
    }

    v = ngx_array_push(*values);
    if (v == NULL) {
        return NGX_CONF_ERROR;
    }

    v->name = n;

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = &value[2];
    ccv.complex_value = &v->value;

    if (ngx_http_compile_complex_value(&ccv) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_tollgate_report(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_tollgate_report_handler;

    return NGX_CONF_OK;
}


/* nginx closes connections at some, and makes others of some */

static char *
ngx_http_tollgate_check_status(ngx_conf_t *cf, void *post, void *data)
{
    ngx_int_t  status;

    status = *(ngx_int_t *) data;

    if (status < 400 || status > 599) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "value must be between 400 and 599");
        return NGX_CONF_ERROR;
    }

    if (status == NGX_HTTP_REQUEST_TIME_OUT
        || status == NGX_HTTP_CLIENT_CLOSED_REQUEST
        || (status >= NGX_HTTP_REQUEST_HEADER_TOO_LARGE
            && status <= NGX_HTTP_TO_HTTPS))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "status %i is of nginx itself, which does not "
                           "send it as such", status);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static void *
ngx_http_tollgate_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_tollgate_main_conf_t  *tmcf;

    tmcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_tollgate_main_conf_t));
    if (tmcf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&tmcf->zones, cf->pool, 4,
                       sizeof(ngx_http_tollgate_zone_t *))
        != NGX_OK
        || ngx_array_init(&tmcf->attributes, cf->pool, 4,
                          sizeof(ngx_http_tollgate_name_t))
           != NGX_OK
        || ngx_array_init(&tmcf->costs, cf->pool, 4,
                          sizeof(ngx_http_tollgate_name_t))
           != NGX_OK)
    {
        return NULL;
    }

    return tmcf;
}


static void *
ngx_http_tollgate_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_tollgate_loc_conf_t  *tlcf;

    tlcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_tollgate_loc_conf_t));
    if (tlcf == NULL) {
        return NULL;
    }

    tlcf->limits = NGX_CONF_UNSET_PTR;
    tlcf->attributes = NGX_CONF_UNSET_PTR;
    tlcf->costs = NGX_CONF_UNSET_PTR;
    tlcf->log_level = NGX_CONF_UNSET_UINT;
    tlcf->status_code = NGX_CONF_UNSET_UINT;
    tlcf->dry_run = NGX_CONF_UNSET;
    tlcf->headers = NGX_CONF_UNSET;

    return tlcf;
}


static char *
ngx_http_tollgate_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_tollgate_loc_conf_t *prev = parent;
    ngx_http_tollgate_loc_conf_t *conf = child;

    ngx_uint_t                      i;
    ngx_http_tollgate_limit_t      *limits;
    ngx_http_tollgate_main_conf_t  *tmcf;

    ngx_conf_merge_ptr_value(conf->limits, prev->limits, NULL);
    ngx_conf_merge_ptr_value(conf->attributes, prev->attributes, NULL);
    ngx_conf_merge_ptr_value(conf->costs, prev->costs, NULL);
    ngx_conf_merge_uint_value(conf->log_level, prev->log_level, NGX_LOG_ERR);
    ngx_conf_merge_uint_value(conf->status_code, prev->status_code, 0);
    ngx_conf_merge_value(conf->dry_run, prev->dry_run, 0);
    ngx_conf_merge_value(conf->headers, prev->headers, 1);

    if (conf->limits == NULL) {
        return NGX_CONF_OK;
    }

    tmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_tollgate_module);

    limits = conf->limits->elts;

    for (i = 0; i < conf->limits->nelts; i++) {

        if (limits[i].zone) {
            continue;
        }

        limits[i].zone = ngx_http_tollgate_zone_of(tmcf, &limits[i].name);

        if (limits[i].zone == NULL) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "unknown tollgate zone \"%V\" in %V:%ui",
                          &limits[i].name, &limits[i].conf_file,
                          limits[i].conf_line);
            return NGX_CONF_ERROR;
        }

        if (limits[i].cost && !limits[i].zone->weighed) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "\"cost\" goes with zones that have a rate alone, "
                          "\"%V\" has none in %V:%ui",
                          &limits[i].name, &limits[i].conf_file,
                          limits[i].conf_line);
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_tollgate_init(ngx_conf_t *cf)
{
    ngx_http_handler_pt            *h;
    ngx_http_core_main_conf_t      *cmcf;
    ngx_http_tollgate_main_conf_t  *tmcf;

    tmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_tollgate_module);

    if (ngx_http_tollgate_check_names(cf) != NGX_OK
        || ngx_http_tollgate_carry_zones(cf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    tmcf->details = ngx_http_tollgate_reads_details(cf);

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_PREACCESS_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_tollgate_handler;

    return NGX_OK;
}


static void
ngx_http_tollgate_exit_process(ngx_cycle_t *cycle)
{
    ngx_http_tollgate_free_verdicts();
}
