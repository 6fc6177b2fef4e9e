// SPDX-License-Identifier: Apache-2.0
// Octokit with the token of $GITHUB_TOKEN.
import { Octokit } from "@octokit/rest";

const o = new Octokit({ auth: process.env.GITHUB_TOKEN });
console.log((await o.users.getAuthenticated()).data.login, (await o.repos.get({ owner: "acme", repo: "app" })).data.full_name);
