
/*
 * Rate limits of tollgate for nginx.
 */


#ifndef _NGX_HTTP_TOLLGATE_H_INCLUDED_
#define _NGX_HTTP_TOLLGATE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <tollgate.h>


#define NGX_HTTP_TOLLGATE_MAX_ZONES       64  /* bits of ctx->charged */
#define NGX_HTTP_TOLLGATE_MAX_LIMITS      16  /* in one location */
#define NGX_HTTP_TOLLGATE_MAX_ATTRIBUTES  32
#define NGX_HTTP_TOLLGATE_MAX_COSTS       8

#define NGX_HTTP_TOLLGATE_STRIPES         16

#define NGX_HTTP_TOLLGATE_PASSED            1
#define NGX_HTTP_TOLLGATE_REJECTED          2
#define NGX_HTTP_TOLLGATE_REJECTED_DRY_RUN  3
#define NGX_HTTP_TOLLGATE_ERROR             4


/* what is counted of a zone; each worker writes to a line of its own */

typedef union {
    struct {
        ngx_atomic_t               passed;
        ngx_atomic_t               rejected;
        ngx_atomic_t               dry_run;
        ngx_atomic_t               errors;
    } n;
    u_char                         line[128];
} ngx_http_tollgate_counts_t;


/* the root of a zone in shared memory */

typedef struct {
    void                          *memory;
    size_t                         size;
    ngx_http_tollgate_counts_t     counts[NGX_HTTP_TOLLGATE_STRIPES];
} ngx_http_tollgate_shared_t;


/* what the engine has of a zone: a limiter of its own, or a policy */

typedef struct {
    tollgate_region               *region;
    tollgate_limiter              *limiter;
    tollgate_policy               *policy;
} ngx_http_tollgate_engine_t;


typedef enum {
    NGX_HTTP_TOLLGATE_X_RATELIMIT = 0,
    NGX_HTTP_TOLLGATE_RATELIMIT,
    NGX_HTTP_TOLLGATE_RETRY_AFTER,
    NGX_HTTP_TOLLGATE_NONE
} ngx_http_tollgate_dialect_e;


/* the parameters of a zone with one limit */

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


typedef struct {
    ngx_shm_zone_t                *shm_zone;
    ngx_uint_t                     number;

    /* where it was declared */
    ngx_str_t                      conf_file;
    ngx_uint_t                     conf_line;

    /* a policy of a file, or the text of one that was made of parameters */
    ngx_str_t                      file;
    ngx_str_t                      text;
    ngx_http_complex_value_t       key;
    ngx_http_tollgate_params_t    *params;

    /* numbers of the main configuration's names in this policy */
    uint32_t                      *attributes;
    uint32_t                      *costs;
    uint32_t                       ip_id;
    uint32_t                       key_id;
    uint32_t                       cost_id;

    /* a limit that needs no policy */
    tollgate_quota                 quota;
    tollgate_quota                 former_quota;
    uint64_t                       keys;
    int32_t                        algorithm;
    ngx_http_tollgate_dialect_e    dialect;
    ngx_str_t                      draft_policy;
    ngx_str_t                      draft_name;

    ngx_http_tollgate_engine_t     engine;
    ngx_http_tollgate_shared_t    *shared;

    time_t                         full_logged;

    unsigned                       direct:1;
    unsigned                       roomy:1;
    unsigned                       reject_full:1;
    unsigned                       requoted:1;
    unsigned                       inlined:1;
    unsigned                       may_lease:1;
    unsigned                       weighed:1;
    unsigned                       reject_errors:1;
} ngx_http_tollgate_zone_t;


/* a name that policies may have, and where it was first given a value */

typedef struct {
    ngx_str_t                      name;
    ngx_str_t                      conf_file;
    ngx_uint_t                     conf_line;
    ngx_uint_t                     known;       /* unsigned  known:1 */
} ngx_http_tollgate_name_t;


typedef struct {
    ngx_array_t                    zones;       /* ngx_http_tollgate_zone_t * */
    ngx_array_t                    attributes;  /* ngx_http_tollgate_name_t */
    ngx_array_t                    costs;       /* ngx_http_tollgate_name_t */
    ngx_uint_t                     details;     /* unsigned  details:1 */
} ngx_http_tollgate_main_conf_t;


typedef struct {
    ngx_http_tollgate_zone_t      *zone;
    ngx_http_complex_value_t      *cost;
    ngx_uint_t                     dry_run;     /* unsigned  dry_run:1 */
    ngx_str_t                      conf_file;
    ngx_uint_t                     conf_line;
    ngx_str_t                      name;
} ngx_http_tollgate_limit_t;


typedef struct {
    ngx_uint_t                     name;        /* in the main configuration */
    ngx_http_complex_value_t       value;
} ngx_http_tollgate_value_t;


typedef struct {
    ngx_array_t                   *limits;      /* ngx_http_tollgate_limit_t */
    ngx_array_t                   *attributes;  /* ngx_http_tollgate_value_t */
    ngx_array_t                   *costs;       /* ngx_http_tollgate_value_t */
    ngx_uint_t                     log_level;
    ngx_uint_t                     status_code;
    ngx_flag_t                     dry_run;
    ngx_flag_t                     headers;
} ngx_http_tollgate_loc_conf_t;


/* a place for a decision; those without a request wait in a list */

typedef struct ngx_http_tollgate_verdict_s  ngx_http_tollgate_verdict_t;

struct ngx_http_tollgate_verdict_s {
    tollgate_verdict              *handle;
    ngx_http_tollgate_verdict_t   *next;
};


/* what one zone said */

typedef struct {
    ngx_http_tollgate_limit_t     *limit;
    ngx_uint_t                     dry_run;     /* unsigned  dry_run:1 */

    /* of a policy */
    ngx_http_tollgate_verdict_t   *verdict;

    /* of a limiter */
    tollgate_decision              decision;
    ngx_str_t                      key;
} ngx_http_tollgate_held_t;


typedef struct {
    uint64_t                       charged;     /* zones, by number */
    ngx_uint_t                     status;
    ngx_http_tollgate_verdict_t   *leases;

    tollgate_field                *fields;
    size_t                         nfields;

    /* for variables */
    ngx_str_t                      zone;
    ngx_str_t                      limit;
    ngx_uint_t                     cause;
    uint64_t                       quota;
    uint64_t                       remaining;
    uint64_t                       retry_after;
    uint64_t                       reset_after;
    unsigned                       rejected:1;
    unsigned                       detailed:1;
    unsigned                       numbered:1;
} ngx_http_tollgate_ctx_t;


ngx_http_tollgate_zone_t *ngx_http_tollgate_zone_of(
    ngx_http_tollgate_main_conf_t *tmcf, ngx_str_t *name);
char *ngx_http_tollgate_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_tollgate_policy(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
ngx_int_t ngx_http_tollgate_check_names(ngx_conf_t *cf);
ngx_int_t ngx_http_tollgate_carry_zones(ngx_conf_t *cf);
ngx_int_t ngx_http_tollgate_commit_zones(ngx_cycle_t *cycle);
void ngx_http_tollgate_count(ngx_http_tollgate_zone_t *zone, ngx_uint_t status);

void ngx_http_tollgate_say(ngx_uint_t level, ngx_log_t *log);
ngx_int_t ngx_http_tollgate_try(ngx_http_tollgate_zone_t *zone,
    size_t *used, ngx_log_t *log);
ngx_int_t ngx_http_tollgate_init_zone(ngx_shm_zone_t *shm_zone,
    void *data);
ngx_int_t ngx_http_tollgate_make(ngx_http_tollgate_zone_t *zone,
    tollgate_quota *quota, void *memory, size_t size,
    ngx_http_tollgate_engine_t *engine);
size_t ngx_http_tollgate_usable(size_t size);
void ngx_http_tollgate_cleanup_zone(void *data);
void ngx_http_tollgate_unmake(ngx_http_tollgate_engine_t *engine);
char *ngx_http_tollgate_fill(ngx_conf_t *cf,
    ngx_http_tollgate_zone_t *zone, ngx_http_tollgate_params_t *p);
ngx_int_t ngx_http_tollgate_learn(ngx_conf_t *cf,
    ngx_http_tollgate_zone_t *zone, tollgate_policy *policy);
ngx_int_t ngx_http_tollgate_text(ngx_conf_t *cf,
    ngx_http_tollgate_zone_t *zone, ngx_http_tollgate_params_t *p,
    ngx_uint_t keys);
void ngx_http_tollgate_put_verdict(ngx_http_tollgate_verdict_t *v);
ngx_int_t ngx_http_tollgate_check_limiter(ngx_http_request_t *r,
    ngx_http_tollgate_held_t *h);
ngx_uint_t ngx_http_tollgate_flags(ngx_http_tollgate_verdict_t *v,
    ngx_str_t *full);
ngx_int_t ngx_http_tollgate_check(ngx_http_request_t *r,
    ngx_http_tollgate_loc_conf_t *tlcf, ngx_http_tollgate_limit_t *limit,
    ngx_http_tollgate_verdict_t **verdict);

ngx_int_t ngx_http_tollgate_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_tollgate_fields(ngx_http_request_t *r,
    ngx_http_tollgate_ctx_t *ctx, ngx_http_tollgate_verdict_t *v);
ngx_int_t ngx_http_tollgate_direct_fields(ngx_http_request_t *r,
    ngx_http_tollgate_ctx_t *ctx, ngx_http_tollgate_zone_t *zone,
    tollgate_decision *decision);
ngx_int_t ngx_http_tollgate_body(ngx_http_request_t *r,
    ngx_http_tollgate_ctx_t *ctx, ngx_http_tollgate_verdict_t *v,
    ngx_str_t *body, ngx_str_t *type);
void ngx_http_tollgate_free_verdicts(void);

ngx_http_tollgate_ctx_t *ngx_http_tollgate_get_ctx(ngx_http_request_t *r);
void ngx_http_tollgate_cleanup(void *data);
ngx_int_t ngx_http_tollgate_add_variables(ngx_conf_t *cf);
ngx_int_t ngx_http_tollgate_reads_details(ngx_conf_t *cf);
ngx_int_t ngx_http_tollgate_report_handler(ngx_http_request_t *r);


extern ngx_module_t  ngx_http_tollgate_module;
extern ngx_module_t  ngx_http_tollgate_filter_module;


#endif /* _NGX_HTTP_TOLLGATE_H_INCLUDED_ */
