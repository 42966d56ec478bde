#include "scratch_pool.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <new>

namespace regen {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr bool sanitized = true;   // reused blocks would hide reads past their end
#else
constexpr bool sanitized = false;
#endif
constexpr std::size_t max_blocks = 8, max_bytes = 32 << 20;

struct ScratchPool {
    std::array<ScratchBlock, max_blocks> blocks{};
    std::size_t count = 0, bytes = 0;
    bool closed = sanitized;   // blocks are freed, not kept

    ~ScratchPool() {
        for (std::size_t k = 0; k < count; ++k) std::free(blocks[k].data);
        count = 0, closed = true;
    }
};

thread_local ScratchPool pool;

}  // namespace

ScratchBlock acquire_scratch(std::size_t bytes) {
    std::size_t best = pool.count;   // the smallest block that fits and is at most four times too large
    for (std::size_t k = 0; k < pool.count; ++k) {
        const std::size_t size = pool.blocks[k].bytes;
        if (size >= bytes && size / 4 <= bytes && (best == pool.count || size < pool.blocks[best].bytes)) best = k;
    }
    if (best < pool.count) {
        const ScratchBlock found = pool.blocks[best];
        pool.blocks[best] = pool.blocks[--pool.count];
        pool.bytes -= found.bytes;
        return found;
    }
    void* data = std::aligned_alloc(64, bytes);
    if (!data) throw std::bad_alloc();
    return {data, bytes};
}

void release_scratch(ScratchBlock block) noexcept {
    if (pool.closed) return std::free(block.data);
    while (pool.count && (pool.count == max_blocks || pool.bytes + block.bytes > max_bytes)) {
        auto* const end = pool.blocks.data() + pool.count;
        auto* const least = std::min_element(
            pool.blocks.data(), end, [](const ScratchBlock& a, const ScratchBlock& b) { return a.bytes < b.bytes; });
        if (least->bytes >= block.bytes) break;
        pool.bytes -= least->bytes;
        std::free(least->data);
        *least = end[-1];
        --pool.count;
    }
    if (pool.count == max_blocks || pool.bytes + block.bytes > max_bytes) return std::free(block.data);
    pool.blocks[pool.count++] = block;
    pool.bytes += block.bytes;
}

}  // namespace regen
