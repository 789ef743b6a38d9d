// Runs the packages with which developers of node call models against a served node: the program to run is the argument. It
// starts "waybill demo", has each client ask every scenario of each provider's model, unary and streamed, and holds the answers
// against what the sandbox was told to say. It prints each difference, and exits 1 if there is one.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import * as anthropic from "./anthropic.mjs";
import * as genai from "./genai.mjs";
import * as langchain from "./langchain.mjs";
import * as openai from "./openai.mjs";
import { broken, models, scenarios } from "./scenarios.mjs";
import * as vercel from "./vercel.mjs";

const [binary, only] = process.argv.slice(2);
assert.ok(binary, "usage: node check.mjs PATH-OF-WAYBILL [CLIENT]");

const all = ["input", "cached", "output", "reasoning"];
const openaiSaysNothing = (model) => !model.startsWith("openai/"); // but in Responses
const anything = () => true, nothing = () => false;

// clients, by name: what asks, what its errors are like, which usage it shows, and of which models it shows thoughts.
const clients = {
  "openai chat": { make: openai.chat, errors: openai.errors, usage: all, shows: nothing },
  "openai responses": { make: openai.responses, errors: openai.errors, usage: all, shows: anything },
  "@anthropic-ai/sdk": { make: anthropic.messages, errors: anthropic.errors, usage: all, shows: openaiSaysNothing },
  "@google/genai": { make: genai.content, errors: genai.errors, usage: all, shows: openaiSaysNothing },
  "ai openai chat": { make: vercel.chat, errors: vercel.errors, usage: all, shows: nothing },
  "ai openai responses": { make: vercel.responses, errors: vercel.errors, usage: all, shows: anything },
  "ai anthropic": { make: vercel.messages, errors: vercel.errors, usage: ["input", "cached", "output"], shows: openaiSaysNothing },
  "ai google": { make: vercel.content, errors: vercel.errors, usage: all, shows: openaiSaysNothing },
  "langchain openai chat": { make: langchain.chat, errors: langchain.errors, usage: all, shows: nothing },
  // It leaves out the choice of any tool.
  "langchain openai responses": { make: langchain.responses, errors: langchain.errors, usage: all, shows: nothing, leaves: (_, scenario) => scenario === "any tool" },
  // Of a stream it adds up what Anthropic reports as running totals.
  "langchain anthropic": { make: langchain.messages, errors: langchain.errors, usage: ["input", "output"], streamed: [], shows: nothing },
  // It counts no thoughts, does not hear of errors in streams, refuses images to models whose name does not begin with gemini, and sends
  // the results of parallel calls in several turns, which Gemini refuses.
  "langchain google": { make: langchain.content, errors: langchain.errors, usage: ["input"], shows: nothing, deaf: true,
    leaves: (model, scenario) => scenario === "image" || (scenario === "tools" && model.startsWith("google/")) },
};

const node = spawn(binary, ["demo", "--listen", "127.0.0.1:0", "--json"], { stdio: ["ignore", "pipe", "inherit"] });
const ended = new Promise((resolve) => node.once("exit", (code) => resolve(code)));

async function started() {
  for await (const line of createInterface({ input: node.stdout })) return JSON.parse(line);
  throw new Error("waybill demo ended without saying where it listens");
}

let passed = 0;
const failed = [];
async function check(name, run) {
  try {
    await run();
    passed++;
  } catch (e) {
    failed.push(name);
    console.log(`${name}: ${e.message}\n  ${String(e.responseBody ?? e.stack).split("\n").slice(0, 6).join("\n  ")}`);
  }
}

// refuses checks the error that a client makes of a refusal.
async function refuses(name, { refused, kinds }, call, status, code) {
  await check(name, () =>
    assert.rejects(call, (e) => {
      const got = refused(e);
      assert.deepEqual(got, { status, code, kind: kinds[status] }, e.message);
      return true;
    }));
}

try {
  const { url, keys } = await started();
  for (const [name, client] of Object.entries(clients)) {
    if (only && name !== only) continue;
    const teams = client.make(url, keys.company), starter = client.make(url, keys.startup), nobody = client.make(url, "wbk_nobody");
    for (const model of models) {
      for (const [scenario, play] of Object.entries(scenarios)) {
        if (client.leaves?.(model, scenario)) continue;
        for (const stream of [false, true]) {
          const usage = (stream && client.streamed) || client.usage;
          const ask = (q) => teams({ cap: 4000, ...q, model, stream });
          await check(`${name}, ${model}, ${scenario}${stream ? ", streamed" : ""}`, () => play(ask, { ...client, model, usage }));
        }
      }
      const ask = (q) => teams({ cap: 400, ...q, model });
      await check(`${name}, ${model}, broken stream`, () => broken(ask, client));
      await check(`${name}, ${model}, after a broken stream`, () => ask({ turns: [{ text: "Hello" }] })); // it closes the breaker's count
      // OpenAI's own clients get OpenAI's own code.
      await refuses(`${name}, ${model}, bad request`, client.errors, ask({ turns: [{ text: "Hello [[sandbox fail=bad_request]]" }] }), 400, name.includes("openai") && model.startsWith("openai/") ? "invalid_value" : "invalid");
      await refuses(`${name}, ${model}, rate limit`, client.errors, ask({ turns: [{ text: "Hello [[sandbox fail=rate_limited]]" }] }), 429, "rate_limited");
      await check(`${name}, ${model}, after failures`, () => ask({ turns: [{ text: "Hello" }] })); // likewise
    }
    const hello = { turns: [{ text: "Hello" }], cap: 100 };
    await refuses(`${name}, unknown key`, client.errors, nobody({ ...hello, model: models[0] }), 401, "unknown_key");
    await refuses(`${name}, model outside the plan`, client.errors, starter({ ...hello, model: models[1] }), 403, "plan_excludes_model");
    await refuses(`${name}, unknown model`, client.errors, teams({ ...hello, model: "openai/none" }), 404, "unknown_model");
  }
  for (const [name, lists] of Object.entries({ openai: openai.lists, "@anthropic-ai/sdk": anthropic.lists, "@google/genai": genai.lists })) {
    if (only && name !== only) continue;
    await check(`${name}, lists, vectors and counts`, async () => {
      const got = await lists(url, keys.company);
      for (const model of ["auto", ...models]) assert.ok(got.ids.includes(model), `${model} is not listed`);
      if ("vector" in got) assert.equal(got.vector.length, 64, "dimensions");
      if ("tokens" in got) assert.equal(got.tokens, 7, "tokens");
    });
  }
  const { dependencies } = JSON.parse(readFileSync(new URL("package.json", import.meta.url)));
  console.log(`node ${process.version}, ${Object.entries(dependencies).map(([name, version]) => `${name} ${version}`).join(", ")}`);
  console.log(`${passed} passed, ${failed.length} failed`);
} finally {
  node.kill("SIGTERM");
}
assert.equal(await ended, 0, "exit status of waybill demo after SIGTERM");
process.exitCode = failed.length > 0 ? 1 : 0;
