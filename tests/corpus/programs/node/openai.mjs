// SPDX-License-Identifier: Apache-2.0
// OpenAI's Node client: one streamed completion.
import OpenAI from "openai";

const messages = [{ role: "user", content: "hi" }];
const s = await new OpenAI().chat.completions.create({ model: "gpt-x", stream: true, messages });
let n = 0;
for await (const _ of s) n++;
console.log(n, "chunks");
