# SPDX-License-Identifier: Apache-2.0
"""The cases: one file per group, each case compares the complete set of rows with the expected one."""
