# SPDX-License-Identifier: Apache-2.0
"""The stage of the system tests: a network namespace with a fake cloud, and the way a case's first process enters
it."""
