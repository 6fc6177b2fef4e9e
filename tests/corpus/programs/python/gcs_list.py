# SPDX-License-Identifier: Apache-2.0
"""google-cloud-storage with application default credentials: lists a bucket."""
import sys

from google.cloud import storage

print(len(list(storage.Client(project="corpus-project").list_blobs(sys.argv[1]))), "objects")
