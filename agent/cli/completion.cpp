// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/completion.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace keytrail::cli {
namespace {

std::string quoted(std::string text) {
  std::erase_if(text, [](char c) { return c == '\'' || c == '\\' || c == '\n' || c == ':' || c == '[' || c == ']'; });
  return text;
}

/// Of all commands: an option means the same in each.
std::map<std::string, std::vector<std::string>> all_values(const std::vector<CommandWords>& commands) {
  std::map<std::string, std::vector<std::string>> out;
  for (const CommandWords& command : commands)
    out.insert(command.values.begin(), command.values.end());
  if (const auto output = out.find("--output"); output != out.end()) out.emplace("-o", output->second);
  return out;
}

std::string bash(const std::vector<CommandWords>& commands) {
  std::string names, cases, values;
  for (const auto& [option, words] : all_values(commands))
    values += fmt::format("    {}) COMPREPLY=($(compgen -W '{}' -- \"$current\")); return ;;\n", option,
                          fmt::join(words, " "));
  for (const CommandWords& command : commands) {
    names += (names.empty() ? "" : " ") + command.name;
    cases += fmt::format("    {}) words='{}'{} ;;\n", command.name, fmt::join(command.words, " "),
                         command.takes_key ? " keys=yes" : "");
  }
  return fmt::format(
      "# bash completion of keytrail: source <(keytrail completion bash)\n"
      "_keytrail() {{\n  local words='' keys='' previous=\"${{COMP_WORDS[COMP_CWORD-1]}}\" "
      "current=\"${{COMP_WORDS[COMP_CWORD]}}\"\n"
      "  case \"$previous\" in\n{}"
      "    --key) COMPREPLY=($(compgen -W \"$(keytrail completion keys)\" -- \"$current\")); return ;;\n"
      "    --workload|--explain) COMPREPLY=($(compgen -W \"$(keytrail completion workloads)\" -- \"$current\"))\n"
      "      if declare -F __ltrim_colon_completions >/dev/null; then __ltrim_colon_completions \"$current\"; fi; "
      "return ;;\n"
      "    --socket|--config) COMPREPLY=($(compgen -f -- \"$current\")); return ;;\n  esac\n"
      "  if [ \"$COMP_CWORD\" -eq 1 ]; then COMPREPLY=($(compgen -W '{} --help --version' -- \"$current\")); return; "
      "fi\n"
      "  case \"${{COMP_WORDS[1]}}\" in\n{}  esac\n"
      "  if [ -n \"$keys\" ] && [[ \"$current\" != -* ]]; then words+=\" $(keytrail completion keys)\"; "
      "fi\n"
      "  COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
      "  if declare -F __ltrim_colon_completions >/dev/null; then __ltrim_colon_completions \"$current\"; fi\n"
      "}}\ncomplete -o default -F "
      "_keytrail keytrail\n",
      values, names, cases);
}

std::string zsh(const std::vector<CommandWords>& commands) {
  std::string names, cases, values;
  for (const auto& [option, words] : all_values(commands))
    values += fmt::format("    {}) compadd -- {}; return ;;\n", option, fmt::join(words, " "));
  for (const CommandWords& command : commands) {
    names += fmt::format("    '{}:{}'\n", command.name, quoted(command.description));
    cases += fmt::format("    {}) compadd -- {}{} ;;\n", command.name, fmt::join(command.words, " "),
                         command.takes_key ? " ${(f)\"$(keytrail completion keys)\"}" : "");
  }
  return fmt::format(
      "#compdef keytrail\n# zsh completion of keytrail: keytrail completion zsh > \"${{fpath[1]}}/_keytrail\"\n"
      "_keytrail() {{\n  local -a commands=(\n{}  )\n  if (( CURRENT == 2 )); then _describe command commands; return; "
      "fi\n"
      "  case \"$words[CURRENT-1]\" in\n{}"
      "    --workload|--explain) compadd -- ${{(f)\"$(keytrail completion workloads)\"}}; return ;;\n  esac\n"
      "  case \"$words[2]\" in\n{}  esac\n}}\ncompdef _keytrail keytrail\n",
      names, values, cases);
}

std::string fish(const std::vector<CommandWords>& commands) {
  std::string out =
      "# fish completion of keytrail: keytrail completion fish > ~/.config/fish/completions/keytrail.fish\ncomplete -c "
      "keytrail -f\n";
  for (const CommandWords& command : commands) {
    if (command.takes_key)
      out += fmt::format("complete -c keytrail -n '__fish_seen_subcommand_from {}' -a '(keytrail completion keys)'\n",
                         command.name);
    out += fmt::format("complete -c keytrail -n __fish_use_subcommand -a {} -d '{}'\n", command.name,
                       quoted(command.description));
    for (const std::string& word : command.words) {
      if (word.starts_with("--"))
        out += fmt::format("complete -c keytrail -n '__fish_seen_subcommand_from {}' -l {}\n", command.name,
                           word.substr(2));
      else if (word.starts_with('-'))
        out += fmt::format("complete -c keytrail -n '__fish_seen_subcommand_from {}' -s {}\n", command.name,
                           word.substr(1));
      else
        out += fmt::format("complete -c keytrail -n '__fish_seen_subcommand_from {}' -a {}\n", command.name, word);
    }
  }
  for (const char* option : {"workload", "explain"})
    out += fmt::format("complete -c keytrail -l {} -xa '(keytrail completion workloads)'\n", option);
  for (const auto& [option, words] : all_values(commands)) {
    if (option == "-o") continue;
    out += fmt::format("complete -c keytrail{} -l {} -xa '{}'\n", option == "--output" ? " -s o" : "", option.substr(2),
                       fmt::join(words, " "));
  }
  return out;
}

}  // namespace

std::string completion_script(const std::string& shell, const std::vector<CommandWords>& commands) {
  if (shell == "bash") return bash(commands);
  if (shell == "zsh") return zsh(commands);
  if (shell == "fish") return fish(commands);
  return {};
}

}  // namespace keytrail::cli
