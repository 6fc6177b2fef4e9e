// SPDX-License-Identifier: Apache-2.0
// What a key and a destination look like. Compiled from data/*.yaml at build time; one matcher for agent, tests and
// `keytrail catalog match`. All look-ups are const, thread-safe, and return pointers or views into static data (or into
// additions, which live as long as the catalog).
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "keytrail/event.h"
#include "keytrail/key.h"

namespace keytrail::catalog {

namespace tables {
struct Accept;
}

/// A kind of key ("aws.access_key").
struct Kind {
  std::string_view id, provider, title;  ///< title: "AWS access key", for people
  KeyClass key_class;
  Lifetime lifetime;
  bool authenticates;                       ///< false for encryption keys
  bool guessable;                           ///< passwords and short values: no fingerprint leaves the examiner
  bool wildcard = false;                    ///< "some secret": the real kind follows from place or use; ranks last
  bool audience_decides = false;            ///< a token that counts only where its audience fits
  bool shaped = false;                      ///< every key of it has one of its formats
  std::uint16_t shortest = 0;               ///< a shorter value that has none of its formats is a dummy
  std::span<const std::string_view> signs;  ///< kinds that whoever has it makes with it alone (a signed JWT)
};

/// A place in the file system.
struct File {
  std::string_view id, provider;
  std::string_view kind;  ///< kind of key it usually holds
  /// Examiner's parser: "aws_credentials", "raw_token", "pem", "ssh_private_key", "jwt", "opaque", …; "" = not a key
  /// (configuration).
  std::string_view format;
  std::string_view selector;                ///< id of the selector for files of many keys, or ""
  std::span<const std::string_view> kinds;  ///< every kind it may hold, the usual one (`kind`) first
  bool by_content = false;                  ///< a file of this format that lies anywhere is taken as this one
};

enum class EnvUse : std::uint8_t { kIdentifier, kSecret, kPointer, kDestination, kSelector };

struct Env {
  std::string_view name, provider;
  EnvUse use;
  std::string_view kind;     ///< of the key; kDestination: of what is handed out there, or may be in the URL
  std::string_view pair;     ///< identifier ↔ secret: the other variable ("AWS_SECRET_ACCESS_KEY"), or ""
  std::string_view file;     ///< kPointer: id of the File entry that the pointed-to path is
  std::string_view service;  ///< "provider/service" that its value's host is, or ""
  bool show;                 ///< its value may be shown
  std::span<const std::string_view> kinds;  ///< every kind it may hold, the usual one (`kind`) first
  std::string_view binding;                 ///< id of the destination whose address the value is or holds, or ""
  bool url = false;    ///< the value is a URL or connection string that may hold a key, beside the address
  bool owner = false;  ///< kIdentifier: of whoever has the key, who may have others, too; not the key's own id

  /// Where its value leads keys of `kind` are handed out: a metadata service, an agent's socket.
  [[nodiscard]] bool hands_out() const { return use == EnvUse::kDestination && !kind.empty() && !url; }
};

/// Whether calls without any key are normal at an endpoint.
enum class Anonymous : std::uint8_t { kNever, kPossible, kCommon };

/// A host the catalog knows.
struct Endpoint {
  std::string_view id, provider;
  std::string service, region;  ///< may come from the name
  /// What in the name is one customer's (bucket, account, the whole name of an open host); empty: the provider's own.
  std::string tenant;
  bool takes_keys = false;  ///< false: website, documentation, anonymous only
  bool open = false;        ///< the owner decides what it takes: no `inferred` by kind alone
  Anonymous anonymous = Anonymous::kNever;
  const tables::Accept* accept = nullptr;  ///< internal: the entry that match_host found; lives as long as the process
};

/// A request to a metadata service (or its relatives) that hands out a key.
struct Issue {
  std::string_view id, provider;
  std::string_view kind;  ///< kind of the issued key
  std::string role;       ///< role or account named in the path, or ""
  bool key = true;        ///< false: only a step (IMDSv2 session token, listing of roles)
};

enum class Often : std::uint8_t { kNever, kSometimes, kAlways };

/// A program the catalog knows by executable (and, for scripts, by the file name passed to execve).
struct Program {
  std::string_view id;
  bool obeys_selectors = false;        ///< every override of its selectors is visible to us (aws, kubectl, git, curl)
  bool runtime = false;                ///< a general runtime: python, node, java
  bool relay = false;                  ///< carries others' requests
  bool hub = false;                    ///< holds many keys of others
  bool bulk_reader = false;            ///< backup, indexer: reads without using
  bool helper = false;                 ///< hands keys to its parent through a pipe
  Often ends_tls = Often::kSometimes;  ///< relay: the TLS outside is its own, not the caller's
  Often adds_key = Often::kSometimes;  ///< relay: it puts a key into the requests of callers that may have none
  std::span<const std::string_view> kinds;  ///< relay: its own keys; hub: what it holds; helper: what it gives
  bool late_key = false;                  ///< asks for its key when the server has refused it: after it connected (git)
  std::span<const std::string_view> own;  ///< hub: those of its kinds that are never others'
  bool environment = true;                ///< false: takes no key from its environment (curl, wget)
};

/// What a program is beside what it does with keys. It says what is shown and makes no claim stronger: anybody can name
/// a program so.
enum class ProgramRole : std::uint8_t {
  kDistributor,   ///< writes keys somewhere or hands them on: Terraform, Helm, kubelet, an operator
  kSwitchesUser,  ///< starts another program as another user: sudo, su
  kCodingAgent,   ///< acts for a person by its own choice
  kMcpServer      ///< a tool of such an agent
};
struct Role {
  std::string_view id;
  ProgramRole role = ProgramRole::kDistributor;
  std::string_view title;                 ///< what people call it: "claude code"
  std::span<const std::string_view> own;  ///< distributor: kinds that it uses itself ("aws.*")
};

/// What a known reader of key files is.
enum class ReaderRole : std::uint8_t { kOwner, kBackup, kScanner, kIndexer, kAssistant, kPerson, kTool };
struct Reader {
  std::string_view id;
  ReaderRole role = ReaderRole::kTool;
  bool expected = false;  ///< the file is among those that it usually reads
};

/// A request that hands out keys ("/v1/auth/approle/login").
struct IssueRequest {
  std::string_view id, provider;
  std::span<const std::string_view> kinds;  ///< what the answer may hold, the usual one first
};

/// How the entry of a file of many keys is chosen.
struct Selector {
  std::string_view id;  ///< "sel.aws.profile"
  struct Step {
    enum class By : std::uint8_t { kArgument, kEnvironment, kOverridden, kDefault } by;
    /// Flag, variable, or the default entry's name. kOverridden: a variable or a flag ("--token") that, when set, beats
    /// the file.
    std::string_view name;
  };
  std::vector<Step> steps;  ///< in order of precedence
  bool host_binds = false;  ///< the host of the call alone names the entry (.netrc, docker, kubeconfig)
};

enum class SocketUse : std::uint8_t { kHarmless, kBroker, kUnclassified };
struct LocalSocket {
  SocketUse use = SocketUse::kUnclassified;
  std::string_view id, kind;  ///< of a broker: entry and kind of key it gives
};

/// What the kernel side filters by; plain arrays, so that the warden needs no parser.
struct NamePattern {
  enum class Match : std::uint8_t { kExact, kPrefix, kSuffix } match;  ///< of the last path component
  std::string_view text;
};
enum class EnvAction : std::uint8_t { kShow, kSecret, kShowAndWatchBaseName };
struct EnvName {
  std::string_view name;
  EnvAction action;
  bool prefix = false;    ///< `name` is a prefix
  bool suffix = false;    ///< `name` is a suffix ("_TOKEN"); exact names and prefixes win
  bool unhashed = false;  ///< a password among the secrets: only its presence and length leave, never a fingerprint
  std::string_view kind;  ///< of the key that it usually holds, for identifiers and secrets
  bool url = false;       ///< as Env::url: the examiner may show its host and port
};
/// What leaves of a flag's value: of `--profile` a hash, of `--token` (its value may be a secret) only that it is
/// there.
enum class FlagAction : std::uint8_t { kNone, kHash, kPresence };
struct ArgFlag {
  std::string_view flag;
  FlagAction action;
  /// Programs, as bits, for which the value is a path to a key file: it leaves, and its name is watched.
  std::uint32_t path_of = 0;
};
/// The bit of every program, that of those whose arguments are examined, and how many others there are.
inline constexpr std::uint32_t kAnyProgram = 1U << 31U;
inline constexpr std::uint32_t kExaminedProgram = 1U << 30U;
inline constexpr std::size_t kMostFlagPrograms = 30;
struct ArgFormat {
  std::string_view prefix;
  std::string_view format_id;
  bool is_public;
  std::uint16_t min_len, max_len;
  std::string_view kind;  ///< of the key that looks so; empty: no key (a reference, a dummy), unless public
  bool dummy = false;     ///< no key, but stands in for one; else what is no key names one that is kept elsewhere
  bool weak = false;      ///< as Catalog::Format::weak
  bool only = false;      ///< no key of its kind looks otherwise
};
/// The first of the formats that a text has by its beginning and length; nullptr when none.
[[nodiscard]] const ArgFormat* format_of_text(std::span<const ArgFormat> formats, std::string_view text);
/// Whether a value without any of its formats is no key of this kind.
[[nodiscard]] bool is_shaped(std::span<const ArgFormat> formats, std::string_view kind);
/// How long a value without any of its formats must be to be a key of this kind, or of another service of its kind.
inline constexpr std::uint16_t kShortestOfShaped = 20, kShortestOfKnown = 8;
[[nodiscard]] std::size_t shortest_of(std::span<const ArgFormat> formats, std::string_view kind);
/// What a word on a program's command line is: the value of a flag, or a word that belongs to none.
enum class ArgUse : std::uint8_t {
  kOther,     ///< nothing of interest, but a word of its own
  kUrl,       ///< an address that is called; may have user and password
  kHeader,    ///< "Authorization: Bearer …"
  kLogin,     ///< "user:password"
  kToken,     ///< a key that is no password
  kPassword,  ///< a password
  kForm,      ///< "name=value&name=value", or JSON
  kUser,      ///< whose the password is
  kHost,      ///< where it counts
  kPort,
  kSigned,      ///< a flag without which the login is no signing key (curl --aws-sigv4)
  kProxy,       ///< the address of a proxy; its key is the proxy's
  kProxyLogin,  ///< "user:password" for it
  kCookie,      ///< "name=value; name=value"
  kKeyId,       ///< public id of the key that the token is the secret of
  kAuthType,    ///< how a login is sent: "bearer" makes it a token
  kRest,        ///< from here on it is another program's command line
  kStored,      ///< a secret that is to be kept or passed on: none of the program's own calls
  kSetting,     ///< "name=value" that is to be kept or passed on, perhaps a secret
};
struct ArgRule {
  std::string_view flag;  ///< "-H", "--header"; "" for words that belong to no flag, "3" for the third of them
  ArgUse use;
  bool joined;  ///< its value is part of its own word ("-pSECRET", "--password=SECRET"), or it has none
};
/// A program whose arguments may hold keys. Several rows may name one program.
struct ArgProgram {
  std::string_view name;      ///< of its executable; the kernel side knows the first 15 characters
  std::string_view command;   ///< counts only behind this word ("login"), or ""
  std::string_view token;     ///< kind of keys that do not tell theirs, or ""
  std::string_view password;  ///< the same for passwords
  std::span<const ArgRule> rules;
  std::string_view address;  ///< variable that would say what its addresses say ("AWS_ENDPOINT_URL"), or ""
};
/// What a word before the script is to an interpreter. Numbers are those of the kernel side (KT_SCRIPT_…).
enum class ScriptWord : std::uint8_t {
  kNone = 0,     ///< not known: nothing behind it is the script
  kFlag = 1,     ///< an option by itself
  kValued = 2,   ///< its value is the next word
  kRuns = 3,     ///< the next word is what runs (-m module, -jar archive)
  kLast = 4,     ///< the next word is the script, whatever it looks like (--)
  kNoScript = 5  ///< there is no script (--eval=TEXT)
};
struct ScriptRule {
  std::string_view word;
  ScriptWord does;
};
struct Interpreter {
  std::string_view id;
  std::span<const std::string_view> names;         ///< without a version: "python"
  std::string_view letters, next, valued, joined;  ///< of one-letter options (data/interpreters.yaml)
  bool equals;                                     ///< any --name=value is an option
  std::span<const ScriptRule> words;
};
inline constexpr std::size_t kMostInterpreters = 16;
/// A request's header or form field whose name says which kind of key it carries; in lower case.
struct CarriedKey {
  std::string_view name, kind;
};
struct KernelTables {
  std::span<const NamePattern> names;
  std::span<const EnvName> env;
  std::span<const ArgFlag> flags;
  std::span<const ArgFormat> formats;  ///< ev_item.format is an index into it; sorted by the first byte
  /// Names of directories whose files have free names ("cache" of ~/.aws/cli/cache): for a rule on the parent's name.
  std::span<const NamePattern> directories;
  std::span<const std::string_view> flag_programs;  ///< names of executables; the index is the bit in ArgFlag::path_of
  std::span<const ArgProgram> programs;             ///< whose arguments the examiner gets
  std::span<const CarriedKey> carried;              ///< sorted by name
  std::span<const Interpreter> interpreters;        ///< their order is their number
};
/// Constant data without start-up cost. Links without RE2 and yaml (library keytrail_catalog_tables), for the warden.
[[nodiscard]] const KernelTables& kernel_tables();

/// Words of one sort that a question may use.
enum class Vocabulary : std::uint8_t { kProviders, kServices, kKinds };

class Additions;

class Catalog {
 public:
  /// The compiled-in catalog; made at first use (RE2 expressions are compiled lazily, each once).
  [[nodiscard]] static const Catalog& builtin();

  /// The built-in catalog and a site's own entries (additions.h; library keytrail_catalog_additions). Copies share
  /// their data.
  [[nodiscard]] static Catalog with_additions(const Additions& additions);

  Catalog(const Catalog& other);
  Catalog& operator=(const Catalog&) = delete;
  ~Catalog() = default;

  /// From now on this catalog answers as `next` does. Look-ups of other threads go on; what they were given stays
  /// valid, because what is replaced is kept until the end of the process (some 300 kB each time).
  void replace(const Catalog& next);

  [[nodiscard]] const Kind* kind(std::string_view id) const;
  /// `path` as seen in the process's own root; /var/run = /run; /proc/PID/root is stripped. Home directories are /root,
  /// /home/* and /var/lib/*.
  [[nodiscard]] const File* match_file(std::string_view path) const;
  [[nodiscard]] const File* file(std::string_view id) const;
  /// What a file is that lies anywhere and whose content shows this format; nullptr for a format that shows nothing by
  /// itself ("opaque").
  [[nodiscard]] const File* file_of_content(std::string_view format) const;
  /// The file that the value of this flag names, with this program (the name of its executable): "-i" of ssh; or
  /// nullptr.
  [[nodiscard]] const File* file_of_flag(std::string_view program, std::string_view flag) const;
  /// The file that the value of this option names, in a file of the entry `of`: `tokenFile` of a kubeconfig; what ends
  /// as variables that point at files do (`db_password_file`), in any file; or nullptr.
  [[nodiscard]] const File* file_of_option(const File& of, std::string_view option) const;
  [[nodiscard]] const Env* match_env(std::string_view name) const;
  /// `host`: any case, optional trailing dot or port.
  [[nodiscard]] std::optional<Endpoint> match_host(std::string_view host) const;
  /// The metadata request for `path` at this address, if it is one. `provider`: whose service is there, wherever that
  /// is, because somebody told the caller so (GCE_METADATA_HOST).
  [[nodiscard]] std::optional<Issue> match_metadata(const SocketAddress& remote, std::string_view host,
                                                    std::string_view path, std::string_view provider = {}) const;
  /// True for the address of a metadata service, whatever is asked.
  [[nodiscard]] bool is_metadata_address(const SocketAddress& remote) const;
  /// Does the endpoint take keys of this kind?
  [[nodiscard]] bool accepts(const Endpoint& endpoint, std::string_view kind) const;
  /// Every kind that the endpoint takes, in order of usual use.
  [[nodiscard]] std::span<const std::string_view> accepted(const Endpoint& endpoint) const;
  /// Kinds that a call to this endpoint with a key of `kind` may hand out (STS, OAuth); empty for no issuer. `path` of
  /// the request, where it was seen: when the catalog knows it as one that hands out keys, only those. `usual_only`:
  /// without what only few of the calls there do (the API server's TokenRequest), unless the path says that this one
  /// does.
  [[nodiscard]] std::vector<std::string_view> issues(const Endpoint& endpoint, std::string_view kind,
                                                     std::string_view path = {}, bool usual_only = false) const;
  /// Every kind that any issuer gives for a key of this kind, and for those, and so on; without the kind itself, unless
  /// it comes again.
  [[nodiscard]] std::vector<std::string_view> issued_with(std::string_view kind) const;
  /// Whether whoever calls there with a key of kind `with` is given one of kind `given`, whatever the request is: an
  /// OAuth client at its token endpoint, a pod's token at STS or Vault. Not where most calls with such a key are made
  /// for something else (STS's GetCallerIdentity, a Vault token that reads a secret).
  [[nodiscard]] bool issues_always(const Endpoint& endpoint, std::string_view with, std::string_view given) const;
  /// Whether the catalog knows this path as one that hands out keys at this destination.
  [[nodiscard]] bool is_issue_path(const Endpoint& endpoint, std::string_view path) const;
  /// The request that hands out keys at this host, by its path (a query does not count). Paths that any host may serve
  /// (Vault, Keycloak) are found with the destination's issuers, by issues().
  [[nodiscard]] std::optional<IssueRequest> match_request(std::string_view host, std::string_view path) const;
  [[nodiscard]] const Program* match_program(std::string_view exe, std::string_view filename) const;
  /// What the program is, by its executable, what was passed to execve, and the script that it runs, the first that is
  /// known; else null.
  [[nodiscard]] const Role* match_role(std::string_view exe, std::string_view filename, std::string_view script) const;
  /// By what people call it; nullptr when nothing is called so.
  [[nodiscard]] const Role* find_role(std::string_view title) const;
  /// The known reader that fits this file best. `exe` and `filename` as for match_program; `file` may be null.
  [[nodiscard]] std::optional<Reader> match_reader(std::string_view exe, std::string_view filename,
                                                   const File* file) const;
  /// Ids of the readers that this file is for; whoever reads everything is left out.
  [[nodiscard]] std::vector<std::string_view> readers_of(const File& file) const;
  [[nodiscard]] const Selector* selector(std::string_view id) const;
  /// The endpoint that a variable names for its process (Env::service: "kubernetes/api"); what it takes is that of the
  /// variable's binding. Where the scheme of `value` names the engine (DATABASE_URL), it is that engine's.
  [[nodiscard]] std::optional<Endpoint> bound_endpoint(std::string_view env_name, std::string_view value = {}) const;
  /// The endpoint that the entries of a file with this selector name ("sel.k8s.context": the server of the cluster).
  [[nodiscard]] std::optional<Endpoint> file_endpoint(std::string_view selector) const;
  /// An endpoint known by its port alone, on any host: 22 is ssh.
  [[nodiscard]] std::optional<Endpoint> match_port(std::uint16_t port) const;
  [[nodiscard]] LocalSocket match_socket(std::string_view path) const;
  /// Format of a key text by its shape ("fmt.aws.akia"), or nullptr: for `uses SECRET` refusals and `leak --stdin`.
  [[nodiscard]] std::optional<std::string_view> match_format(std::string_view text) const;
  /// Kind of key a format shows ("aws.access_key"), or ""; `public_id` is set when the text itself is no secret (an
  /// AKIA… id), `weak` when many texts that are no key have this shape (32 hexadecimal digits).
  struct Format {
    std::string_view id, provider, kind;
    bool public_id;
    bool weak = false;
  };
  [[nodiscard]] const Format* format(std::string_view id) const;

  /// What the entries name, sorted.
  [[nodiscard]] std::vector<std::string_view> words(Vocabulary of) const;
  /// Every entry as (section, id, one line), for `catalog list`.
  struct Listed {
    std::string_view section, id;
    /// "opened", "indexed", "cited" (not opened: check before relying on it), "site", or "" where nothing is cited.
    std::string_view verified;
    std::string line;
  };
  [[nodiscard]] std::vector<Listed> list() const;

  class Impl;

 private:
  explicit Catalog(const Impl& impl, std::shared_ptr<const void> owner = {}) : impl_(&impl), owner_(std::move(owner)) {}
  [[nodiscard]] const Impl& impl() const { return *impl_.load(std::memory_order_acquire); }

  std::atomic<const Impl*> impl_;
  std::shared_ptr<const void> owner_;  ///< what impl lives in, when it is not the built-in catalog
};

}  // namespace keytrail::catalog
