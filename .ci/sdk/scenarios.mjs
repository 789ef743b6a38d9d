// What a developer does with a client, said once. A client's module turns a question into its own types, and what comes back
// into an answer:
//
//   question  {model, system, turns, tools, choice, schema, think, cap, stream}; turns are the user's {text, image, results}, or the
//             assistant's {said} as the client brings it back; choice is none, required or the name of a tool
//   answer    {text, thoughts, calls: [{id, name, args}], finish: stop|length|tool, usage: {input, cached, output, reasoning}, said, pieces}
import assert from "node:assert/strict";
import { createHash } from "node:crypto";

export const models = ["openai/gpt-6-luna", "anthropic/claude-haiku-5-5", "google/gemini-2.5-flash-lite"];

export const tools = {
  weather: { type: "object", properties: { city: { type: "string" }, days: { type: "integer" } }, required: ["city", "days"], additionalProperties: false },
  clock: { type: "object", properties: { zone: { type: "string" } }, required: ["zone"], additionalProperties: false },
};

const person = { type: "object", properties: { name: { type: "string" }, age: { type: "integer" } }, required: ["name", "age"], additionalProperties: false };

// A PNG of one grey pixel.
const pixel = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==", "base64");

const text = "Grüße, 世界: it's done.";
const tokens = (s) => Math.ceil(Buffer.byteLength(s) / 4);

// obeys checks that an object has a schema's properties, each of its type.
function obeys(object, schema, what) {
  assert.deepEqual(Object.keys(object).sort(), Object.keys(schema.properties).sort(), what);
  for (const [name, { type }] of Object.entries(schema.properties)) assert.equal(typeof object[name], type === "integer" ? "number" : type, `${what}: ${name}`);
}

// answers brings the results of an answer's calls back, and asks on.
function answers(ask, question, answer, results) {
  const back = answer.calls.map((c, i) => ({ id: c.id, name: c.name, text: results[i] }));
  return ask({ ...question, choice: undefined, turns: [...question.turns, { said: answer.said }, { results: back }] });
}

// scenarios, by name. Each gets ask, which asks one model of one client, and what that client is like: usage names the classes
// of tokens that it shows.
export const scenarios = {
  async plain(ask, like) {
    const a = await ask({ system: "Be brief.", turns: [{ text: `Say it. [[sandbox say=${JSON.stringify(text)} reasoning=20 input=900 cached=300 chunks=5]]` }] });
    assert.equal(a.text, text);
    assert.equal(a.finish, "stop");
    if (a.pieces !== undefined) assert.ok(a.pieces > 2, `${a.pieces} pieces`);
    const want = { input: 900, cached: 300, output: 20 + tokens(text), reasoning: 20 };
    for (const kind of like.usage) assert.equal(a.usage[kind], want[kind], `usage: ${kind}`);
  },
  async turns(ask, like) {
    const q = { system: "Be brief.", turns: [{ text: `One? [[sandbox say="First."]]` }] };
    const first = await ask(q);
    const second = await ask({ ...q, turns: [...q.turns, { said: first.said }, { text: `Two? [[sandbox say="Second."]]` }] });
    assert.deepEqual([first.text, second.text], ["First.", "Second."]);
    if (like.usage.includes("input")) assert.ok(second.usage.input > first.usage.input, "the second question has more input");
  },
  async cap(ask, like) {
    const a = await ask({ turns: [{ text: "Go on. [[sandbox output=50]]" }], cap: 16 });
    assert.equal(a.finish, "length");
    if (like.usage.includes("output")) assert.equal(a.usage.output, 16);
  },
  async unicode(ask) {
    const said = "👩🏽‍🚀 ẛ̣ العربية — 漢字\"\\\n".repeat(40);
    const a = await ask({ turns: [{ text: `[[sandbox say=${JSON.stringify(said)} chunk_bytes=7 split=utf8]]` }] });
    assert.equal(a.text, said);
  },
  async tool(ask) {
    const q = { turns: [{ text: "Weather? [[sandbox call=weather chunk_bytes=3]]" }], tools: ["weather", "clock"] };
    const a = await ask(q);
    assert.deepEqual([a.calls.map((c) => c.name), a.finish], [["weather"], "tool"]);
    obeys(a.calls[0].args, tools.weather, "arguments");
    const back = await answers(ask, q, a, ["sunny, 21 °C"]);
    assert.match(back.text, /result of weather.*sunny, 21 °C/);
    assert.equal(back.finish, "stop");
  },
  async tools(ask) {
    const q = { turns: [{ text: "Both? [[sandbox call=weather,clock reasoning=30]]" }], tools: ["weather", "clock"], think: true };
    const a = await ask(q);
    assert.deepEqual(a.calls.map((c) => c.name), ["weather", "clock"]);
    obeys(a.calls[0].args, tools.weather, "arguments");
    obeys(a.calls[1].args, tools.clock, "arguments");
    const back = await answers(ask, q, a, ["rain", "noon"]);
    assert.match(back.text, /result of weather[^\n]*rain[^\n]*\nresult of clock[^\n]*noon/);
  },
  async "forced tool"(ask) {
    const a = await ask({ turns: [{ text: "Hello" }], tools: ["weather", "clock"], choice: "clock" });
    assert.deepEqual(a.calls.map((c) => c.name), ["clock"]);
  },
  async "any tool"(ask) {
    const a = await ask({ turns: [{ text: "Hello" }], tools: ["weather", "clock"], choice: "required" });
    assert.deepEqual(a.calls.map((c) => c.name), ["weather"]);
  },
  async "no tool"(ask) {
    const a = await ask({ turns: [{ text: `Hello [[sandbox say="No."]]` }], tools: ["weather"], choice: "none" });
    assert.deepEqual([a.calls, a.text], [[], "No."]);
  },
  async schema(ask) {
    const a = await ask({ turns: [{ text: "Who?" }], schema: person });
    obeys(JSON.parse(a.text), person, "text");
  },
  async image(ask) {
    const a = await ask({ turns: [{ text: "What is it?", image: pixel }] });
    assert.equal(a.text, `image image/png ${pixel.length} bytes sha256:${createHash("sha256").update(pixel).digest("hex").slice(0, 16)}`);
  },
  async thinking(ask, like) {
    const q = { turns: [{ text: `Why? [[sandbox say="Because." reasoning=40]]` }], think: true };
    const a = await ask(q);
    assert.equal(a.text, "Because.");
    if (like.usage.includes("reasoning")) assert.equal(a.usage.reasoning, 40, "tokens of reasoning");
    if (like.shows(like.model)) assert.notEqual(a.thoughts, "", "thoughts");
    const next = await ask({ ...q, turns: [...q.turns, { said: a.said }, { text: `And? [[sandbox say="So."]]` }] });
    assert.equal(next.text, "So.");
  },
};

const brokenText = "one two three four five six";

// broken asks for a stream that breaks off: the client must say so. One that knows no errors in streams shows an answer without end.
export async function broken(ask, like) {
  const asked = ask({ stream: true, turns: [{ text: `Hello [[sandbox say="${brokenText}" chunks=6 fail=overloaded fail_at=content]]` }] });
  if (!like.deaf) return assert.rejects(asked, "a stream that broke off was taken for a whole answer");
  const a = await asked;
  assert.notEqual(a.text, brokenText);
  assert.equal(a.finish, undefined);
}
