// Reuse of scratch memory between calls.
#pragma once

#include <cstddef>

namespace regen {

// Memory aligned to 64 bytes, with undefined content.
struct ScratchBlock {
    void* data;
    std::size_t bytes;
};

// A block of at least `bytes`: a released one of this thread that fits, or a new one. Throws std::bad_alloc.
ScratchBlock acquire_scratch(std::size_t bytes);

// Release a block for later calls of this thread. A thread keeps at most 8 blocks and 32 MiB, which are freed when it ends.
void release_scratch(ScratchBlock block) noexcept;

}  // namespace regen
