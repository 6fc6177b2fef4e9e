// SPDX-License-Identifier: Apache-2.0
// What identify (as it learns) and record (as it reads) do alike with a workload's facts: join them in one order, and
// make the shown name. Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "keytrail/workload.h"

namespace keytrail::base {

enum class Joined : std::uint8_t {
  kKnown,   ///< this value was known
  kNew,     ///< added, or another value of this name and way of knowing took its place
  kRefused  ///< name or value too long or empty, or there are kMaxFacts already
};

/// Adds a fact to a list sorted by (name, known_by). Facts of one name that are known in different ways stand beside
/// each other.
[[nodiscard]] Joined join_fact(std::vector<Fact>& facts, Fact fact);

struct ShownName {
  std::string text;
  KnownBy known_by = KnownBy::kKernel;  ///< the weakest of the facts in it
};

/// The name of a workload from its facts, and from nothing else (`facts` sorted as above):
///   pod              "payments/deploy/api", "payments/sts/db", "payments/ds/agent", "payments/cronjob/x",
///                    "payments/job/x" where the cluster says what made it, else "payments/POD"; with nothing but the
///                    kernel's facts "pod: UID/CONTAINER12"
///   container        "container: NAME", "container: CONTAINER12", each with " (IMAGE:TAG)" where that is known
///   in another one   the same with " in container CONTAINER12" (a node of kind, LXC, Docker in Docker)
///   unit             "backup.service"; of a user's own manager "alice/sync.service"
///   person           "person: alice", of what a coding agent runs for her "person: alice (claude code)"
///   CI job           "ci: acme/shop deploy #4412"
///   else             "host: cron"; in a directory that nobody named "host: python3 in /jobs/backup"
[[nodiscard]] ShownName shown_name(WorkloadKind kind, std::span<const Fact> facts);

/// The fact that `service.name` is taken from, by the convention for Kubernetes: annotation, labels
/// app.kubernetes.io/instance and name, deployment, replica set, stateful set, daemon set, cron job, job, pod,
/// container; then what it calls itself. Nothing: none of these is known (the shown name is the best there is).
[[nodiscard]] std::optional<Fact> service_name(std::span<const Fact> facts);

/// What else the convention says of a service; empty = not known.
struct ServiceIdentity {
  std::string name_space;  ///< annotation, namespace
  std::string version;     ///< annotation, label app.kubernetes.io/version, the image's TAG@DIGEST, DIGEST or TAG
  std::string instance;    ///< annotation, "NAMESPACE.POD.CONTAINER"
};
[[nodiscard]] ServiceIdentity service_identity(std::span<const Fact> facts);

/// Is it a container's id that a runtime drew, 64 hex digits? Others are names that people give and give again.
[[nodiscard]] bool is_drawn_id(std::string_view id);

/// The id whose facts are true of `id`, too: "pod:UID" for "pod:UID/CONTAINER"; else empty. In
/// "pod:UID/OUTER/CONTAINER" the uid is the word of OUTER: whoever makes cgroups in it could be any pod.
[[nodiscard]] std::string_view parent_id(std::string_view id);

}  // namespace keytrail::base
