/* A few threads that run one task together.
 *
 * `threads` counts the caller, which works too; a pool of one thread has no threads of its own. Threads exist from
 * sr_pool_open to sr_pool_close; one that is left open is stopped when the library is unloaded or the process ends.
 */
#ifndef SR_POOL_H
#define SR_POOL_H

typedef struct sr_pool sr_pool;

/* worker: 0 for the caller, below `threads`. */
typedef void (*sr_task)(void *context, int worker);

/* NULL: out of memory. Fewer threads than asked for where the system gives no more. */
sr_pool *sr_pool_open(int threads);

/* Threads that will take part, the caller's included. */
int sr_pool_threads(const sr_pool *pool);

/* Run the task in the caller, and in every other thread that comes before the caller is done with it; wait for those.
 *
 * The task shares its work by a counter, so that whoever runs it ends when no work is left: a thread that another program
 * keeps from running is not waited for.
 */
void sr_pool_run(sr_pool *pool, sr_task task, void *context);

/* At the beginning of a call: in the child of a fork, where the threads are gone, start them anew. */
void sr_pool_revive(sr_pool *pool);

void sr_pool_close(sr_pool *pool);

#endif
