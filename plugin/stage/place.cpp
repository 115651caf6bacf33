#include "plugin/stage/place.hpp"

#include <algorithm>
#include <array>
#include <cctype>

namespace windlass::stage {
namespace {

struct Scheme {
  std::string_view name;
  PlaceKind kind;
};
constexpr std::array<Scheme, 4> kSchemes{{{"http://", PlaceKind::http},
                                          {"https://", PlaceKind::http},
                                          {"s3://", PlaceKind::s3},
                                          {"windlass://", PlaceKind::node}}};

bool begins_with_any_case(std::string_view text, std::string_view prefix) {
  return text.size() >= prefix.size() && std::equal(prefix.begin(), prefix.end(), text.begin(), [](char a, char b) {
           return a == static_cast<char>(std::tolower(static_cast<unsigned char>(b)));
         });
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const int lower = std::tolower(static_cast<unsigned char>(c));
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// The absolute path in a file: URL, percent-decoded once.
Result<std::string> file_url_path(std::string_view url) {
  std::string_view rest = url.substr(5);
  if (rest.find_first_of("?#") != std::string_view::npos)
    return fail(Code::invalid_argument, "the URL " + quoted(url) + " holds ? or #; write them as %3F and %23");
  if (rest.starts_with("//")) {
    rest.remove_prefix(2);
    const std::string_view host = rest.substr(0, rest.find('/'));
    if (!host.empty() && !(host.size() == 9 && begins_with_any_case(host, "localhost")))
      return fail(Code::invalid_argument, "the URL " + quoted(url) + " names another host; leave the host empty");
    rest.remove_prefix(host.size());
  }
  std::string path;
  for (std::size_t i = 0; i < rest.size(); ++i) {
    if (rest[i] != '%') {
      path += rest[i];
      continue;
    }
    const int high = i + 1 < rest.size() ? hex_digit(rest[i + 1]) : -1;
    const int low = i + 2 < rest.size() ? hex_digit(rest[i + 2]) : -1;
    const int byte = high < 0 || low < 0 ? -1 : high * 16 + low;
    if (byte < 0 || byte == 0 || byte == '/')
      return fail(Code::invalid_argument,
                  "the URL " + quoted(url) + " holds a % that stands for no byte of a name; write % as %25");
    path += static_cast<char>(byte);
    i += 2;
  }
  return path;
}

}  // namespace

std::string Place::path(std::size_t count) const {
  std::string out;
  for (std::size_t i = 0; i < count; ++i) out += "/" + parts[i];
  return out.empty() ? "/" : out;
}

bool Place::climbs() const {
  return std::find(parts.begin(), parts.end(), "..") != parts.end();
}

Result<Place> parse_place(std::string_view given) {
  Place place;
  place.given = given;
  std::string path(given);
  for (const Scheme& scheme : kSchemes) {
    if (!begins_with_any_case(given, scheme.name)) continue;
    return fail(Code::unimplemented, quoted(given) + ": " + std::string(scheme.name) +
                                         " is not served by this version; give a path or a file:// URL");
  }
  if (begins_with_any_case(given, "file:")) {
    auto decoded = file_url_path(given);
    if (!decoded) return fail(decoded.error());
    path = std::move(*decoded);
  }
  if (path.empty() || path.front() != '/')
    return fail(Code::invalid_argument,
                quoted(given) + " is no absolute path and no URL that is known; give an absolute path");
  if (path.find('\0') != std::string::npos)
    return fail(Code::invalid_argument, quoted(given) + " holds a zero byte, which no path can");
  for (std::size_t at = 0; at < path.size();) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    const std::string_view part = std::string_view(path).substr(at, end - at);
    if (!part.empty() && part != ".") place.parts.emplace_back(part);
    at = end + 1;
  }
  place.folder = path.back() == '/' || path.ends_with("/.") || path.ends_with("/..");
  return place;
}

Status check_target_name(const Place& target) {
  if (target.parts.empty())
    return fail(Code::invalid_argument,
                "the target " + quoted(target.given) + " is the top folder; name what is to be made");
  for (const std::string& part : target.parts)
    if (part.starts_with(kTemporaryPrefix))
      return fail(Code::invalid_argument,
                  "the target " + quoted(target.given) +
                      ": names that begin with .windlass- are kept for temporaries; choose another name");
  return {};
}

}  // namespace windlass::stage
