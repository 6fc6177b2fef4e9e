// SPDX-License-Identifier: Apache-2.0
// Annotations and labels may come from a pod's manifest or from an image, so each runtime is asked for its own only,
// which it sets last. Which runtime it is the place says.
#include "agent/examine/bundle.h"

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <exception>
#include <string>

#include "agent/examine/document.h"
#include "agent/examine/text.h"

namespace keytrail::examine {
namespace {

namespace json = boost::json;

constexpr std::string_view kContainerd = "/io.containerd.runtime.v2.task/";
constexpr std::string_view kUserData = "/userdata/";
constexpr std::size_t kMetadataRoom = 64U << 10U;
constexpr std::size_t kSha256Digits = 64;
constexpr std::size_t kMaxUserName = 256;    // bytes; useradd(8) allows 32
constexpr std::size_t kMaxListedName = 256;  // behind an id

class Reading {
 public:
  Reading(std::string_view container, std::string_view place, const ExaminerState& state, Arena& scratch, Found& found)
      : container_(container), place_(place), state_(state), scratch_(scratch), found_(found) {}

  /// False when it is no such file.
  bool oci(const json::value& file) {
    const json::object* const bundle = file.if_object();
    const json::object* const linux = bundle != nullptr ? object_of(*bundle, "linux") : nullptr;
    if (linux == nullptr) return false;
    add(fact::kCgroup, text_of(*linux, "cgroupsPath"));
    static const json::object kNone;
    const json::object* const annotations = object_of(*bundle, "annotations");
    const json::object& all = annotations != nullptr ? *annotations : kNone;
    if (place_.find(kContainerd) != place_.npos) {
      if (name_space() == "moby") {
        add(fact::kRuntime, "docker");
      } else {
        of_containerd(all);
      }
    } else if (place_.find(kUserData) != place_.npos) {
      of_containers_storage(all);
    }
    return true;
  }

  /// dockerd's config.v2.json.
  bool docker(const json::value& file) {
    const json::object* const all = file.if_object();
    if (all == nullptr || text_of(*all, "ID") != container_) return false;
    std::string_view name = text_of(*all, "Name");
    if (name.starts_with('/')) name.remove_prefix(1);
    add(fact::kContainerName, name);
    add(fact::kImageId, text_of(*all, "Image"));
    const json::object* const config = object_of(*all, "Config");
    if (config == nullptr) return true;
    add_image(text_of(*config, "Image"));
    const json::object* const labels = object_of(*config, "Labels");
    if (labels == nullptr) return true;
    add(fact::kComposeProject, text_of(*labels, "com.docker.compose.project"));
    add(fact::kComposeService, text_of(*labels, "com.docker.compose.service"));
    // cri-dockerd's: https://github.com/Mirantis/cri-dockerd/blob/master/core/labels.go
    of_kubelet(*labels);
    const std::string_view type = text_of(*labels, "io.kubernetes.docker.type");
    add(fact::kContainerType, type == "podsandbox" ? "sandbox" : type);
    return true;
  }

  /// containers.json of containers/storage: all of its containers.
  bool storage(const json::value& file) {
    const json::array* const all = file.if_array();
    if (all == nullptr) return false;
    for (const json::value& one : *all) {
      const json::object* const entry = one.if_object();
      if (entry == nullptr || text_of(*entry, "id") != container_) continue;
      const json::array* const names = array_of(*entry, "names");
      const json::string* const name = names == nullptr || names->empty() ? nullptr : names->front().if_string();
      if (name != nullptr) add(fact::kContainerName, std::string_view(name->data(), name->size()));
      // Without the algorithm, which is always this one.
      const std::string_view image = text_of(*entry, "image");
      if (image.size() == kSha256Digits) add(fact::kImageId, "sha256:" + std::string(image));
      TreeMemory memory(scratch_, kMetadataRoom);
      const auto metadata = read_json(text_of(*entry, "metadata"), memory);
      if (metadata && metadata->is_object()) add_image(text_of(metadata->get_object(), "image-name"));
      break;
    }
    return true;
  }

  /// The names of all of them.
  bool storage_names(const json::value& file) {
    const json::array* const all = file.if_array();
    if (all == nullptr) return false;
    constexpr auto kWhat =
        static_cast<std::uint8_t>(std::ranges::find(kBundleFacts, bundle::kNamed) - kBundleFacts.begin());
    for (const json::value& one : *all) {
      const json::object* const entry = one.if_object();
      const json::array* const names = entry == nullptr ? nullptr : array_of(*entry, "names");
      const json::string* const name = names == nullptr || names->empty() ? nullptr : names->front().if_string();
      if (name == nullptr) continue;
      const std::string_view id = text_of(*entry, "id"), called(name->data(), name->size());
      std::string both = std::string(id).append(" ").append(called);
      role::Text<510> fits;
      if (!is_bundle_id(id) || !is_name(called, kMaxListedName) || !fits.assign(both) || !fits.plain() ||
          is_secret_by_shape(called, state_.formats) || is_secret_by_shape(both, state_.formats) ||
          found_.facts.size() >= kMaxNodeUsers) {
        ++found_.skipped;
        continue;
      }
      found_.facts.push_back({kWhat, std::move(both)});
    }
    return true;
  }

 private:
  void add(std::string_view name, std::string_view value) {
    if (value.empty()) return;
    const auto what = static_cast<std::uint8_t>(std::ranges::find(kBundleFacts, name) - kBundleFacts.begin());
    if (std::ranges::find(found_.facts, what, &BundleFact::what) != found_.facts.end()) return;
    role::Text<510> fits;
    if (!is_name(value, fits.bytes.size()) || !fits.assign(value) || !fits.plain() ||
        is_secret_by_shape(value, state_.formats)) {
      ++found_.skipped;
      return;
    }
    found_.facts.push_back({what, std::string(value)});
  }

  /// "registry.example/shop/api:1", "…@sha256:…"; "sha256:…" alone is an image's id and names nothing.
  void add_image(std::string_view image) {
    if (image.starts_with("sha256:")) return;
    const std::size_t at = image.find("@sha256:");
    add(fact::kImageName, image.substr(0, at));
    if (at != image.npos) add(fact::kImageDigest, image);
  }

  /// containerd's namespace: the folder above the container's.
  [[nodiscard]] std::string_view name_space() const {
    const std::string_view below = place_.substr(place_.find(kContainerd) + kContainerd.size());
    return below.substr(0, below.find('/'));
  }

  /// https://github.com/containerd/containerd/blob/main/internal/cri/annotations/annotations.go
  void of_containerd(const json::object& all) {
    add(fact::kRuntime, "containerd");
    add(fact::kContainerType, text_of(all, "io.kubernetes.cri.container-type"));
    add(fact::kNamespace, text_of(all, "io.kubernetes.cri.sandbox-namespace"));
    add(fact::kPodName, text_of(all, "io.kubernetes.cri.sandbox-name"));
    add(fact::kPodUid, text_of(all, "io.kubernetes.cri.sandbox-uid"));
    add(fact::kK8sContainer, text_of(all, "io.kubernetes.cri.container-name"));
    add_image(text_of(all, "io.kubernetes.cri.image-name"));
    add(fact::kContainerName, text_of(all, "nerdctl/name"));
  }

  /// CRI-O (internal/factory/container: the kubelet's labels are its last annotations) or Podman, whose annotations
  /// may be the image's.
  void of_containers_storage(const json::object& all) {
    const std::string_view manager = text_of(all, "io.container.manager");
    if (manager == "libpod") return add(fact::kRuntime, "podman");
    if (manager != "cri-o") return;
    add(fact::kRuntime, "cri-o");
    add(fact::kContainerType, text_of(all, "io.kubernetes.cri-o.ContainerType"));
    of_kubelet(all);
    const std::string_view asked_for = text_of(all, "io.kubernetes.cri-o.Image");
    add_image(asked_for.find("@sha256:") != asked_for.npos ? asked_for : text_of(all, "io.kubernetes.cri-o.ImageName"));
  }

  /// https://github.com/kubernetes/kubernetes/blob/master/staging/src/k8s.io/kubelet/pkg/types/labels.go
  void of_kubelet(const json::object& labels) {
    add(fact::kNamespace, text_of(labels, "io.kubernetes.pod.namespace"));
    add(fact::kPodName, text_of(labels, "io.kubernetes.pod.name"));
    add(fact::kPodUid, text_of(labels, "io.kubernetes.pod.uid"));
    const std::string_view container = text_of(labels, "io.kubernetes.container.name");
    if (container != "POD") add(fact::kK8sContainer, container);  // the sandbox's own
  }

  std::string_view container_, place_;
  const ExaminerState& state_;
  Arena& scratch_;
  Found& found_;
};

// passwd(5). A number may have several names: the first counts (getpwuid), so all go out in their order.
void read_users(std::string_view bytes, const ExaminerState& state, Found& found) {
  for_each_line(bytes, [&](std::string_view line) {
    const std::string_view name = cut(line, ':');
    (void)cut(line, ':');  // in old systems the hash of a password
    const std::string_view number = cut(line, ':');
    std::uint32_t uid = 0;
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), uid);
    const bool whole = error == std::errc() && end == number.data() + number.size() && !number.empty();
    if (!whole || !is_name(name, kMaxUserName) || is_secret_by_shape(name, state.formats) ||
        found.facts.size() >= kMaxNodeUsers) {
      if (!name.empty() && name.front() != '#') ++found.skipped;
      return;
    }
    constexpr auto kWhat =
        static_cast<std::uint8_t>(std::ranges::find(kBundleFacts, bundle::kUser) - kBundleFacts.begin());
    found.facts.push_back({kWhat, std::string(number).append(" ").append(name)});
  });
}

}  // namespace

void parse_bundle(std::string_view format, std::string_view container, std::string_view place, std::string_view bytes,
                  const ExaminerState& state, Arena& scratch, Found& found) {
  found.unread = role::Unread::kUnknownFormat;
  if (format == bundle::kUsers) {
    if (bytes.find('\0') != bytes.npos) return;
    found.unread = role::Unread::kNone;
    return read_users(bytes, state, found);
  }
  try {
    TreeMemory memory(scratch, tree_bytes(bytes.size()));
    const auto file = read_json(bytes, memory);
    if (!file) return;
    Reading reading(container, place, state, scratch, found);
    const bool read = format == bundle::kOci                                      ? reading.oci(*file)
                      : format == bundle::kDocker                                 ? reading.docker(*file)
                      : format == bundle::kStorage || format == bundle::kVolatile ? reading.storage(*file)
                      : bundle::is_list(format)                                   ? reading.storage_names(*file)
                                                                                  : false;
    if (read) found.unread = role::Unread::kNone;
  } catch (const std::exception&) {  // out of memory, or the library's: its text may quote the file
    found.facts.clear();
    ++found.skipped;
  }
}

}  // namespace keytrail::examine
