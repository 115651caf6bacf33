// Vectors that are looked into here and there and may be large: theirs are huge pages where the kernel gives them, so
// that a look seldom waits for the address before it waits for the memory. Smaller ones are as any other.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdlib>
#include <new>
#include <vector>

namespace windlass::match {

template <typename T>
class HugeAllocator {
 public:
  using value_type = T;

  HugeAllocator() = default;
  template <typename Other>
  HugeAllocator(const HugeAllocator<Other>&) {}  // NOLINT(google-explicit-constructor): as an allocator has it

  T* allocate(size_t count) {
    const size_t bytes = count * sizeof(T);
    if (bytes < kPage) return static_cast<T*>(::operator new(bytes, std::align_val_t{alignof(T)}));
    const size_t whole = (bytes + kPage - 1) / kPage * kPage;
    void* found = std::aligned_alloc(kPage, whole);
    if (!found) throw std::bad_alloc();
    ::madvise(found, whole, MADV_HUGEPAGE);  // a wish: without it there are more, smaller pages
    return static_cast<T*>(found);
  }
  void deallocate(T* data, size_t count) {
    if (count * sizeof(T) < kPage) {
      ::operator delete(data, std::align_val_t{alignof(T)});
    } else {
      std::free(data);
    }
  }

  friend bool operator==(const HugeAllocator&, const HugeAllocator&) { return true; }

 private:
  static constexpr size_t kPage = size_t{2} << 20;
};

template <typename T>
using HugeVector = std::vector<T, HugeAllocator<T>>;

}  // namespace windlass::match
