// SPDX-License-Identifier: Apache-2.0
#include "agent/base/yaml_guard.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <sstream>
#include <utility>
#include <vector>

#include "agent/base/log.h"

namespace keytrail::base {
namespace {

struct Refusal {
  int line = 0;
  std::string text;
};

class Guard final : public YAML::EventHandler {
 public:
  explicit Guard(const YamlLimits& limits) : limits_(limits) {}

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override { node(mark, anchor); }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    refuse(mark, "aliases (*name) are not allowed here; write the value");
  }
  void OnScalar(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor, const std::string&) override {
    node(mark, anchor);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    enter(mark, anchor);
  }
  void OnSequenceEnd() override { --depth_; }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    enter(mark, anchor);
  }
  void OnMapEnd() override { --depth_; }

 private:
  [[noreturn]] static void refuse(const YAML::Mark& mark, std::string text) {
    throw Refusal{mark.line, std::move(text)};
  }
  void node(const YAML::Mark& mark, YAML::anchor_t anchor) {
    if (anchor != 0) refuse(mark, "anchors (&name) are not allowed here; write the value");
    if (++nodes_ > limits_.values) refuse(mark, fmt::format("more than {} values", limits_.values));
  }
  void enter(const YAML::Mark& mark, YAML::anchor_t anchor) {
    node(mark, anchor);
    if (++depth_ > limits_.depth) refuse(mark, fmt::format("nested deeper than {} levels", limits_.depth));
  }

  const YamlLimits& limits_;
  std::size_t nodes_ = 0;
  std::size_t depth_ = 0;
};

}  // namespace

Result<void> check_yaml(const std::string& text, const std::string& file, const YamlLimits& limits) {
  const auto error = [&](int line, const std::string& what) {
    return fail(Error::Code::kInvalid, fmt::format("{}:{}: {}", printable(file), line + 1, what));
  };
  try {
    std::istringstream stream(text);
    YAML::Parser parser(stream);
    Guard guard(limits);
    parser.HandleNextDocument(guard);
    Guard second(limits);
    if (parser.HandleNextDocument(second))
      return fail(Error::Code::kInvalid, printable(file) + ": more than one document (---)");
  } catch (const Refusal& refusal) {
    return error(refusal.line, refusal.text);
  } catch (const YAML::Exception& exception) {
    return error(exception.mark.line, "not valid YAML: " + printable(exception.msg));
  }
  return {};
}

}  // namespace keytrail::base
