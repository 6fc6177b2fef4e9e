// SPDX-License-Identifier: Apache-2.0
// From options to a question and from the agent's word to an answer or an exit code: what all commands share.
#pragma once

#include <boost/json.hpp>
#include <expected>
#include <string>
#include <vector>

#include "agent/catalog/catalog.h"
#include "agent/cli/commands.h"
#include "agent/cli/render.h"

namespace keytrail::cli {

using Asked = std::expected<boost::json::object, int>;  ///< the answer, or the exit code (the reason has been printed)

/// The catalog that the agent works with: the compiled-in one and the site's additions. Unsound additions are said, and
/// not used, as the agent does.
[[nodiscard]] catalog::Catalog catalog_of(const Options& options, World& world);
/// Where these additions are.
[[nodiscard]] std::string catalog_directory(const Options& options);
/// The socket to ask: --socket, else the configuration's, else the default.
[[nodiscard]] std::string socket_of(const Options& options);
/// A configuration file that --config names must be there and correct, or the wrong agent is asked: kOk, or what was
/// said of it. Without --config, a broken file stops the agent, not a question.
[[nodiscard]] int check_named_config(const Options& options, World& world);
/// A key id as typed, checked. Prints and gives kUsage when it is a secret.
[[nodiscard]] std::expected<std::string, int> key_typed(World& world, const std::string& text);
/// The parameters of the options, checked: key, times, filters. Prints and gives kUsage when one is wrong, or is a
/// secret; kCannotTell for an empty period.
[[nodiscard]] std::expected<std::vector<std::string>, int> parameters_of(const Options& options, World& world);
/// One page of `path`.
[[nodiscard]] Asked ask(const Options& options, World& world, const std::string& path,
                        const std::vector<std::string>& parameters);
/// All pages of `path`, up to --limit rows, as one answer.
[[nodiscard]] Asked ask_all(const Options& options, World& world, const std::string& path,
                            const std::vector<std::string>& parameters);
/// Prints what went wrong on the way to the agent; gives the exit code.
int no_answer(const Options& options, World& world, const Error& error);

[[nodiscard]] View view_of(const Options& options, const World& world);
/// Prints the answer in the wanted form; `table` makes the text of the table forms. Gives the exit code for a list:
/// kCannotTell where its being empty says nothing (`cannot_say`), else kOk, but for --strict.
int print(const Options& options, World& world, const boost::json::object& answer,
          const std::function<std::string(const View&)>& table);

}  // namespace keytrail::cli
