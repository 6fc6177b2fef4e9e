// SPDX-License-Identifier: Apache-2.0
// keytrail-otlp-json.so: Protobuf's own JSON, and what OTLP wants otherwise ("JSON Protobuf Encoding" of its
// specification): trace and span ids in hexadecimal, enumerators as numbers. 64-bit numbers are strings and names
// lowerCamelCase in both.
#include "exporters/otlp/json_codec.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/stubs/strutil.h>
#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/type_resolver.h>
#include <google/protobuf/util/type_resolver_util.h>

#include <boost/algorithm/hex.hpp>
#include <boost/json.hpp>
#include <string_view>

asm(".section .rodata\n"
    ".global keytrail_otlp_descriptors\n.hidden keytrail_otlp_descriptors\n"
    ".global keytrail_otlp_descriptors_end\n.hidden keytrail_otlp_descriptors_end\n"
    "keytrail_otlp_descriptors:\n.incbin \"" KEYTRAIL_OTLP_DESCRIPTORS
    "\"\n"
    "keytrail_otlp_descriptors_end:\n.previous\n");
extern "C" const char keytrail_otlp_descriptors[];
extern "C" const char keytrail_otlp_descriptors_end[];

namespace {

namespace json = boost::json;
namespace util = google::protobuf::util;

constexpr char kPrefix[] = "type.googleapis.com";

/// What a message type is made of, by the descriptors that protoc wrote of proto/.
util::TypeResolver* resolver() {
  static const google::protobuf::DescriptorPool* const kPool = [] {
    auto* pool = new google::protobuf::DescriptorPool;
    google::protobuf::FileDescriptorSet files;
    files.ParseFromArray(keytrail_otlp_descriptors,
                         static_cast<int>(keytrail_otlp_descriptors_end - keytrail_otlp_descriptors));
    for (const auto& file : files.file())  // protoc writes what is imported first
      pool->BuildFile(file);
    return pool;
  }();
  static util::TypeResolver* const kResolver = util::NewTypeResolverForDescriptorPool(kPrefix, kPool);
  return kResolver;
}

std::string url_of(const std::string& type) { return std::string(kPrefix) + "/" + type; }

bool is_id(std::string_view name) { return name == "traceId" || name == "spanId" || name == "parentSpanId"; }

void to_hex(json::value& id) {
  std::string bytes;
  if (!id.is_string() || !google::protobuf::Base64Unescape(std::string(id.get_string()), &bytes)) return;
  std::string hex;
  boost::algorithm::hex_lower(bytes, std::back_inserter(hex));
  id = hex;
}

void ids_to_hex(json::value& value) {
  if (auto* list = value.if_array()) {
    for (json::value& item : *list)
      ids_to_hex(item);
  } else if (auto* object = value.if_object()) {
    for (auto& [name, member] : *object) {
      if (is_id(name)) {
        to_hex(member);
      } else {
        ids_to_hex(member);
      }
    }
  }
}

}  // namespace

extern "C" __attribute__((visibility("default"))) std::optional<std::string> keytrail_otlp_to_json(
    const std::string& type, const std::string& bytes) {
  util::JsonPrintOptions options;
  options.always_print_enums_as_ints = true;
  std::string text;
  if (!util::BinaryToJsonString(resolver(), url_of(type), bytes, &text, options).ok()) return std::nullopt;
  boost::system::error_code error;
  json::value value = json::parse(text, error);
  if (error) return std::nullopt;
  ids_to_hex(value);
  return json::serialize(value);
}

extern "C" __attribute__((visibility("default"))) std::optional<std::string> keytrail_otlp_from_json(
    const std::string& type, const std::string& text) {
  util::JsonParseOptions options;
  options.ignore_unknown_fields = true;
  std::string bytes;
  if (!util::JsonToBinaryString(resolver(), url_of(type), text, &bytes, options).ok()) return std::nullopt;
  return bytes;
}
