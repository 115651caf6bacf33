#include "plugin/c_abi/error.hpp"

namespace windlass::c_abi {
namespace {

void copy_text(std::string_view text, char* out, size_t capacity) {
  size_t count = std::min(text.size(), capacity - 1);
  if (count < text.size()) {
    while (count > 0 && (static_cast<unsigned char>(text[count]) & 0xC0U) == 0x80U) --count;
  }
  if (count > 0) std::memcpy(out, text.data(), count);
  out[count] = '\0';
}

}  // namespace

windlass_code fail(windlass_error* error, windlass_code code, std::string_view message, const ErrorFields& fields) {
  if (!error) return code;
  windlass_error filled{};
  filled.code = code;
  filled.side = fields.side;
  filled.retryable = fields.retryable ? 1 : 0;
  filled.row = fields.row;
  filled.retry_after_ms = fields.retry_after_ms;
  copy_text(fields.field, filled.field, sizeof filled.field);
  copy_text(message, filled.message, sizeof filled.message);
  write_sized(filled, error);
  return code;
}

}  // namespace windlass::c_abi

extern "C" {

uint32_t windlass_abi_version(void) {
  return WINDLASS_ABI_VERSION;
}

const char* windlass_version(void) {
  return WINDLASS_VERSION;
}
}
