#include "spool_buf.h"
#include "base_lines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

int spool_buf_pool_init(struct spool_buf_pool *p, uint32_t buf_cnt, uint16_t home)
{
    base_assert(buf_cnt > 0);
    memset(p, 0, sizeof(*p));
    p->bufs = base_lines_new(buf_cnt * sizeof(*p->bufs));
    if (p->bufs == NULL)
        return -ENOMEM;
    void *region = mmap(NULL, (size_t)buf_cnt * SPOOL_BUF_BYTES, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (region == MAP_FAILED) {
        free(p->bufs);
        p->bufs = NULL;
        return -ENOMEM;
    }
    /* Bodies are written to all of it in turn; where there are no large pages it serves as it is.
     */
    (void)madvise(region, (size_t)buf_cnt * SPOOL_BUF_BYTES, MADV_HUGEPAGE);
    p->region = region;
    p->buf_cnt = buf_cnt;
    for (uint32_t i = buf_cnt; i-- > 0;) {
        p->bufs[i].data = p->region + (size_t)i * SPOOL_BUF_BYTES;
        p->bufs[i].home = home;
        spool_buf_put(p, &p->bufs[i]);
    }
    return 0;
}

void spool_buf_pool_fini(struct spool_buf_pool *p)
{
    base_assert(p->free_cnt == p->buf_cnt);
    if (p->region != NULL)
        munmap(p->region, (size_t)p->buf_cnt * SPOOL_BUF_BYTES);
    free(p->bufs);
    memset(p, 0, sizeof(*p));
}

struct spool_buf *spool_buf_get(struct spool_buf_pool *p)
{
    struct spool_buf *buf = p->free;
    if (buf == NULL)
        return NULL;
    p->free = buf->next;
    p->free_cnt--;
    buf->next = NULL;
    buf->len = 0;
    buf->hold_cnt = 0;
    return buf;
}

void spool_buf_put(struct spool_buf_pool *p, struct spool_buf *buf)
{
    base_debug_assert(buf >= p->bufs && buf < p->bufs + p->buf_cnt);
    buf->next = p->free;
    p->free = buf;
    p->free_cnt++;
    base_assert(p->free_cnt <= p->buf_cnt);
}
