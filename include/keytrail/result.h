// SPDX-License-Identifier: Apache-2.0
// One error type and one alias for everything that can fail. No exception crosses a stage.
#pragma once

#include <expected>
#include <string>
#include <utility>

namespace keytrail {

/// Why an operation failed. `message` is a sentence for a person: what failed, on what, and what to do.
/// It never holds a secret and never a line of a key file.
struct Error {
  enum class Code {
    kInvalid,      ///< the input is malformed or contradicts itself
    kNotFound,     ///< the thing asked for is not there
    kRefused,      ///< permission, or a rule, says no
    kUnavailable,  ///< a peer or the system cannot serve it now; trying again may help
    kGone,         ///< it existed and has vanished (a process, an inode)
    kTooLarge,     ///< over a documented bound
    kSystem,       ///< a system call failed; the message names it
  };
  Code code = Code::kInvalid;
  std::string message;
};

/// A value or the reason why there is none.
template <typename T>
using Result = std::expected<T, Error>;

/// `return fail(Error::Code::kInvalid, "…")` from a function that returns Result<T>.
[[nodiscard]] inline std::unexpected<Error> fail(Error::Code code, std::string message) {
  return std::unexpected<Error>(Error{code, std::move(message)});
}

}  // namespace keytrail
