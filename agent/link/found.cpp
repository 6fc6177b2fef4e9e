// SPDX-License-Identifier: Apache-2.0
#include "agent/link/found.h"

namespace keytrail::link {
namespace {

/// What the kernel's filter tells places by: the name and that of its folder.
std::string place_key(const std::string& path) {
  const std::size_t name = path.rfind('/');
  const std::size_t folder = name == std::string::npos || name == 0 ? std::string::npos : path.rfind('/', name - 1);
  return folder == std::string::npos ? path : path.substr(folder);
}

}  // namespace

Found::Found(std::size_t limit) : files_(limit), places_(limit) {
  const auto give_up = [this](const std::string&, FoundPlace& one) {
    one.over = true;
    news_.push_back(std::move(one));
  };
  files_.on_evict(give_up);
  places_.on_evict(give_up);
}

void Found::add(const std::string& owner, const FileIdentity& file, const std::string& path, bool known_place) {
  FoundPlace news;
  if (file.inode != 0) {
    const auto [known, fresh] = files_.get(owner, std::to_string(file.dev) + ":" + std::to_string(file.inode));
    if (fresh) {
      *known = {.path = {}, .inode = file.inode, .dev = file.dev};
      news = *known;
    }
  }
  if (!known_place && is_new_place(owner, path)) news.path = path;
  if (news.inode != 0 || !news.path.empty()) news_.push_back(std::move(news));
}

void Found::add_place(const std::string& owner, const std::string& path) {
  if (is_new_place(owner, path)) news_.push_back({.path = path});
}

bool Found::is_new_place(const std::string& owner, const std::string& path) {
  const auto [known, fresh] = places_.get(owner, place_key(path));
  if (fresh) known->path = path;
  return fresh;
}

}  // namespace keytrail::link
