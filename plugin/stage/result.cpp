#include "plugin/stage/result.hpp"

#include <cerrno>
#include <cstring>

namespace windlass::stage {
namespace {

struct Meaning {
  Code code;
  bool retryable;
  bool again;
  const char* advice;
};

Meaning meaning_of(int number) {
  switch (number) {
    case ENOENT:
      return {Code::not_found, false, false, "check the path on the machine where the transfer runs"};
    case EACCES:
    case EPERM:
    case EROFS:
      return {Code::permission_denied, false, false, "give the user that runs the transfer the right to it"};
    case ELOOP:
    case ENOTDIR:
    case EISDIR:
    case ENAMETOOLONG:
    case EINVAL:
    case ENXIO:
    case ENODEV:
      return {Code::invalid_argument, false, false, "name a regular file or a folder"};
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return {Code::resource_exhausted, true, false, "make room there and stage again"};
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOBUFS:
      return {Code::resource_exhausted, true, true, "raise the limit of the process or stage less at once"};
    case EIO:
    case EBADMSG:
    case EUCLEAN:
      return {Code::data_loss, false, false, "look at the health of that disk"};
    case ESTALE:
    case EAGAIN:
    case EINTR:
    case EBUSY:
    case ETIMEDOUT:
    case EHOSTDOWN:
    case ENOTCONN:
    case ETXTBSY:
    case EREMOTEIO:
      return {Code::unavailable, true, true, "try again later"};
    case ECANCELED:
      return {Code::cancelled, false, false, "it was asked for"};
    default:
      return {Code::internal, false, false, "this is not expected; please report it"};
  }
}

// Length of the valid UTF-8 sequence at the start of `text`, 0 where there is none.
std::size_t utf8_length(std::string_view text) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = at(0);
  const std::size_t length = first < 0x80                    ? 1
                             : first >= 0xC2 && first < 0xE0 ? 2
                             : first >= 0xE0 && first < 0xF0 ? 3
                             : first >= 0xF0 && first < 0xF5 ? 4
                                                             : 0;
  if (length == 0 || length > text.size()) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((at(i) & 0xC0) != 0x80) return 0;
  if ((first == 0xE0 && at(1) < 0xA0) || (first == 0xED && at(1) >= 0xA0)) return 0;
  if ((first == 0xF0 && at(1) < 0x90) || (first == 0xF4 && at(1) >= 0x90)) return 0;
  return length;
}

}  // namespace

std::string quoted(std::string_view bytes) {
  constexpr std::size_t kShown = 400;  // a message has 1,024 bytes and may name two paths
  const bool cut = bytes.size() > kShown;
  const std::string_view shown = bytes.substr(0, kShown);
  std::string out = "'";
  for (std::size_t i = 0; i < shown.size();) {
    const auto byte = static_cast<unsigned char>(shown[i]);
    const std::size_t length = byte < 0x20 || byte == 0x7F ? 0 : utf8_length(shown.substr(i));
    if (length == 0) {
      constexpr char kHex[] = "0123456789abcdef";
      out += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
      ++i;
    } else {
      out.append(shown, i, length);
      i += length;
    }
  }
  out += cut ? "...'" : "'";
  return out;
}

Error errno_error(int number, std::string_view what, std::string_view path) {
  const Meaning meaning = meaning_of(number);
  char text[128];
  const char* why = ::strerror_r(number, text, sizeof text);
  Error error;
  error.code = meaning.code;
  error.retryable = meaning.retryable;
  error.again = meaning.again;
  error.message = "cannot " + std::string(what) + " " + quoted(path) + ": " + why + "; " + meaning.advice;
  return error;
}

}  // namespace windlass::stage
