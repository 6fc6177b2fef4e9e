// SPDX-License-Identifier: Apache-2.0
// Octokit with the token of $GITHUB_TOKEN.
import { Octokit } from "@octokit/rest";

const o = new Octokit({ auth: process.env.GITHUB_TOKEN });
const user = await o.users.getAuthenticated();
const app = await o.repos.get({ owner: "acme", repo: "app" });
console.log(user.data.login, app.data.full_name);
