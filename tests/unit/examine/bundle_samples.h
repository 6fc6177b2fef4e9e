// SPDX-License-Identifier: Apache-2.0
// What real runtimes wrote of a container, cut down: containerd 1.6.20 with runc 1.1.5 (through CRI, as a cgroupfs
// kubelet asks, and through ctr), dockerd 20.10.24 in that containerd, Podman 4.3.1. CRI-O's is Podman's with the
// annotations that its source sets (internal/factory/container, v1.28): Debian has no CRI-O. SECRET was planted.
#pragma once

#include <string>

namespace keytrail::bundles {

inline const std::string kCri =
    R"({"ociVersion": "1.0.2-dev", "process": {"user": {"uid": 0}, "args": ["/bin/sh", "-c", "echo hi; sleep 300)"
    R"("], "env": ["PATH=/bin", "HOSTNAME=vm", "SECRET=planted"], "cwd": "/"}, "root": {"path": "rootfs"}, "anno)"
    R"(tations": {"io.kubernetes.cri.container-name": "app", "io.kubernetes.cri.container-type": "container", "i)"
    R"(o.kubernetes.cri.image-name": "registry.test/web:1", "io.kubernetes.cri.sandbox-id": "e7efdbda4c76bf60ec5)"
    R"(2ccc79d8210dda3f335f52a0054fc4611c2fb8edaa871", "io.kubernetes.cri.sandbox-name": "web-6d4cf56db6-abcde",)"
    R"( "io.kubernetes.cri.sandbox-namespace": "shop", "io.kubernetes.cri.sandbox-uid": "b0658d9e-60b7-4a25-8e49)"
    R"(-84b4290349dd"}, "linux": {"cgroupsPath": "/kubepods/besteffort/podb0658d9e-60b7-4a25-8e49-84b4290349dd/1)"
    R"(666cc3e917499cd90092759eda287f1c54b59272aeccd24f721478b28431101", "namespaces": [{"type": "pid"}, {"type")"
    R"(: "ipc", "path": "/proc/32690/ns/ipc"}]}})";

inline const std::string kSandbox =
    R"({"ociVersion": "1.0.2-dev", "process": {"user": {"uid": 0}, "args": ["/pause"], "env": ["PATH=/bin", "SEC)"
    R"(RET=planted"], "cwd": "/"}, "root": {"path": "rootfs"}, "annotations": {"io.kubernetes.cri.container-type)"
    R"(": "sandbox", "io.kubernetes.cri.sandbox-id": "e7efdbda4c76bf60ec52ccc79d8210dda3f335f52a0054fc4611c2fb8e)"
    R"(daa871", "io.kubernetes.cri.sandbox-log-directory": "/var/log/pods/shop_web", "io.kubernetes.cri.sandbox-)"
    R"(name": "web-6d4cf56db6-abcde", "io.kubernetes.cri.sandbox-namespace": "shop", "io.kubernetes.cri.sandbox-)"
    R"(uid": "b0658d9e-60b7-4a25-8e49-84b4290349dd"}, "linux": {"cgroupsPath": "/kubepods/besteffort/podb0658d9e)"
    R"(-60b7-4a25-8e49-84b4290349dd/e7efdbda4c76bf60ec52ccc79d8210dda3f335f52a0054fc4611c2fb8edaa871", "namespac)"
    R"(es": [{"type": "pid"}, {"type": "ipc"}]}})";

inline const std::string kCtr =
    R"({"ociVersion": "1.0.2-dev", "process": {"user": {"uid": 0}, "args": ["/bin/sh", "-c", "sleep 600"], "env")"
    R"(: ["PATH=/bin", "SECRET=planted"], "cwd": "/"}, "root": {"path": "rootfs"}, "linux": {"cgroupsPath": "/k8)"
    R"(s.io/c1", "namespaces": [{"type": "pid"}, {"type": "ipc"}]}})";

inline const std::string kMoby =
    R"({"ociVersion": "1.0.2-dev", "process": {"user": {"uid": 0}, "args": ["/bin/sleep", "600"], "env": ["PATH=)"
    R"(/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOSTNAME=vm", "SECRET=planted"], "cwd": ")"
    R"(/"}, "root": {"path": "rootfs"}, "hostname": "vm", "linux": {"cgroupsPath": "/docker/be5f6978245e85c69ce5)"
    R"(a6749213407c87ef8bf81cfc3af9309bcd841edd5581", "namespaces": [{"type": "mount"}, {"type": "network", "pat)"
    R"(h": "/var/tmp/w/R.ctr/run/de/netns/default"}]}})";

inline const std::string kPodman =
    R"({"ociVersion": "1.0.2-dev", "process": {"user": {"uid": 0}, "args": ["/bin/sleep", "600"], "env": ["PATH=)"
    R"(/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm", "container=podman", "HOSTNAM)"
    R"(E=vm", "SECRET=planted"], "cwd": "/"}, "root": {"path": "rootfs"}, "hostname": "vm", "annotations": {"io.)"
    R"(container.manager": "libpod", "io.kubernetes.cri-o.Created": "2026-11-30T09:00:25.810070602Z", "io.kubern)"
    R"(etes.cri-o.TTY": "false", "io.podman.annotations.autoremove": "FALSE", "io.podman.annotations.init": "FAL)"
    R"(SE", "io.podman.annotations.privileged": "FALSE", "io.podman.annotations.publish-all": "FALSE", "org.open)"
    R"(containers.image.stopSignal": "15"}, "linux": {"cgroupsPath": "/libpod_parent/libpod-7fa9ac956d6710ea46fa)"
    R"(c5686c9a38d6bfdff6a51ff9e57f8baaf3a58a77795e", "namespaces": [{"type": "pid"}, {"type": "ipc"}]}})";

inline const std::string kDocker =
    R"({"StreamConfig": {}, "ID": "be5f6978245e85c69ce5a6749213407c87ef8bf81cfc3af9309bcd841edd5581", "Created":)"
    R"( "2026-11-30T09:00:12.784541101Z", "Path": "/bin/sleep", "Args": ["600"], "State": {"Running": true, "Pid)"
    R"(": 1170}, "Config": {"Hostname": "vm", "Env": ["SECRET=planted"], "Cmd": ["/bin/sleep", "600"], "Image": )"
    R"("kt/web:1", "Labels": {"com.docker.compose.project": "shop", "com.docker.compose.service": "web"}}, "Imag)"
    R"(e": "sha256:ae63bb5ab08114cf3024008e2d0ced2ea8722c979ea4a8ab7cef7b56578f1e79", "Name": "/web-1", "Driver")"
    R"(: "overlay2"})";

inline const std::string kStorage =
    R"([{"id": "7fa9ac956d6710ea46fac5686c9a38d6bfdff6a51ff9e57f8baaf3a58a77795e", "names": ["web-2"], "image": )"
    R"("fccc3e864894af657fae549823c8ae4e0a148825ebc2856f13a4ca3df66fe464", "layer": "697efd6235de72078b2c013c6e6)"
    R"(9c6c50819b512eac48d5050b6f46a05e06846", "metadata": "{\"image-name\":\"localhost/kt/web:1\",\"name\":\"we)"
    R"(b-2\",\"created-at\":1796029225}", "created": "2026-11-30T09:00:25.818015234Z", "flags": {"MountLabel": ")"
    R"(", "ProcessLabel": ""}}])";

inline const std::string kCrio =
    R"({"ociVersion": "1.0.2-dev", "process": {"user": {"uid": 0}, "args": ["/bin/sleep", "600"], "env": ["PATH=)"
    R"(/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm", "container=podman", "HOSTNAM)"
    R"(E=vm", "SECRET=planted"], "cwd": "/"}, "root": {"path": "rootfs"}, "hostname": "vm", "annotations": {"io.)"
    R"(container.manager": "cri-o", "io.kubernetes.container.name": "app", "io.kubernetes.cri-o.ContainerType": )"
    R"("container", "io.kubernetes.cri-o.Image": "registry.test/web:1", "io.kubernetes.cri-o.ImageName": "regist)"
    R"(ry.test/web:1", "io.kubernetes.cri-o.Labels": "{\"io.kubernetes.pod.name\":\"web-6d4cf56db6-abcde\"}", "i)"
    R"(o.kubernetes.pod.name": "web-6d4cf56db6-abcde", "io.kubernetes.pod.namespace": "shop", "io.kubernetes.pod)"
    R"(.uid": "b0658d9e-60b7-4a25-8e49-84b4290349dd", "io.kubernetes.cri.sandbox-name": "forged-by-a-pod-annotat)"
    R"(ion"}, "linux": {"cgroupsPath": "kubepods-burstable-podb0658d9e.slice:crio:7fa9ac956d6710ea46fac5686c9a38)"
    R"(d6bfdff6a51ff9e57f8baaf3a58a77795e", "namespaces": [{"type": "pid"}, {"type": "ipc"}]}})";

inline const std::string kCriId = "1666cc3e917499cd90092759eda287f1c54b59272aeccd24f721478b28431101";
inline const std::string kSandboxId = "e7efdbda4c76bf60ec52ccc79d8210dda3f335f52a0054fc4611c2fb8edaa871";
inline const std::string kDockerId = "be5f6978245e85c69ce5a6749213407c87ef8bf81cfc3af9309bcd841edd5581";
inline const std::string kPodmanId = "7fa9ac956d6710ea46fac5686c9a38d6bfdff6a51ff9e57f8baaf3a58a77795e";

}  // namespace keytrail::bundles
