#include "plugin/load/report.hpp"

#include <bit>
#include <msgpack.hpp>

namespace windlass::load {
namespace {

// Lets msgpack write straight into a vector.
struct Into {
  std::vector<char>& bytes;
  void write(const char* data, std::size_t count) { bytes.insert(bytes.end(), data, data + count); }
};
using Packer = msgpack::packer<Into>;

template <typename Value>
void pair(Packer& packer, const char* key, const Value& value) {
  packer.pack(key);
  packer.pack(value);
}

// Not by the packer, which turns 2.0 into the integer 2.
void pair(Into& into, Packer& packer, const char* key, double value) {
  packer.pack(key);
  const auto bits = std::bit_cast<std::uint64_t>(value);
  char bytes[9] = {'\xcb'};
  for (int i = 0; i < 8; ++i) bytes[1 + i] = static_cast<char>(bits >> (56 - 8 * i) & 0xFF);
  into.write(bytes, sizeof bytes);
}

template <typename Item, typename Each>
void map_of(Packer& packer, const char* key, const std::map<std::string, Item>& items, Each each) {
  packer.pack(key);
  packer.pack_map(static_cast<std::uint32_t>(items.size()));
  for (const auto& [name, item] : items) {
    packer.pack(name);
    each(item);
  }
}

}  // namespace

void pack_report(const Report& report, std::vector<char>& out) {
  out.clear();
  Into into{out};
  Packer packer(into);
  packer.pack_map(9);
  pair(into, packer, "cores", report.cores);
  pair(into, packer, "cpu_ratio", report.cpu_ratio);
  pair(packer, "memory_available_bytes", report.memory_available_bytes);
  pair(packer, "memory_total_bytes", report.memory_total_bytes);
  map_of(packer, "psi", report.psi, [&](const Pressure& p) {
    packer.pack_map(4);
    pair(into, packer, "some_avg10", p.some_avg10);
    pair(into, packer, "some_avg60", p.some_avg60);
    pair(into, packer, "full_avg10", p.full_avg10);
    pair(into, packer, "full_avg60", p.full_avg60);
  });
  map_of(packer, "disk", report.disk, [&](const DiskRate& d) {
    packer.pack_map(3);
    pair(into, packer, "read_bytes_per_s", d.read_bytes_per_s);
    pair(into, packer, "write_bytes_per_s", d.write_bytes_per_s);
    pair(into, packer, "busy_ratio", d.busy_ratio);
  });
  map_of(packer, "net", report.net, [&](const NetRate& n) {
    packer.pack_map(2);
    pair(into, packer, "receive_bytes_per_s", n.receive_bytes_per_s);
    pair(into, packer, "transmit_bytes_per_s", n.transmit_bytes_per_s);
  });
  map_of(packer, "roots", report.roots, [&](const RootSpace& r) {
    packer.pack_map(2);
    pair(packer, "free_bytes", r.free_bytes);
    pair(packer, "free_inodes", r.free_inodes);
  });
  pair(packer, "degraded", report.degraded);
}

}  // namespace windlass::load
