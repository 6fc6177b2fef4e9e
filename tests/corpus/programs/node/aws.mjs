// SPDX-License-Identifier: Apache-2.0
// AWS SDK for JavaScript v3: one call per argument (sts, s3:BUCKET).
import { S3Client, ListObjectsV2Command } from "@aws-sdk/client-s3";
import { STSClient, GetCallerIdentityCommand } from "@aws-sdk/client-sts";

for (const what of process.argv.slice(2)) {
  const [kind, name] = what.split(":");
  if (kind === "sts") await new STSClient({}).send(new GetCallerIdentityCommand({}));
  if (kind === "s3") await new S3Client({}).send(new ListObjectsV2Command({ Bucket: name }));
  console.log("ok", what);
}
