// SPDX-License-Identifier: Apache-2.0
// Commands with an agent of constants behind a real socket, for the tests of the command line.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <sstream>
#include <string>

#include "agent/cli/commands.h"
#include "agent/serve/server.h"
#include "tests/unit/serve/fake_agent.h"

namespace keytrail::cli {

using namespace serve::testing;

class CommandsTest : public ::testing::Test {
 protected:
  CommandsTest() : world_(real_world(out_, err_)) {
    history_.stored = {make_row(1, make_acquisition()), make_row(2, make_use())};
    history_.edge_list.push_back({make_use(), 2, {{8121, 5000, 2}}, false});
    history_.key_list.push_back(
        {make_key(), kNoon, {make_slot()}, {"payments/api"}, 1, kNoon, {"aws / s3 / eu-west-1"}, "", 0});
    history_.holding_list.push_back({make_actor(), make_key(), make_slot(), kNoon, 0, How::kDirect, false});
    history_.state_now.oldest_ns = kNoon;
    options_.socket = serve_.path = directory_.file("api.sock");
    world_.now_ns = [] { return kNoon + 100 * kSecond; };
  }
  void start() {
    server_ = std::make_unique<serve::Server>(serve_, history_, status_, catalog::Catalog::builtin());
    ASSERT_TRUE(server_->start());
  }
  std::string out() { return out_.str(); }
  std::string err() { return err_.str(); }

  TemporaryDirectory directory_;
  FakeHistory history_;
  FakeStatus status_;
  serve::ServeOptions serve_;
  std::unique_ptr<serve::Server> server_;
  std::ostringstream out_, err_;
  Options options_;
  World world_;
};

}  // namespace keytrail::cli
