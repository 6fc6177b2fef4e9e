// SPDX-License-Identifier: Apache-2.0
// Port: ask what a file or an initial environment holds. The warden opens it, the examiner reads it, facts come back; the bytes never reach
// the worker.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "keytrail/event.h"
#include "keytrail/key.h"
#include "keytrail/process.h"

namespace keytrail {

/// One key found by the examiner.
struct KeyFact {
  Key key;
  std::string selector;       ///< profile, context, host …; empty when the place holds one key
  Fingerprint selector_hash;  ///< SipHash of the selector with the fingerprint key: compared with an argument's hash
  std::string variable;       ///< environment only: the variable
  std::string host;           ///< "host" or "host:port" that the file says the entry is for; else empty
  bool current = false;       ///< the file itself names this entry as the one in use (current-context)
  bool untold = false;        ///< the kind is the usual one of the place: the key itself does not tell
};

struct ExamineRequest {
  enum class Kind : std::uint8_t { kFile, kEnvironment };
  Kind kind = Kind::kFile;
  InstanceId who;
  std::uint32_t mnt_ns = 0;
  std::vector<std::uint32_t> same_mount_ns;  ///< other live processes of that mount namespace, to open through if `who` is gone (≤ 8)
  std::string path;                          ///< kFile
  FileIdentity file;                         ///< what the kernel saw opened
  std::string format;      ///< parser: "aws_credentials", "raw_token", "pem", "ssh_private_key", …; from the catalog entry
  std::string key_kind;    ///< catalog kind to give when the format does not tell; may be empty
  std::string other_kind;  ///< what the place may hold besides: a password where `key_kind` is none, else no password; may be empty
  bool look = false;       ///< look again at a known place: open what is there now; `file` is what was there before
};

struct ExamineAnswer {
  std::string
      unread;  ///< empty when read; else "gone", "changed", "refused", "timeout", "too large", "unknown format", "examiner restarted"
  std::vector<KeyFact> keys;  ///< may be empty: the file holds no key
  /// Values of shown variables of an initial environment, and names of secret ones with their fingerprints.
  std::vector<EnvItem> env;
  std::uint32_t skipped = 0;  ///< entries that were malformed, or more than there is room for
  FileIdentity file;          ///< kFile: what was opened (inode, ctime, size; dev as fstat says)
  bool unchanged = false;     ///< `look` only: the same inode, change time and size as before; nothing was read
};

class Examiner {
 public:
  virtual ~Examiner() = default;
  /// Asks; `done` is called exactly once, later, on the pipeline's thread, within about 2 s whatever happens.
  virtual void examine(const ExamineRequest& request, std::function<void(ExamineAnswer)> done) = 0;
};

}  // namespace keytrail
