// SPDX-License-Identifier: Apache-2.0
// Port: ask what something that the warden can open holds. The warden opens it, the examiner reads it, facts come back;
// the bytes never reach the worker.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "keytrail/event.h"
#include "keytrail/key.h"
#include "keytrail/process.h"
#include "keytrail/workload.h"

namespace keytrail {

/// One key found by the examiner.
struct KeyFact {
  Key key;
  std::string selector;       ///< profile, context, host …; empty when the place holds one key
  Fingerprint selector_hash;  ///< SipHash of the selector with the fingerprint key: compared with an argument's hash
  /// Environment: the variable. Arguments: the flag. Of a file's entry without a key: the variable that its key stands
  /// in, or with a `path` the option that says so.
  std::string variable;
  std::string host;  ///< "host" or "host:port" that the file says the entry is for; else empty
  /// The file itself names this entry as the one in use (current-context). Of an entry whose key comes from elsewhere:
  /// that counts before the key that stands in it.
  bool current = false;
  std::vector<Claim> claims;  ///< of a service account's token: the pod it was made for
  bool untold = false;        ///< the kind is the usual one of the place: the key itself does not tell
  std::string path;           ///< of a file's entry without a key: where the file says that its key is, as written
};

/// A key was found here: the kernel side is asked to watch the place, whatever it is called, or to watch it no more.
struct FoundPlace {
  std::string path;         ///< empty: the file alone
  std::uint64_t inode = 0;  ///< 0: not known (a place of an earlier run)
  std::uint32_t dev = 0;    ///< kernel encoding
  bool over = false;        ///< given up for others
};

/// Through which processes the thing that is meant can be reached.
struct Reach {
  InstanceId who;
  std::uint32_t mnt_ns = 0;
  std::vector<std::uint32_t> same_mount_ns;  ///< other live processes of that mount namespace, if `who` is gone (≤ 8)
};

// ---- the question kinds, each with the answer that it gets ----

struct FileAnswer {
  std::string unread;         ///< empty when read; else a word of role::text_of(Unread)
  std::vector<KeyFact> keys;  ///< may be empty: the file holds no key
  std::uint32_t skipped = 0;  ///< entries that were malformed, or more than there is room for
  FileIdentity file;          ///< what was opened (inode, ctime, size; dev as fstat says)
  std::string format;         ///< `format` "content" only: the parser for what the file shows; see kContentFormat
  bool unchanged = false;     ///< `look` only: the same inode, change time and size as before; nothing was read
};

/// The question's `format` for a file whose place says nothing, and the answer's where the content may be a secret of
/// no known form. An answer without a format: nothing in it looks like a key.
inline constexpr std::string_view kContentFormat = "content";
inline constexpr std::string_view kSecretShaped = "secret-shaped";

/// Which keys does this file hold?
struct FileQuestion {
  using Answer = FileAnswer;
  std::string path;
  FileIdentity file;       ///< what the kernel saw opened
  std::string format;      ///< parser: "aws_credentials", "raw_token", "pem", …; from the catalog entry
  std::string key_kind;    ///< catalog kind to give when the format does not tell; may be empty
  std::string other_kind;  ///< what the place may hold besides: a password where `key_kind` is none, else no password
  std::string kinds;       ///< every kind that the place may hold, separated by blanks: a refresh token has its own
  bool look = false;       ///< look again at a known place: open what is there now; `file` is what was there before
  bool told = false;       ///< with `look`: a file says that it is read there: open it only if `Reach::who` could
  std::string teller;      ///< with `told`: the path of that file, which `who` has read; `file` is what it was then
};

struct EnvironmentAnswer {
  std::string unread;         ///< as in FileAnswer
  std::vector<KeyFact> keys;  ///< of variables whose value tells more than its fingerprint (a JWT's claims)
  std::vector<EnvItem> env;   ///< values of shown variables, names of secret ones with their fingerprints
  std::uint32_t skipped = 0;
};

/// What stands in the initial environment of `Reach::who`?
struct EnvironmentQuestion {
  using Answer = EnvironmentAnswer;
  std::string named;     ///< a variable that a file says holds a key, whatever the catalog says of its name; else empty
  std::string key_kind;  ///< catalog kind of that key where its value does not tell
};

struct ArgumentsAnswer {
  std::string unread;         ///< as in FileAnswer; "gone": others came into the room that the kernel side has for them
  std::vector<KeyFact> keys;  ///< `variable`: the flag, or "argument N"; `selector`: of a header or form its name
  std::uint32_t skipped = 0;
};

/// Which keys stand in the arguments that the kernel side kept at the exec of `Reach::who`? They can be asked for once.
struct ArgumentsQuestion {
  using Answer = ArgumentsAnswer;
  std::string program;  ///< the thread's name at exec: whose rules count
};

namespace bundle {
/// Of the node's users: "1000 alice"; of the containers in a list: "ID NAME". No facts of a workload.
inline constexpr char kUser[] = "user", kNamed[] = "named";
}  // namespace bundle

/// What may be learnt of a container from its runtime's state, in the order of role::BundleFact::what. Nothing else of
/// it leaves the examiner: it has environments and arguments, too. fact::kCgroup is the path that the runtime wanted.
inline constexpr std::array<std::string_view, 15> kBundleFacts{
    fact::kCgroup,         fact::kRuntime,        fact::kContainerType, fact::kNamespace, fact::kPodName,
    fact::kPodUid,         fact::kK8sContainer,   fact::kContainerName, fact::kImageName, fact::kImageDigest,
    fact::kComposeProject, fact::kComposeService, fact::kImageId,       bundle::kUser,    bundle::kNamed};
inline constexpr std::size_t kMaxNodeUsers = 16'384;  ///< that are told of; of named containers as many

struct BundleFact {
  std::uint8_t what = 0;  ///< index into kBundleFacts
  std::string value;      ///< printable, at most 510 bytes
};

struct BundleAnswer {
  std::string unread;             ///< as in FileAnswer; "gone": no runtime that is known has such a container
  std::vector<BundleFact> facts;  ///< at most one of each, but for those of a list (bundle::is_list)
  std::uint32_t skipped = 0;      ///< values that were malformed
};

/// Where a runtime's state of one container stands, and who the node's users are: the formats of a BundleQuestion.
namespace bundle {
inline constexpr std::string_view kOci = "oci";                    ///< config.json of the OCI bundle
inline constexpr std::string_view kDocker = "docker";              ///< dockerd's config.v2.json
inline constexpr std::string_view kStorage = "storage";            ///< containers.json of containers/storage
inline constexpr std::string_view kVolatile = "storage_volatile";  ///< volatile-containers.json: of Podman's --rm
inline constexpr std::string_view kUsers = "passwd";               ///< /etc/passwd of the node
/// The names of all containers in these files, by id.
inline constexpr std::string_view kStorageNames = "storage_names", kVolatileNames = "storage_volatile_names";

[[nodiscard]] constexpr bool is_list(std::string_view format) {
  return format == kUsers || format == kStorageNames || format == kVolatileNames;
}
}  // namespace bundle

/// What does the container runtime's state on this node say of this container? The warden makes the path.
struct BundleQuestion {
  using Answer = BundleAnswer;
  std::string container;  ///< is_bundle_id; as the kernel's cgroup path has it; of a list any
  std::string format{bundle::kOci};
};

/// What a container's id may be: it becomes a part of a path.
[[nodiscard]] constexpr bool is_bundle_id(std::string_view id) {
  return !id.empty() && id.size() <= 128 && id.front() != '.' && id.find("..") == id.npos &&
         std::ranges::all_of(id, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
                  c == '-';
         });
}

/// A kind is added at the end of both; agent/examine/README.md, "To add a question kind", says where else.
using ExamineQuestion = std::variant<FileQuestion, EnvironmentQuestion, ArgumentsQuestion, BundleQuestion>;
using ExamineAnswer = std::variant<FileAnswer, EnvironmentAnswer, ArgumentsAnswer, BundleAnswer>;

struct ExamineRequest {
  Reach reach;
  ExamineQuestion question;
};

class Examiner {
 public:
  virtual ~Examiner() = default;
  /// Asks; `done` is called exactly once, later, on the pipeline's thread, within about 2 s whatever happens, with the
  /// answer that belongs to the kind of the question.
  virtual void examine(ExamineRequest request, std::function<void(ExamineAnswer)> done) = 0;

  /// The same where the kind is known.
  template <typename Question>
  void ask(Reach reach, Question question, std::function<void(typename Question::Answer)> done) {
    examine({std::move(reach), std::move(question)}, [done = std::move(done)](ExamineAnswer answer) {
      done(std::get<typename Question::Answer>(std::move(answer)));
    });
  }
};

}  // namespace keytrail
