// SPDX-License-Identifier: Apache-2.0
// Answers of the local API about constants, to be written as text. Include it in tests of render only.
#pragma once

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <string>

#include "agent/cli/render.h"
#include "agent/serve/api.h"
#include "tests/unit/serve/fake_agent.h"

namespace keytrail::cli {

using namespace serve::testing;
namespace json = boost::json;

class RenderTest : public ::testing::Test {
 protected:
  RenderTest() : api_(history_, status_, catalog::Catalog::builtin()) {
    history_.state_now.oldest_ns = kNoon;
    history_.state_now.max_bytes = 1'024'000'000;
    view_.now_ns = kNoon + 120 * kSecond;
  }
  json::object ask(const std::string& target) { return json::parse(api_.handle("GET", target).body).as_object(); }
  /// Without the coverage line, whose end is the time of the test.
  View quiet() const {
    View view = view_;
    view.show_coverage = false;
    return view;
  }

  FakeHistory history_;
  FakeStatus status_;
  serve::Api api_;
  View view_;
};

}  // namespace keytrail::cli
