// The two CRCs that storage services use, over a running value that begins at 0. Any thread.
#pragma once

#include <cstddef>
#include <cstdint>

namespace windlass::stage {

std::uint32_t crc32c(std::uint32_t value, const void* data, std::size_t bytes);     // Castagnoli
std::uint64_t crc64nvme(std::uint64_t value, const void* data, std::size_t bytes);  // as in the NVMe specification

// The table-driven truth, whatever the CPU can do; the two above equal it.
std::uint32_t crc32c_by_table(std::uint32_t value, const void* data, std::size_t bytes);

}  // namespace windlass::stage
