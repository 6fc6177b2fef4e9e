# SPDX-License-Identifier: Apache-2.0
"""The Kubernetes client as it runs in a pod: lists the pods of a namespace."""
from kubernetes import client, config

config.load_incluster_config()
print(len(client.CoreV1Api().list_namespaced_pod("default").items), "pods")
