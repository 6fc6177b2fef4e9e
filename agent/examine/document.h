// SPDX-License-Identifier: Apache-2.0
// JSON, YAML, XML and PHP files as one kind of tree, in the scratch memory. Scalars of YAML and XML are strings.
#pragma once

#include <boost/json.hpp>

#include <optional>
#include <string_view>

#include "agent/examine/arena.h"

namespace keytrail::examine {

inline constexpr std::size_t kMaxDepth = 16;

/// The memory of a tree: what does not fit throws std::bad_alloc.
class TreeMemory {
 public:
  /// Takes `bytes` of the scratch memory.
  TreeMemory(Arena& scratch, std::size_t bytes);
  [[nodiscard]] boost::json::storage_ptr storage() { return &resource_; }

 private:
  boost::json::monotonic_resource resource_;
};

/// Room for the tree of a file of this size, within what the scratch memory has.
[[nodiscard]] std::size_t tree_bytes(std::size_t file_bytes);

/// Nothing when `bytes` is no such document, or nests deeper than kMaxDepth.
[[nodiscard]] std::optional<boost::json::value> read_json(std::string_view bytes, TreeMemory& memory);
/// The first document, or `all` of them as an array where there are several. An alias is a copy of what it names, a
/// merge key ("<<") brings in what the map does not have.
[[nodiscard]] std::optional<boost::json::value> read_yaml(std::string_view bytes, TreeMemory& memory, bool all = false);
/// Elements and attributes are members; what is repeated is an array. No DTD, no entities but the five of XML.
[[nodiscard]] std::optional<boost::json::value> read_xml(std::string_view bytes, TreeMemory& memory);

/// What a PHP source sets: see php.cpp.
[[nodiscard]] std::optional<boost::json::value> read_php(std::string_view bytes, TreeMemory& memory);

/// The member's text; empty when there is none or it is no string.
[[nodiscard]] std::string_view text_of(const boost::json::object& object, std::string_view name);
/// The member, or nullptr when it is none or no object (array).
[[nodiscard]] const boost::json::object* object_of(const boost::json::object& object, std::string_view name);
[[nodiscard]] const boost::json::array* array_of(const boost::json::object& object, std::string_view name);

}  // namespace keytrail::examine
