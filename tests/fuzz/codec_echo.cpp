// The C++ codec as a filter, for the test that holds it against the Python one. Cases come on stdin: a length in four
// little-endian bytes, then a byte that says what the rest is (an index of kKinds) and the rest. Each is answered by a
// byte (0 refused, 1 taken, 2 taken, but with map keys that only some languages can tell apart), a length, and the
// bytes written anew; of what is refused, why.
#include <cstdio>
#include <cstring>
#include <iostream>
#include <set>

#include "proto/bounded.hpp"
#include "proto/codec.hpp"
#include "proto/writer.hpp"

namespace {

using namespace windlass::proto;

struct Echo {
  char verdict = 0;
  std::string bytes;
};

template <class Body>
Echo echo(std::string_view bytes) {
  const auto body = decode<Body>(bytes);
  if (!body) return {0, body.error().message};
  return {1, encode(*body)};
}

Echo echo_header(std::string_view bytes) {
  const auto header = decode_header(bytes);
  if (!header) return {0, header.error().message};
  return {1, encode(*header)};
}

// Any map, value by value.
class Rewriter {
 public:
  Rewriter(Reader& reader, Writer& writer) : reader_(reader), writer_(writer) {}

  void value() {
    switch (reader_.kind()) {
      case Kind::nil:
        reader_.skip();
        writer_.nil();
        break;
      case Kind::boolean:
        writer_.boolean(reader_.boolean());
        break;
      case Kind::integer:
        integer();
        break;
      case Kind::number:
        writer_.number(reader_.number());
        break;
      case Kind::str:
        writer_.str(reader_.str());
        break;
      case Kind::bin:
        writer_.bin(reader_.bin());
        break;
      case Kind::array:
        array();
        break;
      case Kind::map:
        map();
        break;
      case Kind::none:
        reader_.fail("nothing is there");
    }
  }
  [[nodiscard]] bool odd() const { return odd_; }

 private:
  void integer() {
    Reader look = reader_;
    const std::uint64_t positive = look.unsigned_integer();
    if (look.failed()) {
      writer_.integer(reader_.integer());
    } else {
      reader_.skip();
      writer_.unsigned_integer(positive);
    }
  }
  void array() {
    const std::size_t count = reader_.array();
    writer_.array(count);
    for (std::size_t i = 0; i < count && !reader_.failed(); ++i) value();
  }
  void map() {
    const std::size_t count = reader_.map();
    writer_.map(count);
    std::set<std::string> keys;
    for (std::size_t i = 0; i < count && !reader_.failed(); ++i) {
      Writer key;
      Rewriter rewriter(reader_, key);
      odd_ = odd_ || reader_.kind() != Kind::str;
      rewriter.value();
      odd_ = odd_ || rewriter.odd() || !keys.insert(key.bytes()).second;
      writer_.raw(key.bytes());
      value();
    }
  }

  Reader& reader_;
  Writer& writer_;
  bool odd_ = false;
};

Echo echo_any(std::string_view bytes) {
  if (const auto body = decode<Empty>(bytes); !body) return {0, body.error().message};
  Reader reader(bytes);
  Writer writer;
  Rewriter rewriter(reader, writer);
  rewriter.value();
  if (reader.failed()) return {0, "what was taken cannot be read: " + reader.fault()};
  return {static_cast<char>(rewriter.odd() ? 2 : 1), writer.take()};
}

constexpr Echo (*kKinds[])(std::string_view) = {
    echo_header,      echo_any,          echo<Hello>,       echo<Welcome>, echo<Load>,          echo<LoadSeen>,
    echo<LoadAnswer>, echo<Match>,       echo<MatchResult>, echo<Session>, echo<SessionAnswer>, echo<SessionOffers>,
    echo<Stage>,      echo<StageResult>, echo<Progress>,    echo<Cancel>,  echo<CancelResult>,  echo<Error>,
};

bool read_exactly(char* into, std::size_t bytes) {
  return std::cin.read(into, static_cast<std::streamsize>(bytes)).good();
}

void answer(const Echo& echo) {
  const auto size = static_cast<std::uint32_t>(echo.bytes.size());
  std::cout.put(echo.verdict);
  std::cout.write(reinterpret_cast<const char*>(&size), sizeof size);
  std::cout.write(echo.bytes.data(), static_cast<std::streamsize>(size));
}

}  // namespace

int main() {
  std::ios::sync_with_stdio(false);
  std::uint32_t size = 0;
  std::string bytes;
  while (read_exactly(reinterpret_cast<char*>(&size), sizeof size)) {
    bytes.resize(size);
    if (size == 0 || !read_exactly(bytes.data(), size)) return 2;
    const auto kind = static_cast<unsigned char>(bytes[0]);
    if (kind >= std::size(kKinds)) return 2;
    answer(kKinds[kind](std::string_view(bytes).substr(1)));
  }
  return 0;
}
