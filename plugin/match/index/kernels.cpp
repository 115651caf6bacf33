#include "plugin/match/index/kernels.hpp"

#include <bit>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace windlass::match {
namespace {

uint64_t columns_plain(const uint8_t* table, const uint8_t* least, size_t rows) {
  uint8_t good[kLanes];
  for (uint8_t& lane : good) lane = 1;
  for (size_t row = 0; row < rows; ++row) {
    const uint8_t* values = table + row * kLanes;
    const uint8_t bound = least[row];
    for (size_t lane = 0; lane < kLanes; ++lane) good[lane] &= static_cast<uint8_t>(values[lane] >= bound);
  }
  uint64_t mask = 0;
  for (size_t lane = 0; lane < kLanes; ++lane) mask |= static_cast<uint64_t>(good[lane]) << lane;
  return mask;
}

uint64_t amounts_plain(const int64_t* amounts, int64_t least) {
  uint64_t mask = 0;
  for (size_t lane = 0; lane < kLanes; ++lane) mask |= static_cast<uint64_t>(amounts[lane] >= least) << lane;
  return mask;
}

// The loops for each kind of CPU; a macro, for a template would not take over the target of its caller.
#define WINDLASS_FIRST(name, target, columns)                                              \
  target Hit name(const Tables& tables, size_t begin, size_t end, const uint8_t* least) {  \
    for (size_t at = begin; at < end; ++at) {                                              \
      const size_t first = static_cast<size_t>(tables.numbers[at]) * tables.rows * kLanes; \
      if (const uint64_t mask = columns(tables.base + first, least, tables.rows)) {        \
        return {at, mask};                                                                 \
      }                                                                                    \
    }                                                                                      \
    return {end, 0};                                                                       \
  }

#define WINDLASS_AMONG(name, target, columns)                                                       \
  target Hit name(const uint8_t* base, size_t rows, uint64_t places, const uint8_t* least) {        \
    for (; places != 0; places &= places - 1) {                                                     \
      const auto at = static_cast<size_t>(std::countr_zero(places));                                \
      if (const uint64_t mask = columns(base + at * rows * kLanes, least, rows)) return {at, mask}; \
    }                                                                                               \
    return {kLanes, 0};                                                                             \
  }

WINDLASS_FIRST(first_plain, , columns_plain)
WINDLASS_AMONG(among_plain, , columns_plain)
constexpr Kernel kPlain{Engine::scalar, first_plain, among_plain, amounts_plain};

#if defined(__x86_64__)

#define WINDLASS_AVX2 __attribute__((target("avx2")))
#define WINDLASS_AVX512 __attribute__((target("avx512f,avx512bw")))

WINDLASS_AVX2 inline uint64_t columns_avx2(const uint8_t* table, const uint8_t* least, size_t rows) {
  __m256i low = _mm256_set1_epi8(-1), high = low;
  for (size_t row = 0; row < rows; ++row) {
    const __m256i bound = _mm256_set1_epi8(static_cast<char>(least[row]));
    const auto* values = reinterpret_cast<const __m256i*>(table + row * kLanes);
    const __m256i first = _mm256_load_si256(values), second = _mm256_load_si256(values + 1);
    low = _mm256_and_si256(low, _mm256_cmpeq_epi8(_mm256_max_epu8(first, bound), first));
    high = _mm256_and_si256(high, _mm256_cmpeq_epi8(_mm256_max_epu8(second, bound), second));
  }
  const auto lower = static_cast<uint32_t>(_mm256_movemask_epi8(low));
  const auto upper = static_cast<uint32_t>(_mm256_movemask_epi8(high));
  return lower | static_cast<uint64_t>(upper) << 32;
}

WINDLASS_AVX512 inline uint64_t columns_avx512(const uint8_t* table, const uint8_t* least, size_t rows) {
  uint64_t mask = ~uint64_t{0};
  for (size_t row = 0; row < rows; ++row) {
    const __m512i bound = _mm512_set1_epi8(static_cast<char>(least[row]));
    mask = _mm512_mask_cmpge_epu8_mask(mask, _mm512_load_si512(table + row * kLanes), bound);
  }
  return mask;
}

WINDLASS_AVX2 uint64_t amounts_avx2(const int64_t* amounts, int64_t least) {
  const __m256i bound = _mm256_set1_epi64x(least);
  uint64_t less = 0;
  for (size_t lane = 0; lane < kLanes; lane += 4) {
    const __m256i four = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(amounts + lane));
    const int bits = _mm256_movemask_pd(_mm256_castsi256_pd(_mm256_cmpgt_epi64(bound, four)));
    less |= static_cast<uint64_t>(bits) << lane;
  }
  return ~less;
}

WINDLASS_AVX512 uint64_t amounts_avx512(const int64_t* amounts, int64_t least) {
  const __m512i bound = _mm512_set1_epi64(least);
  uint64_t mask = 0;
  for (size_t lane = 0; lane < kLanes; lane += 8) {
    const __mmask8 eight = _mm512_cmpge_epi64_mask(_mm512_loadu_si512(amounts + lane), bound);
    mask |= static_cast<uint64_t>(eight) << lane;
  }
  return mask;
}

WINDLASS_FIRST(first_avx2, WINDLASS_AVX2, columns_avx2)
WINDLASS_FIRST(first_avx512_rows, WINDLASS_AVX512, columns_avx512)
WINDLASS_AMONG(among_avx2, WINDLASS_AVX2, columns_avx2)
WINDLASS_AMONG(among_avx512_rows, WINDLASS_AVX512, columns_avx512)

// What is looked for stays in registers where there are four rows or fewer, as most often.
struct FewRows {
  WINDLASS_AVX512 FewRows(size_t rows, const uint8_t* least) : step(rows * kLanes) {
    for (size_t row = 0; row < 4; ++row) {
      const size_t known = row < rows ? row : 0;
      bound[row] = _mm512_set1_epi8(static_cast<char>(least[known]));
      at[row] = known * kLanes;
    }
  }
  WINDLASS_AVX512 uint64_t columns(const uint8_t* table) const {
    const __mmask64 a = _mm512_cmpge_epu8_mask(_mm512_load_si512(table), bound[0]);
    const __mmask64 b = _mm512_mask_cmpge_epu8_mask(a, _mm512_load_si512(table + at[1]), bound[1]);
    const __mmask64 c = _mm512_cmpge_epu8_mask(_mm512_load_si512(table + at[2]), bound[2]);
    return b & _mm512_mask_cmpge_epu8_mask(c, _mm512_load_si512(table + at[3]), bound[3]);
  }

  size_t step;
  __m512i bound[4];
  size_t at[4];
};

WINDLASS_AVX512 Hit first_avx512(const Tables& tables, size_t begin, size_t end, const uint8_t* least) {
  if (tables.rows > 4) return first_avx512_rows(tables, begin, end, least);
  const FewRows few(tables.rows, least);
  for (size_t at = begin; at < end; ++at) {
    const uint64_t mask = few.columns(tables.base + static_cast<size_t>(tables.numbers[at]) * few.step);
    if (mask) return {at, mask};
  }
  return {end, 0};
}

WINDLASS_AVX512 Hit among_avx512(const uint8_t* base, size_t rows, uint64_t places, const uint8_t* least) {
  if (rows > 4) return among_avx512_rows(base, rows, places, least);
  const FewRows few(rows, least);
  for (; places != 0; places &= places - 1) {
    const auto at = static_cast<size_t>(std::countr_zero(places));
    if (const uint64_t mask = few.columns(base + at * few.step)) return {at, mask};
  }
  return {kLanes, 0};
}

Kernel widest() {
  if (__builtin_cpu_supports("avx512bw")) return {Engine::avx512, first_avx512, among_avx512, amounts_avx512};
  if (__builtin_cpu_supports("avx2")) return {Engine::avx2, first_avx2, among_avx2, amounts_avx2};
  return kPlain;
}

#elif defined(__aarch64__)

uint64_t columns_neon(const uint8_t* table, const uint8_t* least, size_t rows) {
  uint64_t mask = 0;
  for (size_t part = 0; part < kLanes; part += 8) {
    uint8x8_t good = vdup_n_u8(0xFF);
    for (size_t row = 0; row < rows; ++row) {
      good = vand_u8(good, vcge_u8(vld1_u8(table + row * kLanes + part), vdup_n_u8(least[row])));
    }
    constexpr uint8_t kBits[8] = {1, 2, 4, 8, 16, 32, 64, 128};
    mask |= static_cast<uint64_t>(vaddv_u8(vand_u8(good, vld1_u8(kBits)))) << part;
  }
  return mask;
}

WINDLASS_FIRST(first_neon, , columns_neon)
WINDLASS_AMONG(among_neon, , columns_neon)

Kernel widest() {
  return {Engine::neon, first_neon, among_neon, amounts_plain};
}

#else

Kernel widest() {
  return kPlain;
}

#endif

}  // namespace

const Kernel& kernel() {
  static const Kernel chosen = widest();
  return chosen;
}

const Kernel& plain_kernel() {
  return kPlain;
}

}  // namespace windlass::match
