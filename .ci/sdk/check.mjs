// Runs the openai package against a served node: the program to run is the argument. It starts "waybill demo", talks to
// each provider's model through it, unary and streamed, and holds the text, the finish reason and the usage against what
// the sandbox was told to answer. It exits 1 with the first difference.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import OpenAI from "openai";

const [binary] = process.argv.slice(2);
assert.ok(binary, "usage: node check.mjs PATH-OF-WAYBILL");

const node = spawn(binary, ["demo", "--listen", "127.0.0.1:0", "--json"], { stdio: ["ignore", "pipe", "inherit"] });
const ended = new Promise((resolve) => node.once("exit", (code) => resolve(code)));

async function started() {
  for await (const line of createInterface({ input: node.stdout })) return JSON.parse(line);
  throw new Error("waybill demo ended without saying where it listens");
}

const text = "Grüße, 世界: it's done.";
const said = Math.ceil(Buffer.byteLength(text) / 4);
const asked = `Say it. [[sandbox say=${JSON.stringify(text)} reasoning=20 input=900 cached=300 chunks=5]]`;
const messages = [{ role: "system", content: "Be brief." }, { role: "user", content: asked }];

function holds(usage, what) {
  assert.equal(usage.prompt_tokens, 900, `${what}: prompt_tokens`);
  assert.equal(usage.completion_tokens, 20 + said, `${what}: completion_tokens`);
  assert.equal(usage.total_tokens, 920 + said, `${what}: total_tokens`);
  assert.equal(usage.prompt_tokens_details.cached_tokens, 300, `${what}: cached_tokens`);
}

async function chats(client, model) {
  const whole = await client.chat.completions.create({ model, messages, max_completion_tokens: 400 });
  assert.equal(whole.choices[0].message.content, text, `${model}: text`);
  assert.equal(whole.choices[0].finish_reason, "stop", `${model}: finish_reason`);
  holds(whole.usage, model);

  const stream = await client.chat.completions.create({ model, messages, max_completion_tokens: 400, stream: true, stream_options: { include_usage: true } });
  let got = "", finish = null, usage = null, chunks = 0;
  for await (const chunk of stream) {
    for (const choice of chunk.choices) {
      got += choice.delta.content ?? "";
      finish = choice.finish_reason ?? finish;
      chunks++;
    }
    usage = chunk.usage ?? usage;
  }
  assert.equal(got, text, `${model}, streamed: text`);
  assert.equal(finish, "stop", `${model}, streamed: finish_reason`);
  assert.ok(chunks > 2, `${model}, streamed: ${chunks} chunks`);
  holds(usage, `${model}, streamed`);
}

async function refused(call, status, kind, code) {
  await assert.rejects(call, (e) => {
    assert.ok(e instanceof kind, `${code}: ${e.constructor.name}: ${e.message}`);
    assert.equal(e.status, status, code);
    assert.equal(e.code, code);
    return true;
  });
}

try {
  const demo = await started();
  const client = (key) => new OpenAI({ baseURL: demo.url + "/v1", apiKey: key, maxRetries: 0 });
  const teams = client(demo.keys.company), starter = client(demo.keys.startup), hello = [{ role: "user", content: "Hello" }];
  const models = ["openai/gpt-6-luna", "anthropic/claude-haiku-5-5", "google/gemini-2.5-flash-lite"];
  let passed = 0;
  for (const model of models) {
    await chats(teams, model);
    passed += 2;
  }
  const listed = [];
  for await (const m of teams.models.list()) listed.push(m.id);
  for (const model of models) assert.ok(listed.includes(model), `${model} is not listed`);
  await refused(client("wbk_nobody").chat.completions.create({ model: "auto", messages: hello }), 401, OpenAI.AuthenticationError, "unknown_key");
  await refused(starter.chat.completions.create({ model: models[1], messages: hello }), 403, OpenAI.PermissionDeniedError, "plan_excludes_model");
  await refused(teams.chat.completions.create({ model: "openai/none", messages: hello }), 404, OpenAI.NotFoundError, "unknown_model");
  passed += 4;
  const { version } = JSON.parse(readFileSync(new URL("node_modules/openai/package.json", import.meta.url)));
  console.log(`node ${process.version}, openai ${version}`);
  console.log(`${passed} passed, 0 failed`);
} finally {
  node.kill("SIGTERM");
}
assert.equal(await ended, 0, "exit status of waybill demo after SIGTERM");
