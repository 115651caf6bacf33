// The header frame: decode_header and id_of.
#include "tests/fuzz/golden.hpp"

namespace windlass::fuzz {

void run(std::string_view bytes) {
  const auto header = proto::decode_header(bytes);
  const auto id = proto::id_of(bytes);
  if (!header) return;
  require(id && *id == header->id, "a header that is taken has the id that id_of finds");
  const std::string written = proto::encode(*header);
  const auto again = proto::decode_header(written);
  require(again.has_value(), "what the codec writes it reads");
  require(proto::encode(*again) == written, "what is written and read is written alike");
}

std::vector<std::string> seeds() {
  std::vector<std::string> made;
  for (const proto::GoldenMessage& message : proto::golden_messages()) made.push_back(message.frames[0]);
  proto::Header full;
  full.dl = 1500;
  full.tp = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  made.push_back(proto::encode(full));
  return made;
}

}  // namespace windlass::fuzz
