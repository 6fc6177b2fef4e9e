// SPDX-License-Identifier: Apache-2.0
// @azure/identity client secret from the environment, @azure/storage-blob.
import { EnvironmentCredential } from "@azure/identity";
import { BlobServiceClient } from "@azure/storage-blob";

const client = new BlobServiceClient(`https://${process.argv[2]}.blob.core.windows.net`, new EnvironmentCredential());
let n = 0;
for await (const _ of client.listContainers()) n++;
console.log(n, "containers");
