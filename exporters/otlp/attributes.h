// SPDX-License-Identifier: Apache-2.0
// What spans and log records have in common: attributes, resource and scope. Pure; any thread.
// Text from outside is bounded and made valid UTF-8 here. Nothing here can hold a secret: rows do not.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common.pb.h"
#include "exporters/otlp/sender.h"
#include "keytrail/row.h"
#include "resource.pb.h"

namespace keytrail::otlp {

namespace common = opentelemetry::proto::common::v1;
namespace resource = opentelemetry::proto::resource::v1;

/// Version of the attributes under `keytrail.`: the first number changes when one changes its meaning or goes.
inline constexpr char kSchemaVersion[] = "1.0";
/// Bytes of one text that are sent; the rest is cut off (backends cut at 2,048).
inline constexpr std::size_t kTextMax = 1024;
/// Candidates and links of one record that are sent.
inline constexpr std::size_t kCandidatesMax = 32;

/// At most kTextMax bytes of `text`, valid UTF-8 without control characters (an escape may make it longer).
[[nodiscard]] std::string clean(std::string_view text);

/// Fills a list of attributes. Each name may be put once; empty text is left out.
class Attributes {
 public:
  explicit Attributes(google::protobuf::RepeatedPtrField<common::KeyValue>* out) : out_(out) {}
  void text(const char* name, std::string_view value);
  void texts(const char* name, const std::vector<std::string>& values);
  /// Numbers over 2^63 − 1 are sent as that.
  void number(const char* name, std::uint64_t value);
  void flag(const char* name, bool value);

 private:
  common::AnyValue* add(const char* name);
  google::protobuf::RepeatedPtrField<common::KeyValue>* out_;
};

/// The attributes of the row: schema version, sequence, actor, key, destination, evidence. The same on its span and its
/// log record.
void put_row(Attributes& out, const Row& row);

/// Who did it, or nullptr for gaps and revisions.
[[nodiscard]] const Actor* actor_of(const Row& row);
/// Whose resource the row has: the actor's, or that of which a revision tells facts; nullptr: the agent's own.
[[nodiscard]] const Workload* workload_of(const Row& row);
/// The value of `service.name`: by the convention for Kubernetes, else as the workload is shown.
[[nodiscard]] std::string service_of(const Workload& workload);
/// What makes two rows share a resource.
[[nodiscard]] std::string resource_key(const Row& row, bool other = false);
/// The workload of the row; the agent itself for a row without one. `other`: its name is not sent as that of a service
/// (service_names.h).
void fill_resource(resource::Resource& out, const Row& row, const Sender& sender, bool other = false);
void fill_scope(common::InstrumentationScope& out);

}  // namespace keytrail::otlp
