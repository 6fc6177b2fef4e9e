# SPDX-License-Identifier: Apache-2.0
"""boto3: one call per argument: sts, s3:BUCKET, sm:SECRET, ddb:TABLE."""
import sys

import boto3

CALLS = {"sts": lambda client, _: client.get_caller_identity(),
         "s3": lambda client, name: client.list_objects_v2(Bucket=name),
         "sm": lambda client, name: client.get_secret_value(SecretId=name),
         "ddb": lambda client, name: client.describe_table(TableName=name)}
SERVICES = {"sm": "secretsmanager", "ddb": "dynamodb"}

session = boto3.Session()
for what in sys.argv[1:]:
    kind, _, name = what.partition(":")
    CALLS[kind](session.client(SERVICES.get(kind, kind)), name)
    print("ok", what)
