// SPDX-License-Identifier: Apache-2.0
#include "agent/warden/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <array>
#include <string>

namespace keytrail::warden {

void say(Level level, const char* format, ...) {
  std::array<char, 1024> text{};
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text.data(), text.size(), format, arguments);
  va_end(arguments);
  std::string line = level == Level::kError  ? "keytrail-warden: error: "
                     : level == Level::kWarn ? "keytrail-warden: warning: "
                                             : "keytrail-warden: ";
  for (const char* at = text.data(); *at != '\0'; ++at) {
    const auto byte = static_cast<unsigned char>(*at);
    if (byte >= 0x20 && byte != 0x7f) {
      line += *at;
    } else {
      std::array<char, 8> escaped{};
      snprintf(escaped.data(), escaped.size(), "\\x%02x", static_cast<unsigned>(byte));
      line += escaped.data();
    }
  }
  line += '\n';
  (void)!write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace keytrail::warden
