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

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j)
    row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0U : 1U)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

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

std::string_view nearest(std::string_view word, std::span<const std::string_view> known) {
  std::string_view best;
  std::size_t least = SIZE_MAX;
  word = word.substr(0, 64);
  for (const std::string_view one : known) {
    const std::size_t distance = edit_distance(word, one);
    if (distance >= least) continue;
    least = distance;
    best = one;
  }
  return least <= std::max<std::size_t>(2, best.size() / 2) ? best : std::string_view();
}

}  // namespace keytrail::base
