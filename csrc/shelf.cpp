#include "shelf.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <new>

namespace regen {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr bool watched = true;    // a block that is used again would hide reads past its end
#else
constexpr bool watched = false;
#endif
constexpr std::size_t most_blocks = 8, most_bytes = 32 << 20;

struct Shelf {
    std::array<Block, most_blocks> blocks{};
    std::size_t count = 0, bytes = 0;
    bool closed = watched;   // nothing is kept

    ~Shelf() {
        for (std::size_t k = 0; k < count; ++k) std::free(blocks[k].data);
        count = 0, closed = true;
    }
};

thread_local Shelf shelf;

}  // namespace

Block take_block(std::size_t bytes) {
    std::size_t best = shelf.count;   // the smallest that fits and is not four times too large
    for (std::size_t k = 0; k < shelf.count; ++k) {
        const std::size_t size = shelf.blocks[k].bytes;
        if (size >= bytes && size / 4 <= bytes && (best == shelf.count || size < shelf.blocks[best].bytes)) best = k;
    }
    if (best < shelf.count) {
        const Block found = shelf.blocks[best];
        shelf.blocks[best] = shelf.blocks[--shelf.count];
        shelf.bytes -= found.bytes;
        return found;
    }
    void* data = std::aligned_alloc(64, bytes);
    if (!data) throw std::bad_alloc();
    return {data, bytes};
}

void give_block(Block block) noexcept {
    if (shelf.closed) return std::free(block.data);
    while (shelf.count && (shelf.count == most_blocks || shelf.bytes + block.bytes > most_bytes)) {
        auto* const end = shelf.blocks.data() + shelf.count;
        auto* const least = std::min_element(shelf.blocks.data(), end,
                                             [](const Block& a, const Block& b) { return a.bytes < b.bytes; });
        if (least->bytes >= block.bytes) break;
        shelf.bytes -= least->bytes;
        std::free(least->data);
        *least = end[-1];
        --shelf.count;
    }
    if (shelf.count == most_blocks || shelf.bytes + block.bytes > most_bytes) return std::free(block.data);
    shelf.blocks[shelf.count++] = block;
    shelf.bytes += block.bytes;
}

}  // namespace regen
