// SPDX-License-Identifier: Apache-2.0
// The warden's log: one line a message on stderr, control characters escaped. No library: the warden has libc and
// libbpf only.
#pragma once

namespace keytrail::warden {

enum class Level { kInfo, kWarn, kError };

/// printf-like. Text from outside is safe: every byte below 0x20 and 0x7f is written as \xNN.
__attribute__((format(printf, 2, 3))) void say(Level level, const char* format, ...);

}  // namespace keytrail::warden
