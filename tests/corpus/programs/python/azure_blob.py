# SPDX-License-Identifier: Apache-2.0
"""azure-identity with the client secret of the environment: lists the containers of an account."""
import sys

from azure.identity import EnvironmentCredential
from azure.storage.blob import BlobServiceClient

print(len(list(BlobServiceClient(f"https://{sys.argv[1]}.blob.core.windows.net",
                                 EnvironmentCredential()).list_containers())), "containers")
