# SPDX-License-Identifier: Apache-2.0
"""Hugging Face's client with the token that it keeps in a file."""
from huggingface_hub import HfApi

print(HfApi().whoami()["name"])
