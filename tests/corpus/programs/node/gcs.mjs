// SPDX-License-Identifier: Apache-2.0
// @google-cloud/storage with application default credentials: lists one bucket.
import { Storage } from "@google-cloud/storage";

const [files] = await new Storage().bucket(process.argv[2]).getFiles();
console.log(files.length, "objects");
