# The kernel side's loader: the only target that links libbpf.
find_library(BPF_LIBRARY bpf REQUIRED)
keytrail_library(keytrail_warden_loader
  SOURCES heartbeat.cpp loader.cpp loader_guard.cpp loader_kernel.cpp loader_links.cpp loader_rings.cpp
          loader_tables.cpp lost_slots.cpp plan.cpp targets.cpp ../base/fd.cpp)
target_link_libraries(keytrail_warden_loader PRIVATE keytrail_bpf)
