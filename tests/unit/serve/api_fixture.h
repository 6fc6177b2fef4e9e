// SPDX-License-Identifier: Apache-2.0
// The API without a socket, over a history and an agent of constants.
#pragma once

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <string>

#include "agent/serve/api.h"
#include "tests/unit/serve/fake_agent.h"

namespace keytrail::serve {

using namespace testing;
namespace json = boost::json;

class ApiTest : public ::testing::Test {
 protected:
  ApiTest() : api_(history_, status_, catalog::Catalog::builtin(), 1000) {
    history_.stored = {make_row(1, make_acquisition()), make_row(2, make_use(), kNoon + kSecond)};
    history_.edge_list.push_back({make_use(), 2, {{8121, 5000, 2}}, false});
    history_.state_now.oldest_ns = kNoon;
  }
  json::object get(const std::string& target, unsigned status = 200) {
    const ApiAnswer answer = api_.handle("GET", target);
    EXPECT_EQ(answer.status, status) << target << answer.body;
    return json::parse(answer.body).as_object();
  }
  std::string refused(const std::string& target, unsigned status) {
    return std::string(get(target, status).at("error").at("message").as_string());
  }

  FakeHistory history_;
  FakeStatus status_;
  Api api_;
};

}  // namespace keytrail::serve
