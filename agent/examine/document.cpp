// SPDX-License-Identifier: Apache-2.0
// The libraries' own copies lie on the heap: the examiner's heap is wiped when it is freed (wiping_heap.cpp).
#include "agent/examine/document.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <boost/property_tree/ptree.hpp>
#include <boost/property_tree/xml_parser.hpp>
#include <istream>
#include <map>
#include <new>
#include <streambuf>
#include <string>
#include <vector>

namespace keytrail::examine {
namespace {

namespace json = boost::json;

constexpr std::size_t kMaxElements = 4096;  ///< of an XML file: its parser goes as deep as the file does
constexpr std::size_t kMaxDocuments = 256;  ///< of a YAML file
constexpr std::size_t kMaxTreeBytes = 3U << 20U;

/// A view as a stream, without a copy.
class ViewBuffer : public std::streambuf {
 public:
  explicit ViewBuffer(std::string_view bytes) {
    char* begin = const_cast<char*>(bytes.data());  // only read: a get area has no other type
    setg(begin, begin, begin + bytes.size());
  }
};

class TreeBuilder : public YAML::EventHandler {
 public:
  explicit TreeBuilder(json::storage_ptr memory) : memory_(std::move(memory)), root_(memory_) {}

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override { put(json::value(memory_)); }
  void OnAlias(const YAML::Mark&, YAML::anchor_t anchor) override {
    const auto named = anchors_.find(anchor);
    if (named == anchors_.end()) return put(json::value(memory_));
    if (levels_.size() + named->second.depth > kMaxDepth) throw std::bad_alloc();
    if (!levels_.empty()) levels_.back().depth = std::max(levels_.back().depth, named->second.depth + 1);
    put(json::value(named->second.value, memory_));
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    if (tag.size() > 1 && tag.front() == '!') return OnNull(mark, anchor);  // "!vault": not the value itself
    Level* level = levels_.empty() ? nullptr : &levels_.back();
    if (level != nullptr && level->container.is_object() && !level->named) {
      level->name = json::string(value, memory_);
      level->named = true;
      return;
    }
    json::value scalar(json::string(value, memory_));
    remember(anchor, scalar, 0);
    put(std::move(scalar));
  }
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(json::value(json::array(memory_)), anchor);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t anchor, YAML::EmitterStyle::value) override {
    open(json::value(json::object(memory_)), anchor);
  }
  void OnMapEnd() override { close(); }

  [[nodiscard]] bool sound() const { return levels_.empty(); }
  [[nodiscard]] json::value& root() { return root_; }

 private:
  struct Level {
    json::value container;
    json::string name;
    bool named = false;
    YAML::anchor_t anchor = YAML::NullAnchor;
    std::size_t depth = 1;  ///< of what it holds, itself included
  };
  struct Anchored {
    json::value value;
    std::size_t depth;
  };

  void open(json::value container, YAML::anchor_t anchor) {
    if (levels_.size() >= kMaxDepth) throw std::bad_alloc();
    levels_.push_back({std::move(container), json::string(memory_), false, anchor});
  }
  void close() {
    Level done = std::move(levels_.back());
    levels_.pop_back();
    if (json::object* map = done.container.if_object()) merge(*map);
    if (!levels_.empty()) levels_.back().depth = std::max(levels_.back().depth, done.depth + 1);
    remember(done.anchor, done.container, done.depth);
    put(std::move(done.container));
  }
  void remember(YAML::anchor_t anchor, const json::value& value, std::size_t depth) {
    if (anchor != YAML::NullAnchor) anchors_.insert_or_assign(anchor, Anchored{json::value(value, memory_), depth});
  }
  /// "<<: *a", "<<: [*a, *b]" (https://yaml.org/type/merge.html).
  void merge(json::object& map) {
    const auto key = map.find("<<");
    if (key == map.end()) return;
    const json::value merged = std::move(key->value());
    map.erase(key);
    const auto bring = [&](const json::value& from) {
      if (const json::object* members = from.if_object()) map.insert(members->begin(), members->end());
    };
    bring(merged);
    if (const json::array* list = merged.if_array()) {
      for (const json::value& one : *list)
        bring(one);
    }
  }
  void put(json::value value) {
    if (levels_.empty()) {
      root_ = std::move(value);
      return;
    }
    Level& level = levels_.back();
    if (json::array* array = level.container.if_array()) {
      array->push_back(std::move(value));
    } else if (level.named) {
      level.container.get_object().insert_or_assign(level.name, std::move(value));
      level.named = false;
    } else {  // a key that is no text: its value is left out with it
      level.name = json::string(memory_);
      level.named = true;
    }
  }

  json::storage_ptr memory_;
  json::value root_;
  std::vector<Level> levels_;
  std::map<YAML::anchor_t, Anchored> anchors_;
};

using Xml = boost::property_tree::ptree;

json::value tree_of(const Xml& element, const json::storage_ptr& memory, std::size_t depth) {
  if (depth > kMaxDepth) throw std::bad_alloc();
  if (element.empty()) return json::value(json::string(element.data(), memory));
  json::object out(memory);
  for (const auto& [name, child] : element) {
    if (name == "<xmlattr>") {
      for (const auto& [attribute, value] : child)
        out.insert_or_assign(attribute, json::string(value.data(), memory));
      continue;
    }
    json::value value = tree_of(child, memory, depth + 1);
    json::value* known = out.if_contains(name);
    if (known == nullptr) {
      out.emplace(name, std::move(value));
    } else if (json::array* array = known->if_array()) {
      array->push_back(std::move(value));
    } else {
      json::array both(memory);
      both.push_back(std::move(*known));
      both.push_back(std::move(value));
      *known = std::move(both);
    }
  }
  return json::value(std::move(out));
}

}  // namespace

TreeMemory::TreeMemory(Arena& scratch, std::size_t bytes)
    : resource_([&] {
        const std::span<char> room = scratch.take(bytes);
        if (room.empty()) throw std::bad_alloc();
        return json::monotonic_resource(reinterpret_cast<unsigned char*>(room.data()), room.size(),
                                        json::get_null_resource());
      }()) {}

std::size_t tree_bytes(std::size_t file_bytes) { return std::min(16 * file_bytes + 4096, kMaxTreeBytes); }

std::optional<json::value> read_json(std::string_view bytes, TreeMemory& memory) {
  json::parse_options options;
  options.max_depth = kMaxDepth;
  options.allow_comments = true;  // VS Code's and some tools' files have them
  options.allow_trailing_commas = true;
  boost::system::error_code error;
  json::value value = json::parse(json::string_view(bytes.data(), bytes.size()), error, memory.storage(), options);
  if (error) return std::nullopt;
  return value;
}

std::optional<json::value> read_yaml(std::string_view bytes, TreeMemory& memory, bool all) {
  if (bytes.find('\0') != std::string_view::npos) return std::nullopt;
  ViewBuffer buffer(bytes);
  std::istream stream(&buffer);
  json::array documents(memory.storage());
  try {
    YAML::Parser parser(stream);
    do {
      TreeBuilder builder(memory.storage());
      if (!parser.HandleNextDocument(builder)) break;
      if (!builder.sound()) return std::nullopt;
      documents.push_back(std::move(builder.root()));
    } while (all && documents.size() < kMaxDocuments);
  } catch (const YAML::Exception&) {  // its text quotes the file
    return std::nullopt;
  }
  if (documents.empty()) return std::nullopt;
  return documents.size() == 1 ? std::move(documents.front()) : json::value(std::move(documents));
}

std::optional<json::value> read_xml(std::string_view bytes, TreeMemory& memory) {
  std::size_t elements = 0;
  for (std::size_t at = bytes.find('<'); at != std::string_view::npos; at = bytes.find('<', at + 1)) {
    if (++elements > 2 * kMaxElements) return std::nullopt;
  }
  ViewBuffer buffer(bytes);
  std::istream stream(&buffer);
  Xml tree;
  try {
    boost::property_tree::read_xml(
        stream, tree,
        boost::property_tree::xml_parser::no_comments | boost::property_tree::xml_parser::trim_whitespace);
  } catch (const boost::property_tree::xml_parser_error&) {
    return std::nullopt;
  }
  return tree_of(tree, memory.storage(), 0);
}

std::string_view text_of(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  const json::string* text = value == nullptr ? nullptr : value->if_string();
  return text == nullptr ? std::string_view() : std::string_view(text->data(), text->size());
}

const json::object* object_of(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  return value == nullptr ? nullptr : value->if_object();
}

const json::array* array_of(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  return value == nullptr ? nullptr : value->if_array();
}

}  // namespace keytrail::examine
