// SPDX-License-Identifier: Apache-2.0
// The generated skeleton, whose C does not pass this project's warnings.
#pragma once

#include "bpf/lib/control.h"

#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Weverything"
#include "keytrail.skel.h"
#pragma clang diagnostic pop
