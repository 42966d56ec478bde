// Scratch memory between calls.
#pragma once

#include <cstddef>

namespace regen {

// Memory of a thread: at a multiple of 64 bytes, its content undefined.
struct Block {
    void* data;
    std::size_t bytes;
};

// A block of at least so many bytes: one that was given back, if there is one that fits, or a new one. std::bad_alloc.
Block take_block(std::size_t bytes);

// Give it back. A thread keeps at most 8 blocks and 32 MiB; they are freed when it ends.
void give_block(Block block) noexcept;

}  // namespace regen
