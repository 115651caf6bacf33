/* libwindlass: offer matching, payload staging and load sampling for any process, through a plain C interface.
 *
 * Rules that hold for every call:
 *  - Structs that the caller fills begin with `size` (sizeof the struct as compiled): a newer library reads what an
 *    older caller knows and takes defaults for the rest. Zero-initialise a struct, then set `size`.
 *  - Input buffers belong to the caller and are only read during the call. Handles belong to the library and are
 *    ended by the matching *_free or *_close. Views into a handle live as long as the handle.
 *  - No call throws, exits, or calls back. Functions answer a windlass_code; where an `error` is given (may be NULL)
 *    it is filled on failure.
 *  - A handle is used by one thread at a time unless its section says otherwise; different handles are independent.
 *  - Integers are in the host's byte order, which is little-endian on every platform served. */
#ifndef WINDLASS_WINDLASS_H
#define WINDLASS_WINDLASS_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define WINDLASS_API __attribute__((visibility("default")))
#else
#define WINDLASS_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define WINDLASS_ABI_VERSION 1

WINDLASS_API uint32_t windlass_abi_version(void);
WINDLASS_API const char* windlass_version(void);

/* gRPC's status codes. */
typedef enum windlass_code {
  WINDLASS_OK = 0,
  WINDLASS_CANCELLED = 1,
  WINDLASS_UNKNOWN = 2,
  WINDLASS_INVALID_ARGUMENT = 3,
  WINDLASS_DEADLINE_EXCEEDED = 4,
  WINDLASS_NOT_FOUND = 5,
  WINDLASS_ALREADY_EXISTS = 6,
  WINDLASS_PERMISSION_DENIED = 7,
  WINDLASS_RESOURCE_EXHAUSTED = 8,
  WINDLASS_FAILED_PRECONDITION = 9,
  WINDLASS_ABORTED = 10,
  WINDLASS_OUT_OF_RANGE = 11,
  WINDLASS_UNIMPLEMENTED = 12,
  WINDLASS_INTERNAL = 13,
  WINDLASS_UNAVAILABLE = 14,
  WINDLASS_DATA_LOSS = 15,
  WINDLASS_UNAUTHENTICATED = 16
} windlass_code;

typedef enum windlass_side { WINDLASS_SIDE_NONE = 0, WINDLASS_SIDE_TASKS = 1, WINDLASS_SIDE_OFFERS = 2, WINDLASS_SIDE_OPTIONS = 3 } windlass_side;

typedef struct windlass_error {
  uint32_t size;
  int32_t code;           /* windlass_code */
  int32_t side;           /* windlass_side */
  int32_t retryable;      /* 0 or 1 */
  int64_t row;            /* from 0; -1 where the fault is of no row */
  int64_t retry_after_ms; /* 0 where unknown */
  char field[128];        /* "" where the fault is of no field; dimensions are named by number: "amounts.3" */
  char message[1024];     /* what, where, why, what to do */
} windlass_error;

/* ---- Matching -------------------------------------------------------------------------------------------------- */

/* Cuts doubles to amounts: int64 in units of 1/10,000 (docs/matching.md). `kind`: what the rules for small values are.
 * A NaN stands for an absent value and becomes 0. On a refused value answers INVALID_ARGUMENT and sets error->row. */
typedef enum windlass_cut_kind { WINDLASS_CUT_OFFER = 0, WINDLASS_CUT_TASK = 1, WINDLASS_CUT_CAP = 2, WINDLASS_CUT_SHARE = 3 } windlass_cut_kind;
WINDLASS_API windlass_code windlass_cut_amounts(const double* values, size_t count, windlass_cut_kind kind, int64_t* amounts,
                                                windlass_error* error);
/* The same of several columns of `count` values each, of which none may be absent: a NaN is refused, too. `amounts` is
 * [columns][count]. error->field is "columns.N" of the refused value. */
WINDLASS_API windlass_code windlass_cut_columns(const double* const* columns, size_t columns_count, size_t count,
                                                windlass_cut_kind kind, int64_t* amounts, windlass_error* error);

typedef enum windlass_mode { WINDLASS_EXCLUSIVE = 0, WINDLASS_PACKING = 1 } windlass_mode;
typedef enum windlass_policy {
  WINDLASS_BEST_FIT = 0,
  WINDLASS_WORST_FIT = 1,
  WINDLASS_DOT_PRODUCT = 2,
  WINDLASS_COST = 3,
  WINDLASS_FRAGMENTATION = 4
} windlass_policy;
typedef enum windlass_ties { WINDLASS_STABLE = 0, WINDLASS_SWAP_REMOVE = 1 } windlass_ties;

typedef enum windlass_column_type { WINDLASS_I32 = 0, WINDLASS_I64 = 1, WINDLASS_U64 = 2 } windlass_column_type;
typedef struct windlass_column {
  const void* data; /* aligned to its type */
  uint64_t count;
  uint32_t type; /* windlass_column_type */
  uint32_t reserved;
} windlass_column;

typedef struct windlass_match_request {
  uint32_t size;
  uint32_t mode;      /* windlass_mode */
  uint32_t policy;    /* windlass_policy */
  uint32_t ties;      /* windlass_ties */
  uint32_t normalize; /* 0 or 1; note that all-zero is not Python's default */
  uint32_t threads;   /* not looked at: a call works in its caller's thread; any number of calls may run at once */
  uint32_t dimensions;
  uint32_t has_max_score;
  double max_score;
  int64_t max_price; /* in 10^-6; -1: none */
  uint64_t tasks;
  uint64_t offers;
  const int64_t* const* task_amounts;  /* [dimensions] columns of [tasks]; a NULL column is all zero */
  const int64_t* const* offer_amounts; /* [dimensions] columns of [offers]; a NULL column is all zero */
  const int64_t* weights;              /* [dimensions] rint(w x 2^16); NULL: 65536 each */
  const int64_t* scale;                /* [dimensions] M_d in units, 0: the largest offer; NULL: all 0 */
  const int32_t* priority;             /* [tasks]; NULL: all 0 */
  const int64_t* price;                /* [offers] in 10^-6, -1: no price; NULL: none has one */
  const void* constraints;             /* a msgpack map as in proto/protocol.md, "Constraints"; NULL: none */
  uint64_t constraints_bytes;
  const windlass_column* columns; /* what `constraints` refers to by number */
  uint64_t columns_count;
} windlass_match_request;

/* All arrays are [tasks] and live as long as the handle. */
typedef struct windlass_match_view {
  uint32_t size;
  uint32_t engine; /* 0 scalar, 1 AVX2, 2 AVX-512, 3 NEON */
  uint64_t tasks;
  uint64_t placed;
  const int32_t* offer_index;  /* by task: its offer, -1 where none */
  const int32_t* order;        /* tasks in the order they were taken, placed and unplaced alike */
  const int64_t* score_high;   /* by task: upper half of the 128-bit score (two's complement); 0 where not placed */
  const uint64_t* score_low;   /* by task: lower half */
  const int64_t* price_added;  /* by task, in 10^-6; NULL unless the policy is cost */
  const int64_t* device_begin; /* [tasks + 1] into the two below; NULL where no task asks for devices */
  const int32_t* device_dimension;
  const int32_t* device_index;
  const int64_t* offer_number; /* sessions: by task, its offer's number, -1 where none; else NULL */
  uint64_t version;            /* sessions: after this call; else 0 */
} windlass_match_view;

typedef struct windlass_match_result windlass_match_result;

/* Needs no handle and may run on any number of threads at once. */
WINDLASS_API windlass_code windlass_match(const windlass_match_request* request, windlass_match_result** result, windlass_error* error);

/* windlass_match by a thread of the library's own. What the request points to must stay until the job was waited for, once,
 * which frees it; the request itself need not. Where no thread can be had the match is done while it is waited for. */
typedef struct windlass_match_job windlass_match_job;
WINDLASS_API windlass_code windlass_match_begin(const windlass_match_request* request, windlass_match_job** job, windlass_error* error);
WINDLASS_API windlass_code windlass_match_wait(windlass_match_job* job, windlass_match_result** result, windlass_error* error);

/* Whether two columns [tasks] can be an answer to so many tasks and offers: each task once in `order`, offers that there are,
 * each for one task at most where the mode was exclusive. INVALID_ARGUMENT where not, and the message says why. */
WINDLASS_API windlass_code windlass_check_placement(const int32_t* offer_index, const int32_t* order, uint64_t tasks, uint64_t offers,
                                                    windlass_mode mode, windlass_error* error);
WINDLASS_API void windlass_match_view_of(const windlass_match_result* result, windlass_match_view* view);
WINDLASS_API void windlass_match_free(windlass_match_result* result);

/* ---- Matching sessions ------------------------------------------------------------------------------------------ */

/* Offers that stay between calls. Names stay with the caller: offers, tasks, dimensions, label keys, nodes, tenants,
 * groups, gangs and input ids are numbers from 0 that the caller gives. A dimension's holds for the session's life; an
 * offer's or task's may come again once it was removed or released, and any other once no offer that is present and no
 * task that is placed has it. What the session knows of a dimension (weight, scale, whether it is a kind of device) holds
 * from its first use. One thread at a time. A refused call leaves the session as it was. */
typedef struct windlass_session windlass_session;

/* Of `options` mode, policy, ties (stable only), normalize, max_score and max_price are read; the rest is zero. */
WINDLASS_API windlass_code windlass_session_open(const windlass_match_request* options, windlass_session** session, windlass_error* error);
WINDLASS_API void windlass_session_close(windlass_session* session);

/* Applied in this order: releases, removes, adds, updates, rescale. Numbers to release or remove that are unknown are
 * passed over. An offer is given once a change: rows are the adds, then the updates. */
typedef struct windlass_session_change {
  uint32_t size;
  uint32_t dimensions;    /* known so far, those of earlier calls included */
  uint32_t rescale;       /* 1: M_d becomes the largest record present */
  uint32_t reserved;
  int64_t expect_version; /* ABORTED where the session's version is another; -1: any */
  uint64_t adds, updates, removes, releases;
  const int64_t* offer_numbers;        /* [adds + updates] */
  const int64_t* const* offer_amounts; /* [dimensions] columns of [adds + updates]: records; a NULL column is all zero */
  const int64_t* price;                /* [adds + updates] in 10^-6, -1: no price; NULL: none has one */
  const int64_t* weights;              /* [dimensions] rint(w x 2^16); read for dimensions that are new; NULL: 65536 each */
  const int64_t* scale;                /* [dimensions] M_d in units, fixed for good, 0: by the offers; likewise; NULL: all 0 */
  const int64_t* remove_numbers;       /* [removes] of offers */
  const int64_t* release_numbers;      /* [releases] of tasks */
  const void* constraints;             /* as in windlass_match_request, with no tasks: keys, offer_labels, offer_only, node,
                                        * devices, staged; NULL: none. Without `node` each offer is a node of its own */
  uint64_t constraints_bytes;
  const windlass_column* columns;
  uint64_t columns_count;
} windlass_session_change;

typedef struct windlass_session_answer {
  uint32_t size;
  uint32_t reserved;
  uint64_t version;  /* +1 where anything was added, updated, removed, released or rescaled */
  uint64_t removed;  /* offers that were found */
  uint64_t released; /* tasks that were found */
} windlass_session_answer;

WINDLASS_API windlass_code windlass_session_apply(windlass_session* session, const windlass_session_change* change,
                                                  windlass_session_answer* answer, windlass_error* error);

/* Places new tasks. Of `request` dimensions (known so far), tasks, task_amounts, priority, constraints and columns are
 * read; offers is 0 and the options are the session's. `constraints` has no offers: keys, task_labels, task_tags, prefer,
 * tenant, group, max_per, avoid, gang, inputs, locality, quotas, running, and devices for the kinds that tasks ask for
 * (begin is one 0, shares are empty). quotas and running are of this call: give them each time. inputs.bytes has an
 * entry for each id up to the highest that tasks name; ids that no offer has staged may be of this call alone. `task_numbers`: [tasks], none of a task that is still placed.
 * In the result offer_index is the place in tie order, among all offers present, at the call's start. */
WINDLASS_API windlass_code windlass_session_match(windlass_session* session, const windlass_match_request* request,
                                                  const int64_t* task_numbers, int64_t expect_version,
                                                  windlass_match_result** result, windlass_error* error);

/* The offers as they stand, in tie order. Lives until the next call with this session. */
typedef struct windlass_session_view {
  uint32_t size;
  uint32_t dimensions;
  uint64_t version;
  uint64_t placed; /* tasks, in all */
  uint64_t offers;
  const int64_t* offer_numbers;          /* [offers] */
  const int64_t* const* free_amounts;    /* [dimensions] columns of [offers]; of a kind the sum of its free shares */
  const int64_t* price;                  /* [offers] in 10^-6, -1: none */
  const int32_t* held;                   /* [offers] tasks placed there; above 0 in an exclusive session: used */
  const int64_t* scale;                  /* [dimensions] M_d */
  uint64_t kinds;                        /* of devices */
  const int32_t* kind_dimension;         /* [kinds] */
  const int64_t* const* device_begin;    /* [kinds] columns of [offers + 1] into free_shares */
  const int64_t* const* free_shares;     /* [kinds] columns */
} windlass_session_view;

WINDLASS_API windlass_code windlass_session_offers(windlass_session* session, windlass_session_view* view, windlass_error* error);

/* ---- Staging --------------------------------------------------------------------------------------------------- */

typedef struct windlass_stager windlass_stager; /* thread-safe: every call below may come from any thread */
typedef struct windlass_stage_call windlass_stage_call;

typedef struct windlass_bytes {
  const void* data;
  uint64_t count;
} windlass_bytes;

typedef enum windlass_stage_engine { WINDLASS_ENGINE_AUTO = 0, WINDLASS_ENGINE_URING = 1, WINDLASS_ENGINE_THREADS = 2 } windlass_stage_engine;

typedef struct windlass_stage_options {
  uint32_t size;
  uint32_t engine;           /* windlass_stage_engine */
  uint32_t threads;          /* I/O threads; 0: 2 */
  uint32_t retries;          /* after the first attempt; for what is retryable */
  const char* const* roots;  /* absolute paths; none: the caller's own rights are the limit */
  uint64_t roots_count;
  uint64_t bytes_in_flight_max; /* 0: 64 MiB */
  uint64_t bandwidth_max;       /* bytes/s; 0: no limit */
  uint64_t free_min;            /* bytes that stay free on a target's file system */
  uint64_t inodes_min;
  uint64_t quota_per_client; /* bytes a client may have accepted and unfinished; 0: none */
  uint64_t queue_max;        /* transfers accepted and unfinished; 0: 10,000 */
  const char* state_path;    /* folder of the journal; NULL: no resume */
  uint32_t symlinks;         /* for trees where the request says nothing: 0 keep, 1 skip, 2 refuse */
  uint32_t confine;          /* with roots, the stager's threads are confined to them: 0 where the kernel has Landlock, 1 never */
  uint64_t resume_keep_s; /* 0: 24 h */
  const char* owner;      /* stands in the temporaries' names; NULL: made from the process */
  uint64_t bandwidth_max_input; /* bytes/s of inputs and of results alone, beneath bandwidth_max; 0: no limit of their own */
  uint64_t bandwidth_max_result;
  double decompress_ratio_max; /* how many times larger than its source a decompressed file may get; 0: 1,000 */
} windlass_stage_options;

WINDLASS_API windlass_code windlass_stager_open(const windlass_stage_options* options, windlass_stager** stager, windlass_error* error);
/* Cancels what runs, waits for it to end, and ends the threads. Calls of this stager must have been freed. */
WINDLASS_API void windlass_stager_close(windlass_stager* stager);
/* "uring" or "threads": what transfers will use. */
WINDLASS_API const char* windlass_stager_engine(const windlass_stager* stager);
/* Readable (eventfd) whenever windlass_stager_next_ended has something to tell; for event loops. */
WINDLASS_API int windlass_stager_fd(const windlass_stager* stager);
/* Takes the tag of a call that has ended, once each; 1 if there was one. */
WINDLASS_API int windlass_stager_next_ended(windlass_stager* stager, uint64_t* tag);

typedef struct windlass_stage_counters {
  uint32_t size;
  uint32_t reserved;
  uint64_t bytes_in_flight;
  uint64_t queued;           /* accepted, not begun */
  uint64_t running;
  uint64_t oldest_queued_ms;
  uint64_t bytes_total;      /* published */
  uint64_t files_total;
  uint64_t transfers_done, transfers_failed, transfers_cancelled, transfers_expired;
  uint64_t fallbacks;        /* the sum of those by kind, below */
  uint64_t retries_total;
  uint64_t resumed_bytes_total;
  uint64_t state_set_aside_total; /* journal entries that could not be read */
  uint64_t fallbacks_ring;    /* io_uring denied or lost: plain calls serve */
  uint64_t fallbacks_direct;  /* files that went through the page cache */
  uint64_t fallbacks_buffers; /* threads whose memory is not all registered with the ring (RLIMIT_MEMLOCK) */
  uint64_t fallbacks_confine; /* threads that could not be confined to the roots */
  uint64_t confined_threads;
} windlass_stage_counters;
WINDLASS_API void windlass_stager_counters(const windlass_stager* stager, windlass_stage_counters* counters);

typedef struct windlass_stage_submit_options {
  uint32_t size;
  uint32_t reserved;
  uint64_t tag;       /* given back by windlass_stager_next_ended */
  const char* client; /* whose quota and turn; NULL: "" */
} windlass_stage_submit_options;

/* `request` is the body of a STAGE message (proto/protocol.md). The call is accepted whole (and then ends exactly once)
 * or refused with nothing begun. Does not block on I/O. */
WINDLASS_API windlass_code windlass_stage_submit(windlass_stager* stager, const void* request, size_t request_bytes,
                                                 const windlass_stage_submit_options* options, windlass_stage_call** call,
                                                 windlass_error* error);
/* The same for one file, for callers without msgpack; `checksum` may be NULL. */
WINDLASS_API windlass_code windlass_stage_file(windlass_stager* stager, const char* source, const char* target, const char* checksum,
                                               windlass_stage_call** call, windlass_error* error);

typedef struct windlass_stage_progress {
  uint32_t size;
  uint32_t ended; /* 0 or 1 */
  uint64_t bytes_done, files_done;
  int64_t bytes_total, files_total; /* -1 while unknown */
} windlass_stage_progress;
WINDLASS_API void windlass_stage_progress_of(const windlass_stage_call* call, windlass_stage_progress* progress);
/* 1 once the call has ended, 0 after timeout_ms (-1: waits for ever). */
WINDLASS_API int windlass_stage_wait(windlass_stage_call* call, int64_t timeout_ms);
/* 1: asked; 0: it had ended before. Its transfers then end `cancelled` unless they were done. */
WINDLASS_API int windlass_stage_cancel(windlass_stage_call* call);
/* After the end: the body of the RESULT message, msgpack; lives as long as the call. */
WINDLASS_API windlass_bytes windlass_stage_report(const windlass_stage_call* call);
/* After the end: the state of one transfer: 0 done, 1 failed, 2 cancelled, 3 expired; `error` (may be NULL) tells why. */
WINDLASS_API int windlass_stage_state(const windlass_stage_call* call, size_t transfer, windlass_error* error);
/* Cancels and waits where the call still runs. */
WINDLASS_API void windlass_stage_free(windlass_stage_call* call);

/* ---- Load ------------------------------------------------------------------------------------------------------ */

typedef struct windlass_load_options {
  uint32_t size;
  uint32_t reserved;
  const char* const* roots; /* folders whose file systems' free space is told */
  uint64_t roots_count;
  const char* proc; /* "/proc" where NULL; tests give a folder of their own */
  const char* sys;  /* "/sys" where NULL */
} windlass_load_options;

typedef struct windlass_load_sampler windlass_load_sampler;
typedef struct windlass_load {
  uint32_t size;
  uint32_t reserved;
  double cores;     /* what this process may use: affinity and cgroup quota; 1.5 is possible */
  double cpu_ratio; /* busy share of those cores since the sample before, 0 to 1; 0 in the first */
  uint64_t memory_available_bytes; /* the smaller of the machine's and what the cgroup leaves */
  uint64_t memory_total_bytes;
} windlass_load;

WINDLASS_API windlass_code windlass_load_open(const windlass_load_options* options, windlass_load_sampler** sampler, windlass_error* error);
/* `report` (may be NULL): a msgpack map with cores, cpu_ratio, memory_available_bytes, memory_total_bytes, psi, disk,
 * net, roots, degraded as in proto/protocol.md; lives until the next sample of this sampler. */
WINDLASS_API windlass_code windlass_load_sample(windlass_load_sampler* sampler, windlass_load* load, windlass_bytes* report,
                                                windlass_error* error);
WINDLASS_API void windlass_load_close(windlass_load_sampler* sampler);

#ifdef __cplusplus
}
#endif
#endif /* WINDLASS_WINDLASS_H */
