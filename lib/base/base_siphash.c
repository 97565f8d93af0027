#include "base_siphash.h"

uint64_t base_siphash(const uint8_t key[16], const void *p, size_t len)
{
    return base_sip(key, p, len, 2, 4);
}
